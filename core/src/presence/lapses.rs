//! Users who still had a session when another of theirs ended. That session may belong to a core
//! that was lost. Then it lapses after its time to live, and only the core that looks again after
//! that time notices.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use gogochat_proto::ids::UserId;
use tokio::time::Instant;

/// Who is looked at again, and when.
#[derive(Debug, Default)]
pub(super) struct Lapses {
    /// All wait equally long, so they come due in their order.
    queue: VecDeque<(Instant, UserId)>,
    /// Which entry of a user's counts: the last one.
    due: HashMap<UserId, Instant>,
}

impl Lapses {
    /// Looks at a user `wait` from now, and not before.
    pub(super) fn watch(&mut self, user: UserId, wait: Duration) {
        let due = Instant::now() + wait;
        self.queue.push_back((due, user));
        self.due.insert(user, due);
    }

    /// It is known where this user stands.
    pub(super) fn forget(&mut self, user: UserId) {
        self.due.remove(&user);
    }

    /// When the next is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.queue.front().map(|(due, _)| *due)
    }

    /// Some of those who are due now.
    pub(super) fn take(&mut self) -> Vec<UserId> {
        let now = Instant::now();
        let mut users = Vec::new();
        while users.len() < AT_ONCE
            && let Some((due, user)) = self.queue.pop_front_if(|(due, _)| *due <= now)
        {
            if self.due.get(&user) == Some(&due) {
                self.due.remove(&user);
                users.push(user);
            }
        }
        users
    }
}

const AT_ONCE: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_is_looked_at_once_after_the_last_time_and_not_when_it_is_known() {
        let (mut lapses, one, other) = (Lapses::default(), UserId::new_v7(), UserId::new_v7());
        let second = Duration::from_secs(1);
        lapses.watch(one, 3 * second);
        lapses.watch(other, 3 * second);
        tokio::time::advance(second).await;
        lapses.watch(one, 3 * second);
        lapses.forget(other);
        tokio::time::advance(2 * second).await;
        assert!(lapses.take().is_empty(), "one was seen again, the other is known");
        assert!(lapses.next().is_some());
        tokio::time::advance(second).await;
        assert_eq!(lapses.take(), [one]);
        assert_eq!(lapses.next(), None);
    }
}
