//! A rate limit.

use std::time::Instant;

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
        let passed = now.saturating_duration_since(self.at).as_secs_f32();
        self.at = now;
        self.tokens = (self.tokens + passed * self.rate).min(self.burst);
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn burst_then_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10.0, 5.0, start);
        assert_eq!((0..100).filter(|_| bucket.take(start)).count(), 5);
        let passed = (1..=1000).filter(|ms| bucket.take(start + Duration::from_millis(*ms))).count();
        assert!((9..=11).contains(&passed), "{passed}");
    }
}
