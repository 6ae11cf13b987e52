//! The index from a log to the edges with interest in it, with how far each was sent the log.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use dashmap::{DashMap, Entry};
use gogochat_proto::{ids::LogId, node::core_item::Item};

use super::{
    attachment::Attachment,
    replay_progress::{Published, ReplayProgress, Work},
    replay_queue::InterestId,
};

/// The index. What an interest lacks goes to the replay queue of its attachment.
#[derive(Default)]
pub(super) struct Interests {
    logs: DashMap<LogId, Vec<Interest>>,
    /// Numbers that were given out.
    count: AtomicU64,
}

struct Interest {
    attachment: Arc<Attachment>,
    number: u64,
    progress: ReplayProgress,
}

impl Interests {
    /// Announces that a session which is being opened will hear its own log, known up to `end`, and runs
    /// `open`: unless `is_current` says that the log has gone on since. `None`: it has.
    pub(super) fn announce<T>(
        &self,
        attachment: &Arc<Attachment>,
        own: LogId,
        end: i64,
        is_current: impl FnOnce() -> bool,
        open: impl FnOnce() -> T,
    ) -> Option<T> {
        // Whoever publishes notes it first and then looks who hears it, so it is seen here, or comes to see
        // what this adds.
        let mut interests = self.logs.entry(own).or_default();
        if !is_current() {
            return None;
        }
        if !interests.iter().any(|interest| interest.attachment.id == attachment.id) {
            interests.push(self.interest(attachment, ReplayProgress::announced(end)));
        }
        Some(open())
    }

    /// The session that an own log was announced for will not ask.
    pub(super) fn unannounce(&self, attachment: u64, own: LogId) {
        self.remove(own, |interest| interest.attachment.id == attachment && interest.progress.is_announced());
    }

    /// An edge has sessions that hear this log, and everything up to `have`; `verify`: see
    /// [`ReplayProgress::ask`].
    pub(super) fn ask(&self, attachment: &Arc<Attachment>, log: LogId, have: i64, verify: bool) {
        let mut interests = self.logs.entry(log).or_default();
        match interests.iter_mut().find(|interest| interest.attachment.id == attachment.id) {
            Some(interest) => {
                let work = interest.progress.ask(have, verify);
                interest.queue(log, work);
            }
            None => {
                let (progress, work) = ReplayProgress::asked(have);
                let interest = self.interest(attachment, progress);
                interest.queue(log, Some(work));
                interests.push(interest);
            }
        }
    }

    /// An event may have been committed that was sent to nobody: each edge that hears the log has it
    /// checked. `false`: none does.
    pub(super) fn resync(&self, log: LogId) -> bool {
        let Some(mut interests) = self.logs.get_mut(&log) else { return false };
        for interest in interests.iter_mut() {
            let work = interest.progress.resync();
            interest.queue(log, work);
        }
        true
    }

    /// An edge has no session any more that hears this log.
    pub(super) fn unask(&self, attachment: u64, log: LogId) {
        self.remove(log, |interest| interest.attachment.id == attachment);
    }

    /// An edge is gone, and with it all it was interested in.
    pub(super) fn detach(&self, attachment: u64) {
        self.logs.retain(|_, interests| {
            interests.retain(|interest| interest.attachment.id != attachment);
            !interests.is_empty()
        });
    }

    /// Whether any edge hears this log.
    pub(super) fn is_heard(&self, log: LogId) -> bool {
        self.logs.contains_key(&log)
    }

    /// Whether any edge that hears this log may not have been sent the event of this seq.
    pub(super) fn is_lacking(&self, log: LogId, seq: i64) -> bool {
        self.logs.get(&log).is_some_and(|interests| interests.iter().any(|interest| interest.progress.lacks(seq)))
    }

    /// Notes a published event, and has it sent to each edge that is not being sent what comes before it
    /// from the store.
    pub(super) fn publish(&self, log: LogId, seq: i64, mut send: impl FnMut(&Attachment)) {
        let Some(mut interests) = self.logs.get_mut(&log) else { return };
        for interest in interests.iter_mut() {
            match interest.progress.publish(seq) {
                Published::Send => send(&interest.attachment),
                Published::Skip => {}
            }
        }
    }

    /// Each edge that has asked for this log.
    pub(super) fn each_asked(&self, log: LogId, mut act: impl FnMut(&Arc<Attachment>)) {
        let Some(interests) = self.logs.get(&log) else { return };
        for interest in interests.iter().filter(|interest| !interest.progress.is_announced()) {
            act(&interest.attachment);
        }
    }

    /// The ends of these logs are about to be read: those that are still heard.
    pub(super) fn check(&self, ids: &[InterestId]) -> Vec<InterestId> {
        ids.iter().copied().filter(|id| self.with(*id, |interest| interest.progress.check()).is_some()).collect()
    }

    /// A log's end was read: what is behind that is replayed.
    pub(super) fn checked(&self, id: InterestId, end: i64) {
        self.with(id, |interest| {
            let work = interest.progress.checked(end);
            interest.queue(id.log, work);
        });
    }

    /// Where a replay reads on; `None`: there is nothing to replay.
    pub(super) fn replay_from(&self, id: InterestId) -> Option<i64> {
        self.with(id, |interest| interest.progress.replay_from()).flatten()
    }

    /// Sends an event that was read. `false`: it is not wanted any more, or not yet.
    pub(super) fn replay(&self, id: InterestId, seq: i64, item: Item) -> bool {
        let sent = self.with(id, |interest| {
            let is_next = interest.progress.replay(seq);
            if is_next {
                interest.attachment.push(item);
            }
            is_next
        });
        sent.unwrap_or(false)
    }

    /// `true`: there is nothing more to replay.
    pub(super) fn replayed(&self, id: InterestId, to: i64) -> bool {
        self.with(id, |interest| interest.progress.replayed(to)).unwrap_or(true)
    }

    /// `None`: there is no such interest any more.
    fn with<T>(&self, id: InterestId, act: impl FnOnce(&mut Interest) -> T) -> Option<T> {
        let mut interests = self.logs.get_mut(&id.log)?;
        interests.iter_mut().find(|interest| interest.number == id.number).map(act)
    }

    fn interest(&self, attachment: &Arc<Attachment>, progress: ReplayProgress) -> Interest {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        Interest { attachment: attachment.clone(), number, progress }
    }

    fn remove(&self, log: LogId, which: impl Fn(&Interest) -> bool) {
        if let Entry::Occupied(mut entry) = self.logs.entry(log) {
            entry.get_mut().retain(|interest| !which(interest));
            if entry.get().is_empty() {
                entry.remove();
            }
        }
    }
}

impl Interest {
    fn queue(&self, log: LogId, work: Option<Work>) {
        if let Some(work) = work {
            self.attachment.replays.add(work, InterestId { log, number: self.number });
        }
    }
}
