//! Limits how much a client may send that has no meaning here and has to be skipped.

use std::time::Instant;

use crate::limits::quic::{SKIPPED_BYTES, SKIPPED_BYTES_A_SECOND, SKIPPED_FRAMES, SKIPPED_FRAMES_A_SECOND};

/// Frames and bytes that may still be skipped: so many at once, and a few more each second.
#[derive(Debug)]
pub(crate) struct Budget {
    frames: f32,
    bytes: f32,
    at: Instant,
}

/// The peer has sent more than may be skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spent;

impl Budget {
    /// All of it.
    pub(crate) fn new(now: Instant) -> Self {
        Self { frames: SKIPPED_FRAMES as f32, bytes: SKIPPED_BYTES as f32, at: now }
    }

    /// Skips so many frames and bytes.
    pub(crate) fn spend(&mut self, frames: usize, bytes: usize, now: Instant) -> Result<(), Spent> {
        let passed = now.saturating_duration_since(self.at).as_secs_f32();
        self.at = now;
        let refill = |left: f32, rate: usize, most: usize| passed.mul_add(rate as f32, left).min(most as f32);
        self.frames = refill(self.frames, SKIPPED_FRAMES_A_SECOND, SKIPPED_FRAMES) - frames as f32;
        self.bytes = refill(self.bytes, SKIPPED_BYTES_A_SECOND, SKIPPED_BYTES) - bytes as f32;
        if self.frames < 0.0 || self.bytes < 0.0 { Err(Spent) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn at_once_and_each_second() {
        let start = Instant::now();
        let mut frames = Budget::new(start);
        assert!((0..SKIPPED_FRAMES).all(|_| frames.spend(1, 2, start).is_ok()));
        assert_eq!(frames.spend(1, 2, start), Err(Spent));
        let mut bytes = Budget::new(start);
        assert_eq!(bytes.spend(1, SKIPPED_BYTES, start), Ok(()));
        assert_eq!(bytes.spend(0, 1, start), Err(Spent));
        let mut slow = Budget::new(start);
        let second = |n: u64| start + Duration::from_secs(n);
        assert!((1..10_000).all(|n| slow.spend(SKIPPED_FRAMES_A_SECOND, SKIPPED_BYTES_A_SECOND, second(n)).is_ok()));
    }
}
