//! Whether the other side is still there.

use std::time::{Duration, Instant};

use gogochat_proto::limits::{HEARTBEAT, SILENCE};

/// What a look at the clock says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beat {
    /// All is well.
    Fine,
    /// Nothing came for a while: ask.
    Ping(u64),
    /// Nothing came for 45 s.
    Dead,
}

/// When something was last heard, and when it was last asked for.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    heard: Instant,
    asked: Instant,
    nonce: u64,
}

impl Heartbeat {
    /// A connection that has just opened.
    pub(crate) fn new(now: Instant) -> Self {
        Self { heard: now, asked: now, nonce: 0 }
    }

    /// Something came.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    /// Looks at the clock.
    pub(crate) fn tick(&mut self, now: Instant) -> Beat {
        let silent = now.saturating_duration_since(self.heard);
        if silent >= SILENCE {
            return Beat::Dead;
        }
        // A client pings every 15 s by itself: only one that is late is asked, so that an idle session
        // costs one ping, not two.
        if silent >= HEARTBEAT + SLACK && now.saturating_duration_since(self.asked) >= HEARTBEAT {
            self.asked = now;
            self.nonce += 1;
            return Beat::Ping(self.nonce);
        }
        Beat::Fine
    }
}

const SLACK: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_twice_and_gives_up() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(start);
        let mut pings = Vec::new();
        let dead = (0..).find(|second| match heartbeat.tick(start + Duration::from_secs(*second)) {
            Beat::Fine => false,
            Beat::Ping(_) => {
                pings.push(*second);
                false
            }
            Beat::Dead => true,
        });
        assert_eq!(pings, [17, 32]);
        assert_eq!(dead, Some(45));
    }

    #[test]
    fn never_asks_one_that_talks() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(start);
        for second in 0..600 {
            let now = start + Duration::from_secs(second);
            if second % 15 == 0 {
                heartbeat.heard(now);
            }
            assert_eq!(heartbeat.tick(now), Beat::Fine);
        }
    }
}
