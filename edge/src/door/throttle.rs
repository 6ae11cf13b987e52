//! A log line that thousands of connections would write at once: it is written once a minute, with
//! their number.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// One kind of line.
#[derive(Debug, Default)]
pub struct LogThrottle(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    last: Option<Instant>,
    times: u64,
}

impl LogThrottle {
    /// How often it has happened since the last line, this time included, when a line is due.
    pub fn due(&self) -> Option<u64> {
        let (mut inner, now) = (self.0.lock(), Instant::now());
        inner.times += 1;
        if inner.last.is_some_and(|last| now.saturating_duration_since(last) < EVERY) {
            return None;
        }
        inner.last = Some(now);
        Some(std::mem::take(&mut inner.times))
    }
}

const EVERY: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn once_a_minute_and_none_is_forgotten() {
        let throttle = LogThrottle::default();
        assert_eq!([throttle.due(), throttle.due(), throttle.due()], [Some(1), None, None]);
        tokio::time::advance(EVERY - Duration::from_millis(1)).await;
        assert_eq!(throttle.due(), None);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(throttle.due(), Some(4));
    }
}
