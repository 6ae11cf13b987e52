//! How long to wait before dialling again: longer each time, and never in step with others.

use std::time::Duration;

/// The limits of the wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Before the second try, at most.
    pub first: Duration,
    /// Before any try, at most.
    pub most: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_millis(500), most: Duration::from_secs(15) }
    }
}

impl Backoff {
    /// The wait after so many failures in a row (0: the session had stood), with `random` in
    /// `0..1`: any part of the limit, so that clients which were cut together come back evenly over
    /// all of it.
    #[must_use]
    pub fn wait(&self, failures: u32, random: f64) -> Duration {
        let limit = (self.first * 2_u32.pow(failures.min(16))).min(self.most);
        limit.mul_f64(random.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_each_time_up_to_the_limit() {
        let backoff = Backoff::default();
        assert_eq!(backoff.wait(0, 0.0), Duration::ZERO);
        assert_eq!(backoff.wait(0, 0.5), Duration::from_millis(250));
        assert_eq!(backoff.wait(0, 1.0), Duration::from_millis(500));
        assert_eq!(backoff.wait(2, 1.0), Duration::from_secs(2));
        assert_eq!(backoff.wait(60, 1.0), Duration::from_secs(15));
    }
}
