//! Delivered and read marks on their way: the latest of each conversation, sent together, at most
//! once a second. No clock and no I/O.

use std::collections::HashMap;

use gogochat_proto::{
    ids::LogId,
    limits::{MARKS_INTERVAL, MAX_MARKS},
    v1::Mark,
};
use tokio::time::Instant;

/// What is to be marked.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    waiting: HashMap<LogId, (i64, i64)>,
    last_sent: Option<Instant>,
}

impl Marks {
    /// Everything up to `seq` is on the device.
    pub(crate) fn delivered(&mut self, log: LogId, seq: i64) {
        let (delivered, _) = self.waiting.entry(log).or_default();
        *delivered = seq.max(*delivered);
    }

    /// Everything up to `seq` was seen.
    pub(crate) fn read(&mut self, log: LogId, seq: i64) {
        let (delivered, read) = self.waiting.entry(log).or_default();
        *delivered = seq.max(*delivered);
        *read = seq.max(*read);
    }

    /// The conversation is left.
    pub(crate) fn forget(&mut self, log: LogId) {
        self.waiting.remove(&log);
    }

    /// When the next are due.
    pub(crate) fn due(&self, now: Instant) -> Option<Instant> {
        (!self.waiting.is_empty()).then(|| self.last_sent.map_or(now, |last| last + MARKS_INTERVAL))
    }

    /// Those that are due, as many as a frame may have.
    pub(crate) fn take(&mut self, now: Instant) -> Vec<Mark> {
        if self.due(now).is_none_or(|due| due > now) {
            return Vec::new();
        }
        self.last_sent = Some(now);
        let some: Vec<LogId> = self.waiting.keys().take(MAX_MARKS).copied().collect();
        some.into_iter()
            .filter_map(|log| {
                let (delivered_seq, read_seq) = self.waiting.remove(&log)?;
                Some(Mark { conversation_id: log.to_string(), delivered_seq, read_seq })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_latest_once_a_second() {
        let (mut marks, now, log) = (Marks::default(), Instant::now(), LogId::new_v7());
        assert_eq!(marks.due(now), None);
        marks.delivered(log, 3);
        assert_eq!(marks.take(now).len(), 1);
        marks.delivered(log, 5);
        marks.read(log, 4);
        marks.delivered(log, 4);
        assert_eq!(marks.due(now), Some(now + MARKS_INTERVAL));
        assert!(marks.take(now + Duration::from_millis(999)).is_empty());
        let due = marks.take(now + MARKS_INTERVAL);
        assert_eq!(due, [Mark { conversation_id: log.to_string(), delivered_seq: 5, read_seq: 4 }]);
        assert_eq!(marks.due(now + MARKS_INTERVAL), None);
    }

    #[test]
    fn a_frame_has_room_for_a_thousand() {
        let (mut marks, now) = (Marks::default(), Instant::now());
        for _ in 0..MAX_MARKS + 1 {
            marks.delivered(LogId::new_v7(), 1);
        }
        assert_eq!(marks.take(now).len(), MAX_MARKS);
        assert_eq!(marks.take(now + MARKS_INTERVAL).len(), 1);
    }
}
