//! Marks on their way to the core: the newest counts, and at most one batch goes in a second. What was
//! just sent is kept until the core must have committed it. If the core is lost before that, the marks
//! are sent again, to another.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use gogochat_proto::{
    ids::LogId,
    limits::{MARKS_INTERVAL, MAX_MARKS},
    node, v1,
};

/// The marks that wait to go up: one for each log that the session follows, at most.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    waiting: HashMap<LogId, (i64, i64)>,
    /// What went up last, and within [`UNSURE`] before.
    recent: HashMap<LogId, (i64, i64)>,
    sent: Option<Instant>,
}

/// A mark names no conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InvalidMarks;

impl Marks {
    /// Takes a client's marks and gives those that are to go up at once: with a read mark everything
    /// that waits goes, when nothing went in the last second and the core is `reachable`.
    pub(crate) fn add(
        &mut self,
        marks: &[v1::Mark],
        reachable: bool,
        now: Instant,
    ) -> Result<Vec<node::MarkUp>, InvalidMarks> {
        if marks.len() > MAX_MARKS {
            return Err(InvalidMarks);
        }
        let mut urgent = false;
        for mark in marks {
            let log: LogId = mark.conversation_id.parse().map_err(|_| InvalidMarks)?;
            urgent |= mark.read_seq > self.waiting.get(&log).map_or(0, |(_, read)| *read);
            raise(&mut self.waiting, log, (mark.delivered_seq, mark.read_seq));
        }
        Ok(if urgent && reachable && self.is_due(now) { self.take(now) } else { Vec::new() })
    }

    /// What is to go up by now.
    pub(crate) fn tick(&mut self, now: Instant) -> Vec<node::MarkUp> {
        self.forget(now);
        if self.waiting.is_empty() || !self.is_due(now) { Vec::new() } else { self.take(now) }
    }

    /// Their core was lost: what it may not have committed goes up again.
    pub(crate) fn may_be_lost(&mut self) {
        for (log, marks) in std::mem::take(&mut self.recent) {
            raise(&mut self.waiting, log, marks);
        }
    }

    /// Everything that waits, at the session's end.
    pub(crate) fn take(&mut self, now: Instant) -> Vec<node::MarkUp> {
        self.forget(now);
        self.sent = Some(now);
        let up = std::mem::take(&mut self.waiting);
        for (log, marks) in &up {
            raise(&mut self.recent, *log, *marks);
        }
        up.into_iter()
            .map(|(log, (delivered_seq, read_seq))| node::MarkUp { log_id: log.to_bytes(), delivered_seq, read_seq })
            .collect()
    }

    /// What went up long ago was committed, or its core was lost long ago.
    fn forget(&mut self, now: Instant) {
        let is_sure = self.sent.is_none_or(|sent| now.saturating_duration_since(sent) >= UNSURE);
        if is_sure || self.recent.len() > MAX_MARKS {
            self.recent = HashMap::new();
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        self.sent.is_none_or(|sent| now.saturating_duration_since(sent) >= MARKS_INTERVAL)
    }
}

fn raise(marks: &mut HashMap<LogId, (i64, i64)>, log: LogId, (delivered, read): (i64, i64)) {
    let marks = marks.entry(log).or_default();
    *marks = (marks.0.max(delivered), marks.1.max(read));
}

/// A core commits marks within a second.
const UNSURE: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {

    use super::*;

    fn mark(log: LogId, delivered_seq: i64, read_seq: i64) -> v1::Mark {
        v1::Mark { conversation_id: log.to_string(), delivered_seq, read_seq }
    }

    #[test]
    fn delivered_marks_wait_and_coalesce() {
        let (start, log) = (Instant::now(), LogId::new_v7());
        let mut marks = Marks::default();
        for seq in 1..=50 {
            assert!(marks.add(&[mark(log, seq, 0)], true, start).unwrap().is_empty());
        }
        // An older one takes nothing back.
        marks.add(&[mark(log, 3, 0)], true, start).unwrap();
        let up = marks.tick(start);
        assert_eq!((up.len(), up[0].delivered_seq, up[0].read_seq), (1, 50, 0));
        assert!(marks.tick(start + Duration::from_secs(5)).is_empty());
    }

    #[test]
    fn a_read_mark_goes_at_once_but_not_twice_a_second() {
        let (start, log) = (Instant::now(), LogId::new_v7());
        let mut marks = Marks::default();
        assert_eq!(marks.add(&[mark(log, 1, 1)], true, start).unwrap().len(), 1);
        let soon = start + Duration::from_millis(300);
        assert!(marks.add(&[mark(log, 2, 2)], true, soon).unwrap().is_empty());
        assert!(marks.tick(soon).is_empty());
        assert_eq!(marks.tick(start + MARKS_INTERVAL)[0].read_seq, 2);
    }

    #[test]
    fn what_a_lost_core_may_not_have_committed_goes_up_again() {
        let (start, log) = (Instant::now(), LogId::new_v7());
        let mut marks = Marks::default();
        assert_eq!(marks.add(&[mark(log, 2, 2)], true, start).unwrap().len(), 1);
        marks.add(&[mark(log, 3, 1)], false, start).unwrap();
        marks.may_be_lost();
        let up = marks.tick(start + MARKS_INTERVAL);
        assert_eq!((up.len(), up[0].delivered_seq, up[0].read_seq), (1, 3, 2));
        // What went up long ago is committed.
        assert!(marks.tick(start + MARKS_INTERVAL + UNSURE).is_empty());
        marks.may_be_lost();
        assert!(marks.tick(start + MARKS_INTERVAL + UNSURE * 2).is_empty() && marks.recent.is_empty());
    }

    #[test]
    fn the_limit_and_past_it() {
        let now = Instant::now();
        let many: Vec<_> = (0..=MAX_MARKS).map(|_| mark(LogId::new_v7(), 1, 0)).collect();
        assert!(Marks::default().add(&many[1..], true, now).is_ok());
        assert_eq!(Marks::default().add(&many, true, now), Err(InvalidMarks));
        let wrong = v1::Mark { conversation_id: "x".into(), delivered_seq: 1, read_seq: 0 };
        assert_eq!(Marks::default().add(&[wrong], true, now), Err(InvalidMarks));
    }
}
