//! Sessions with a call that is being foreseen: the store is asked whether it would be refused.
//! What the session calls after it waits here, so that nothing overtakes it.

use std::collections::{HashMap, VecDeque};

use gogochat_proto::node;

/// What waits behind calls that are looked at, for each session that has one.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: HashMap<u64, Lane>,
}

#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<node::Command>,
    bytes: usize,
}

/// What becomes of a call.
#[derive(Debug)]
pub(super) enum Entry {
    /// Nothing of its session is being looked at.
    Free(node::Command),
    /// It waits.
    Waits,
    /// Too much waits already.
    Full(node::Command),
}

impl Lanes {
    /// A call comes.
    pub(super) fn enter(&mut self, call: node::Command) -> Entry {
        let Some(lane) = self.lanes.get_mut(&call.session) else { return Entry::Free(call) };
        if lane.waiting.len() >= MAX_CALLS || lane.bytes + call.body.len() > MAX_BYTES {
            return Entry::Full(call);
        }
        lane.bytes += call.body.len();
        lane.waiting.push_back(call);
        Entry::Waits
    }

    /// A call of the session is being looked at.
    pub(super) fn begin(&mut self, session: u64) {
        self.lanes.entry(session).or_default();
    }

    /// The look is over: the next call of the session. `None`: there is none, and it is free.
    pub(super) fn next(&mut self, session: u64) -> Option<node::Command> {
        let next = self.lanes.get_mut(&session).and_then(|lane| {
            let next = lane.waiting.pop_front()?;
            lane.bytes -= next.body.len();
            Some(next)
        });
        if next.is_none() {
            self.lanes.remove(&session);
        }
        next
    }

    /// A session has ended, and with it what waited.
    pub(super) fn end(&mut self, session: u64) {
        self.lanes.remove(&session);
    }
}

/// As many as a session may have under way.
const MAX_CALLS: usize = 256;
/// Requests of a session that wait: several of the largest there are.
const MAX_BYTES: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn call(session: u64, call_id: u32, bytes: usize) -> node::Command {
        node::Command { session, call_id, body: vec![0; bytes].into(), ..Default::default() }
    }

    #[test]
    fn calls_wait_in_their_order_until_the_look_is_over() {
        let mut lanes = Lanes::default();
        assert!(matches!(lanes.enter(call(1, 1, 9)), Entry::Free(call) if call.call_id == 1));
        lanes.begin(1);
        assert!(matches!(lanes.enter(call(1, 2, 9)), Entry::Waits));
        assert!(matches!(lanes.enter(call(1, 3, 9)), Entry::Waits));
        assert!(matches!(lanes.enter(call(2, 4, 9)), Entry::Free(_)), "another session");
        assert_eq!(lanes.next(1).unwrap().call_id, 2);
        assert!(matches!(lanes.enter(call(1, 5, 9)), Entry::Waits), "behind the third");
        assert_eq!([lanes.next(1), lanes.next(1)].map(|call| call.unwrap().call_id), [3, 5]);
        assert_eq!(lanes.next(1), None);
        assert!(matches!(lanes.enter(call(1, 6, 9)), Entry::Free(_)));
    }

    #[test]
    fn bounded_in_calls_and_in_bytes() {
        let mut lanes = Lanes::default();
        lanes.begin(1);
        for n in 0..MAX_CALLS as u32 {
            assert!(matches!(lanes.enter(call(1, n, 0)), Entry::Waits));
        }
        assert!(matches!(lanes.enter(call(1, 999, 0)), Entry::Full(call) if call.call_id == 999));
        lanes.begin(2);
        assert!(matches!(lanes.enter(call(2, 1, MAX_BYTES)), Entry::Waits));
        assert!(matches!(lanes.enter(call(2, 2, 1)), Entry::Full(_)));
        assert_eq!(lanes.next(2).unwrap().call_id, 1);
        assert!(matches!(lanes.enter(call(2, 3, MAX_BYTES)), Entry::Waits));
        lanes.end(2);
        assert!(matches!(lanes.enter(call(2, 4, 1)), Entry::Free(_)));
    }
}
