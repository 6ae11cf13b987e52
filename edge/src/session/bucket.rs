//! A rate limit.

use std::time::{Duration, Instant};

/// A token bucket: `rate` a second, `burst` at once.
#[derive(Debug)]
pub(crate) struct Bucket {
    rate: f32,
    burst: f32,
    tokens: f32,
    at: Instant,
}

impl Bucket {
    /// A full bucket.
    pub(crate) fn new(rate: f32, burst: f32, now: Instant) -> Self {
        Self { rate, burst, tokens: burst, at: now }
    }

    /// Whether one more may pass.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        self.refill(now);
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }

    /// Whether something of any cost may pass: it may, as long as nothing is owed for what passed before.
    pub(crate) fn take_any(&mut self, cost: f32, now: Instant) -> bool {
        self.refill(now);
        let passes = self.tokens > 0.0;
        if passes {
            self.tokens -= cost;
        }
        passes
    }

    /// Counts one that has passed already. Gives how long the next has to wait, if it has to.
    pub(crate) fn spend(&mut self, now: Instant) -> Option<Duration> {
        self.refill(now);
        self.tokens -= 1.0;
        (self.tokens < 0.0).then(|| Duration::from_secs_f32(-self.tokens / self.rate))
    }

    /// Whether nothing was taken for so long that it is as good as new.
    pub(crate) fn is_full(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.tokens >= self.burst
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f32();
        self.at = now;
        self.tokens = (self.tokens + passed * self.rate).min(self.burst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_then_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10.0, 5.0, start);
        assert_eq!((0..100).filter(|_| bucket.take(start)).count(), 5);
        let passed = (1..=1000).filter(|ms| bucket.take(start + Duration::from_millis(*ms))).count();
        assert!((9..=11).contains(&passed), "{passed}");
    }

    #[test]
    fn what_is_spent_past_the_burst_is_waited_for() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10.0, 5.0, start);
        assert!((0..5).all(|_| bucket.spend(start).is_none()));
        let waits: Vec<_> = (0..2).map(|_| bucket.spend(start).unwrap().as_millis()).collect();
        assert_eq!(waits, [100, 200]);
        // After the wait one more is owed for, and no more than that.
        let later = start + Duration::from_millis(200);
        assert_eq!(bucket.spend(later).unwrap().as_millis(), 100);
        assert!(!bucket.is_full(later) && bucket.is_full(later + Duration::from_secs(1)));
    }

    #[test]
    fn a_dear_one_passes_and_the_next_waits_for_what_is_owed() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10.0, 5.0, start);
        assert!(bucket.take_any(25.0, start));
        assert!(!bucket.take_any(1.0, start + Duration::from_millis(1_990)));
        assert!(bucket.take_any(1.0, start + Duration::from_millis(2_010)));
    }
}
