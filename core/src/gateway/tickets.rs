//! The keys of sessions' tickets. Edges make and check the tickets; a core only draws the keys and
//! tells them to the edges attached to it. So edges need not know each other, and an edge that is
//! no longer a node soon knows no valid key.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use gogochat_proto::node::TicketKey;
use parking_lot::Mutex;

/// This core's latest keys, the newest last.
#[derive(Debug, Default)]
pub(crate) struct TicketKeys {
    keys: Mutex<VecDeque<(Instant, TicketKey)>>,
}

impl TicketKeys {
    /// The keys that an edge is to know. None is drawn by this: whoever draws one tells every edge.
    pub(crate) fn all(&self) -> Vec<TicketKey> {
        self.keys.lock().iter().map(|(_, key)| key.clone()).collect()
    }

    /// A new key, when there is none or the newest has served its time: to be told to every edge.
    pub(crate) fn renew(&self, now: Instant) -> Option<TicketKey> {
        let mut keys = self.keys.lock();
        if keys.back().is_some_and(|(since, _)| now.saturating_duration_since(*since) < NEWEST) {
            return None;
        }
        let (id, secret): ([u8; 8], [u8; 32]) = (rand::random(), rand::random());
        let key = TicketKey { id: id.to_vec().into(), key: secret.to_vec().into() };
        keys.push_back((now, key.clone()));
        while keys.len() > KEPT {
            keys.pop_front();
        }
        Some(key)
    }
}

/// As long as an access token lives by default: a ticket, which lives no longer than its token, is
/// known by the newest key but one at least.
const NEWEST: Duration = Duration::from_secs(3_600);
const KEPT: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_serves_its_time_and_as_long_again() {
        let (keys, now) = (TicketKeys::default(), Instant::now());
        assert_eq!(keys.all(), []);
        let first = keys.renew(now).unwrap();
        assert_eq!(keys.all(), std::slice::from_ref(&first));
        assert_eq!(keys.renew(now + NEWEST / 2), None);
        let second = keys.renew(now + NEWEST).unwrap();
        assert_eq!(keys.all(), [first.clone(), second.clone()]);
        let third = keys.renew(now + 2 * NEWEST).unwrap();
        assert_ne!(first.key, second.key);
        assert_eq!(keys.all(), [second, third]);
    }
}
