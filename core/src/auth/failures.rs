//! A limit on failed attempts: a token bucket that gives the token back when the attempt succeeds.

use std::{
    hash::Hash,
    time::{Duration, Instant},
};

use dashmap::DashMap;

use crate::config::Rate;

/// The buckets. One that is full takes no room.
pub(super) struct Failures<K: Hash + Eq> {
    buckets: DashMap<K, Bucket>,
    burst: f64,
    per_second: f64,
}

#[derive(Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl<K: Hash + Eq> Failures<K> {
    pub(super) fn new(rate: Rate) -> Self {
        let per_second = f64::from(rate.per_minute.max(1)) / 60.0;
        Self { buckets: DashMap::new(), burst: f64::from(rate.burst.max(1)), per_second }
    }

    /// An attempt, which counts as failed from here on.
    ///
    /// # Errors
    /// How long to wait for the next.
    pub(super) fn take(&self, key: K, now: Instant) -> Result<(), Duration> {
        let mut bucket = self.buckets.entry(key).or_insert(Bucket { tokens: self.burst, at: now });
        *bucket = self.filled(*bucket, now);
        self.enough(*bucket)?;
        bucket.tokens -= 1.0;
        Ok(())
    }

    /// Whether there may be an attempt.
    ///
    /// # Errors
    /// How long to wait for it.
    pub(super) fn look(&self, key: &K, now: Instant) -> Result<(), Duration> {
        self.buckets.get(key).map_or(Ok(()), |bucket| self.enough(self.filled(*bucket, now)))
    }

    /// It did not fail.
    pub(super) fn give_back(&self, key: &K) {
        if let Some(mut bucket) = self.buckets.get_mut(key) {
            bucket.tokens = (bucket.tokens + 1.0).min(self.burst);
        }
    }

    /// Forgets those that are full. To be called now and then.
    pub(super) fn sweep(&self, now: Instant) {
        self.buckets.retain(|_, bucket| self.filled(*bucket, now).tokens < self.burst);
        self.buckets.shrink_to_fit();
    }

    fn filled(&self, bucket: Bucket, now: Instant) -> Bucket {
        let since = now.saturating_duration_since(bucket.at).as_secs_f64();
        Bucket { tokens: (bucket.tokens + since * self.per_second).min(self.burst), at: now }
    }

    fn enough(&self, bucket: Bucket) -> Result<(), Duration> {
        // A rounding error is not worth a wait.
        let missing = 1.0 - bucket.tokens;
        if missing < 1e-6 { Ok(()) } else { Err(Duration::from_secs_f64(missing / self.per_second)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_with_time_and_full_buckets_are_forgotten() {
        let (failures, start) = (Failures::new(Rate { burst: 2, per_minute: 60 }), Instant::now());
        failures.take("a", start).unwrap();
        failures.take("a", start).unwrap();
        let wait = failures.take("a", start).unwrap_err();
        assert!(wait > Duration::from_millis(990) && wait <= Duration::from_secs(1), "{wait:?}");
        assert_eq!(failures.look(&"a", start).unwrap_err(), wait);
        failures.take("a", start + wait).unwrap();
        failures.take("b", start + wait).unwrap();
        failures.give_back(&"b");
        failures.sweep(start + wait);
        assert_eq!(failures.buckets.len(), 1, "the other is full");
        failures.sweep(start + Duration::from_secs(60));
        assert_eq!(failures.buckets.len(), 0);
    }

    #[test]
    fn a_clock_that_stands_gives_nothing() {
        let (failures, start) = (Failures::new(Rate { burst: 1, per_minute: 60 }), Instant::now());
        failures.take((), start + Duration::from_secs(9)).unwrap();
        assert!(failures.take((), start).is_err());
    }
}
