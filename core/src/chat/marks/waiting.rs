//! The marks that wait, and when each log's turn is. No clock and no I/O.

use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, Instant},
};

use gogochat_proto::ids::{LogId, UserId};
use gogochat_storage::{bus::ReplyTo, store::Mark};

/// Marks that wait: the highest of each member.
#[derive(Debug)]
pub(super) struct Waiting {
    logs: HashMap<LogId, OfLog>,
    /// When each of the logs has its turn.
    turns: BTreeSet<(Instant, LogId)>,
    /// Members and calls that wait.
    count: usize,
    max: usize,
}

/// A log in which marks wait, or were committed lately.
#[derive(Debug)]
struct OfLog {
    turn: Instant,
    members: HashMap<UserId, OfMember>,
}

#[derive(Debug)]
struct OfMember {
    delivered: i64,
    read: i64,
    /// The attachment and the session that the last came by, where it came by one.
    from: Option<(u64, u64)>,
    calls: Vec<Call>,
}

/// A call that waits for the commit of its mark.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Call {
    pub(super) reply_to: ReplyTo,
    /// As it asked.
    pub(super) mark: Mark,
    since: Instant,
}

/// A member's mark, taken to be committed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Taken {
    pub(super) mark: Mark,
    pub(super) from: Option<(u64, u64)>,
    pub(super) calls: Vec<Call>,
}

impl Waiting {
    /// `max`: members and calls together.
    pub(super) fn new(max: usize) -> Self {
        Self { logs: HashMap::new(), turns: BTreeSet::new(), count: 0, max }
    }

    /// Members and calls that wait.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Adds a mark. `false`: too many wait.
    pub(super) fn add(&mut self, mark: Mark, from: &ReplyTo, now: Instant) -> bool {
        let is_new = !self.logs.get(&mark.log).is_some_and(|log| log.members.contains_key(&mark.user));
        let is_call = from.call_id != 0;
        if self.count + usize::from(is_new) + usize::from(is_call) > self.max {
            return false;
        }
        let session = (from.attachment != 0 && from.session != 0).then_some((from.attachment, from.session));
        let call = is_call.then(|| Call { reply_to: from.clone(), mark, since: now });
        self.merge(Taken { mark, from: session, calls: call.into_iter().collect() }, now);
        true
    }

    /// Takes back what could not be committed; its log has its turn at `turn`. Gives the calls that have
    /// waited for too long.
    pub(super) fn put_back(&mut self, mut taken: Taken, turn: Instant, now: Instant) -> Vec<Call> {
        let is_late = |call: &Call| now.saturating_duration_since(call.since) >= PATIENCE;
        let (late, calls) = taken.calls.into_iter().partition(is_late);
        taken.calls = calls;
        let log = taken.mark.log;
        self.merge(taken, turn);
        if let Some(of_log) = self.logs.get_mut(&log)
            && turn < of_log.turn
            && self.turns.remove(&(of_log.turn, log))
        {
            of_log.turn = turn;
            self.turns.insert((turn, log));
        }
        late
    }

    /// When the next log has its turn.
    pub(super) fn due(&self) -> Option<Instant> {
        self.turns.first().map(|(turn, _)| *turn)
    }

    /// Takes the marks of logs whose turn it is by `now`, at most `most`; those logs have their next turn
    /// at `next`. A log is taken as a whole where it fits.
    pub(super) fn take(&mut self, most: usize, now: Instant, next: Instant) -> Vec<Taken> {
        let mut taken = Vec::new();
        while let Some((turn, id)) = self.turns.first().copied().filter(|(turn, _)| *turn <= now) {
            let Some(log) = self.logs.get_mut(&id) else { break };
            let room = most - taken.len();
            if room == 0 || (log.members.len() > room && !taken.is_empty()) {
                break;
            }
            self.turns.remove(&(turn, id));
            if log.members.is_empty() {
                // Its marks were committed long ago.
                self.logs.remove(&id);
                continue;
            }
            let users: Vec<_> = log.members.keys().copied().take(room).collect();
            for user in users {
                let Some(OfMember { delivered, read, from, calls }) = log.members.remove(&user) else { continue };
                self.count -= 1 + calls.len();
                taken.push(Taken { mark: Mark { log: id, user, delivered, read }, from, calls });
            }
            // What is left of a very large log has its turn behind those that wait by now.
            log.turn = if log.members.is_empty() { next } else { now };
            self.turns.insert((log.turn, id));
        }
        taken
    }

    /// Adds to what waits; a log that is new has its turn at `turn`.
    fn merge(&mut self, Taken { mark, from, calls }: Taken, turn: Instant) {
        let turns = &mut self.turns;
        let log = self.logs.entry(mark.log).or_insert_with(|| {
            turns.insert((turn, mark.log));
            OfLog { turn, members: HashMap::new() }
        });
        let count = &mut self.count;
        let member = log.members.entry(mark.user).or_insert_with(|| {
            *count += 1;
            OfMember { delivered: 0, read: 0, from: None, calls: Vec::new() }
        });
        member.delivered = member.delivered.max(mark.delivered);
        member.read = member.read.max(mark.read);
        member.from = from.or(member.from);
        self.count += calls.len();
        member.calls.extend(calls);
    }
}

/// How long a call waits for rows that others hold.
const PATIENCE: Duration = Duration::from_secs(8);

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(log: LogId, user: UserId, delivered: i64, read: i64) -> Mark {
        Mark { log, user, delivered, read }
    }

    fn frame(session: u64) -> ReplyTo {
        ReplyTo { attachment: 7, session, call_id: 0 }
    }

    fn call(call_id: u32) -> ReplyTo {
        ReplyTo { attachment: 7, session: 1, call_id }
    }

    const LATER: Duration = Duration::from_millis(900);

    #[test]
    fn the_highest_of_each_member_waits_for_the_logs_turn() {
        let (mut waiting, now) = (Waiting::new(100), Instant::now());
        let (log, user) = (LogId::new_v7(), UserId::new_v7());
        assert!(waiting.add(mark(log, user, 5, 2), &frame(3), now));
        assert!(waiting.add(mark(log, user, 4, 3), &frame(4), now));
        assert_eq!((waiting.due(), waiting.len()), (Some(now), 1));
        let taken = waiting.take(9, now, now + LATER);
        assert_eq!(taken, [Taken { mark: mark(log, user, 5, 3), from: Some((7, 4)), calls: Vec::new() }]);
        // The first went at once; what comes within the interval waits for its end.
        waiting.add(mark(log, user, 6, 6), &frame(3), now + LATER / 3);
        waiting.add(mark(log, UserId::new_v7(), 6, 6), &frame(5), now + LATER / 2);
        assert!(waiting.take(9, now + LATER / 2, now + LATER * 2).is_empty());
        assert_eq!(waiting.due(), Some(now + LATER));
        assert_eq!(waiting.take(9, now + LATER, now + LATER * 2).len(), 2);
        // A log in which nothing waits is forgotten.
        assert!(waiting.take(9, now + LATER * 2, now + LATER * 3).is_empty());
        assert_eq!((waiting.due(), waiting.len(), waiting.logs.len()), (None, 0, 0));
    }

    #[test]
    fn members_and_calls_have_a_bound() {
        let (mut waiting, now, log) = (Waiting::new(3), Instant::now(), LogId::new_v7());
        let users: Vec<_> = (0..3).map(|_| UserId::new_v7()).collect();
        assert!(waiting.add(mark(log, users[0], 1, 1), &call(1), now));
        assert!(waiting.add(mark(log, users[1], 1, 1), &frame(1), now));
        assert!(!waiting.add(mark(log, users[2], 1, 1), &frame(1), now), "at the limit");
        assert!(waiting.add(mark(log, users[1], 2, 2), &frame(1), now), "it takes no more room");
        assert!(!waiting.add(mark(log, users[1], 2, 2), &call(2), now));
        assert_eq!(waiting.take(9, now, now + LATER).len(), 2);
        assert!(waiting.add(mark(log, users[2], 1, 1), &frame(1), now));
    }

    #[test]
    fn slices_are_bounded_and_a_log_that_fits_is_not_cut() {
        let (mut waiting, now) = (Waiting::new(10_000), Instant::now());
        let logs: Vec<_> = (0..3).map(|_| LogId::new_v7()).collect();
        for (n, log) in logs.iter().enumerate() {
            for _ in 0..[150, 200, 700][n] {
                let at = now + Duration::from_micros(n as u64);
                waiting.add(mark(*log, UserId::new_v7(), 1, 1), &frame(1), at);
            }
        }
        let mut sizes = Vec::new();
        let mut by = now + Duration::from_millis(1);
        loop {
            let taken = waiting.take(256, by, by + LATER);
            if taken.is_empty() {
                break;
            }
            sizes.push(taken.len());
            by += Duration::from_millis(1);
        }
        assert_eq!(sizes, [150, 200, 256, 256, 188]);
        assert_eq!(waiting.len(), 0);
    }

    #[test]
    fn what_could_not_be_committed_comes_again_and_its_calls_not_for_ever() {
        let (mut waiting, now) = (Waiting::new(100), Instant::now());
        let (log, user) = (LogId::new_v7(), UserId::new_v7());
        waiting.add(mark(log, user, 5, 2), &call(1), now);
        let taken = waiting.take(9, now, now + LATER).remove(0);
        waiting.add(mark(log, user, 4, 4), &call(2), now);
        assert!(waiting.put_back(taken, now + LATER / 9, now).is_empty());
        assert_eq!(waiting.due(), Some(now + LATER / 9), "its log need not wait for the interval's end");
        let taken = waiting.take(9, now + LATER, now + LATER * 2).remove(0);
        assert_eq!((taken.mark, taken.calls.len()), (mark(log, user, 5, 4), 2));
        assert_eq!(waiting.due(), Some(now + LATER * 2));
        let late = waiting.put_back(taken, now + LATER, now + PATIENCE);
        assert_eq!((late.len(), waiting.len()), (2, 1));
    }
}
