//! Whether the other side is still there: heartbeats, and patience with what is not answered. No
//! clock and no I/O: `now` is passed in.

use std::time::Duration;

use tokio::time::Instant;

/// Watches one session.
#[derive(Debug)]
pub(crate) struct Liveness {
    heartbeat: Duration,
    patience: Duration,
    last_sent: Instant,
    /// Since when something has gone without any sign of life.
    asked: Option<Instant>,
    /// That something is a ping, which the server answers at once.
    pinged: bool,
}

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing before then.
    Wait(Instant),
    /// Send a ping.
    Ping,
    /// The session is dead.
    Dead,
}

impl Liveness {
    /// `heartbeat`: as Welcome says. `patience`: how long a question may go without a sign of life
    /// before a ping, and a ping before the session counts as dead.
    pub(crate) fn new(now: Instant, heartbeat: Duration, patience: Duration) -> Self {
        Self { heartbeat, patience, last_sent: now, asked: None, pinged: false }
    }

    /// A frame was sent.
    pub(crate) fn sent(&mut self, now: Instant, wants_answer: bool) {
        self.last_sent = now;
        if wants_answer {
            self.asked.get_or_insert(now);
        }
    }

    /// A frame came, whichever: the server lives.
    pub(crate) fn received(&mut self) {
        self.asked = None;
        self.pinged = false;
    }

    /// When there is something to be done.
    pub(crate) fn due(&self) -> Instant {
        self.asked.map_or(self.last_sent + self.heartbeat, |asked| asked + self.patience)
    }

    /// What is to be done now. After [`Verdict::Ping`] the ping counts as sent.
    pub(crate) fn poll(&mut self, now: Instant) -> Verdict {
        if now < self.due() {
            return Verdict::Wait(self.due());
        }
        if self.asked.is_some() && self.pinged {
            return Verdict::Dead;
        }
        self.pinged = true;
        self.asked = Some(now);
        self.last_sent = now;
        Verdict::Ping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_idle_session_pings_and_stays() {
        let start = Instant::now();
        let mut liveness = Liveness::new(start, 15 * SECOND, 3 * SECOND);
        assert_eq!(liveness.poll(start), Verdict::Wait(start + 15 * SECOND));
        liveness.sent(start + 5 * SECOND, false);
        assert_eq!(liveness.poll(start + 15 * SECOND), Verdict::Wait(start + 20 * SECOND));
        assert_eq!(liveness.poll(start + 20 * SECOND), Verdict::Ping);
        liveness.received();
        assert_eq!(liveness.poll(start + 21 * SECOND), Verdict::Wait(start + 35 * SECOND));
    }

    #[test]
    fn an_unanswered_question_brings_a_ping_and_then_the_end() {
        let start = Instant::now();
        let mut liveness = Liveness::new(start, 15 * SECOND, 3 * SECOND);
        liveness.sent(start, true);
        liveness.sent(start + SECOND, true);
        assert_eq!(liveness.poll(start + SECOND), Verdict::Wait(start + 3 * SECOND));
        assert_eq!(liveness.poll(start + 3 * SECOND), Verdict::Ping);
        assert_eq!(liveness.poll(start + 4 * SECOND), Verdict::Wait(start + 6 * SECOND));
        assert_eq!(liveness.poll(start + 6 * SECOND), Verdict::Dead);
        liveness.received();
        assert_eq!(liveness.poll(start + 6 * SECOND), Verdict::Wait(start + 18 * SECOND));
    }
}
