//! Commands that the bus delivers late.

use gogochat_proto::{error::ErrorCode, v1};
use gogochat_storage::{log_throttle::LogThrottle, store::Millis};

/// What becomes of a command that the bus brings later than [`TOO_LATE`] after it was taken, because no
/// core was there to commit it. Its sender was told long since that the outcome is unknown, or has given
/// up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhenLate {
    /// It is committed all the same. It has an idempotency key: its sender perhaps still repeats it, and
    /// what the same sender sent behind it must not get in front of it.
    Committed,
    /// It is refused, and whoever still wants it repeats it. Without an idempotency key the intent may be
    /// stale: the sender has seen newer state since, and may have decided otherwise.
    Refused,
}

impl WhenLate {
    /// Refuses what is too late to be committed. A command from the future, or one that does not say when
    /// it was taken, is not.
    ///
    /// # Errors
    /// `deadline_exceeded`.
    pub(crate) fn check(self, published: Millis, now: Millis) -> Result<(), v1::Error> {
        let age = now.saturating_sub(published);
        if self == Self::Committed || published == 0 || age <= TOO_LATE {
            return Ok(());
        }
        if let Some(times) = REFUSED.due() {
            tracing::warn!(
                times,
                "a command came {} s late, and was refused: no core took commands then, or the clocks of cores differ",
                age / 1_000
            );
        }
        Err(ErrorCode::DeadlineExceeded.with("it was too long on its way: repeat it"))
    }
}

static REFUSED: LogThrottle = LogThrottle::each_second();
/// Far past what anybody waits for an answer (a call 10 s, a client 30 s with all its repeats), and past
/// what the clocks of two cores may differ by while anything else is well.
const TOO_LATE: Millis = 5 * 60 * 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_is_what_came_before_the_limit_and_says_so() {
        let now = 1_800_000_000_000;
        for published in [now - TOO_LATE, now, now + 10 * TOO_LATE, 0] {
            assert_eq!(WhenLate::Refused.check(published, now), Ok(()), "{published}");
        }
        let refused = WhenLate::Refused.check(now - TOO_LATE - 1, now).unwrap_err();
        assert_eq!((refused.code.as_str(), refused.retryable()), ("deadline_exceeded", true));
        assert_eq!(WhenLate::Committed.check(1, now), Ok(()));
    }
}
