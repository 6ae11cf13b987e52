//! A log line that would be repeated as long as something lasts: it is written now and then, with
//! how often it would have been.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// One place that warns.
#[derive(Debug)]
pub struct LogThrottle {
    every: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    last: Option<Instant>,
    times: u64,
}

impl LogThrottle {
    /// One that lets a line through at once, and then every so often.
    #[must_use]
    pub const fn new(every: Duration) -> Self {
        Self { every, state: Mutex::new(State { last: None, times: 0 }) }
    }

    /// One that lets a line through each second.
    #[must_use]
    pub const fn each_second() -> Self {
        Self::new(Duration::from_secs(1))
    }

    /// How often it has happened since the last line, this time included, when a line is due.
    pub fn due(&self) -> Option<u64> {
        self.due_at(Instant::now())
    }

    fn due_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock();
        state.times += 1;
        if state.last.is_some_and(|last| now.saturating_duration_since(last) < self.every) {
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.times))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_written_at_once_and_none_is_forgotten() {
        let (throttle, start) = (LogThrottle::new(Duration::from_secs(30)), Instant::now());
        assert_eq!(throttle.due_at(start), Some(1));
        assert_eq!([1, 29].map(|s| throttle.due_at(start + Duration::from_secs(s))), [None, None]);
        assert_eq!(throttle.due_at(start + Duration::from_secs(30)), Some(3));
    }
}
