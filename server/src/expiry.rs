//! Until when certificates are valid: a metric, and a warning while there is time to renew them.

use std::path::PathBuf;

use metrics::{describe_gauge, gauge};
use time::{Duration, OffsetDateTime};

/// How long a certificate is valid that somebody has to renew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct End {
    /// "edge", "node" or "ca".
    pub(crate) which: &'static str,
    /// The key of the configuration that names the file.
    pub(crate) key: &'static str,
    /// The file.
    pub(crate) file: PathBuf,
    /// When that one of those in it begins which ends first.
    pub(crate) from: OffsetDateTime,
    /// When it ends.
    pub(crate) at: OffsetDateTime,
}

/// Counts and warns of one certificate.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    warned: Option<OffsetDateTime>,
}

impl Watch {
    /// Says how long it is, and warns if it is time to.
    pub(crate) fn look(&mut self, end: &End, now: OffsetDateTime) {
        gauge!(NOT_BEFORE, "which" => end.which).set(end.from.unix_timestamp() as f64);
        gauge!(NOT_AFTER, "which" => end.which).set(end.at.unix_timestamp() as f64);
        let left = end.at - now;
        if !self.is_due(left, end.at - end.from, now) {
            return;
        }
        let (key, file) = (end.key, end.file.display());
        match left.whole_days() {
            _ if left <= Duration::ZERO => tracing::warn!("{key}: {file} has ended, at {}: renew it", end.at),
            days => tracing::warn!("{key}: {file} ends in {days} days, at {}: renew it", end.at),
        }
    }

    /// At once, and once a day, from [`EARLY`] on, or in the last third of one that is short: such
    /// ones are renewed late as a matter of course.
    fn is_due(&mut self, left: Duration, life: Duration, now: OffsetDateTime) -> bool {
        if left > EARLY.min(life / 3) {
            self.warned = None;
            return false;
        }
        let due = self.warned.is_none_or(|warned| now - warned >= Duration::DAY);
        if due {
            self.warned = Some(now);
        }
        due
    }
}

/// Tells the recorder what the metric means.
pub(crate) fn describe() {
    describe_gauge!(NOT_BEFORE, "When a certificate begins, in seconds since 1970");
    describe_gauge!(NOT_AFTER, "When a certificate ends, in seconds since 1970");
}

const NOT_BEFORE: &str = "gogochat_certificate_not_before_seconds";
const NOT_AFTER: &str = "gogochat_certificate_not_after_seconds";
const EARLY: Duration = Duration::days(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_warned_of_once_a_day_in_the_last_month_until_it_is_renewed() {
        let (begin, mut watch) = (OffsetDateTime::UNIX_EPOCH, Watch::default());
        let year = Duration::days(365);
        let mut due = |left: i64, hours: i64| watch.is_due(Duration::days(left), year, begin + Duration::hours(hours));
        assert!(!due(31, 0));
        assert!(due(30, 1));
        assert!(!due(30, 24));
        assert!(due(29, 25));
        assert!(!due(29, 48));
        // Renewed, and again a month before its end.
        assert!(!due(90, 49));
        assert!(due(30, 50));
        assert!(due(-1, 74));
    }

    #[test]
    fn a_short_one_is_warned_of_in_its_last_third() {
        let due =
            |left: i64| Watch::default().is_due(Duration::hours(left), Duration::hours(72), OffsetDateTime::UNIX_EPOCH);
        assert!(!due(25));
        assert!(due(24));
    }
}
