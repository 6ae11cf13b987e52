//! One log as this device has it: hands events out in the order of their seq, each once, and says
//! what is missing.

use std::collections::BTreeMap;

use gogochat_proto::v1::{Event, Head};

/// A log that is followed.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// Everything up to here was handed out.
    have: i64,
    /// As far as the log is known to go.
    last: i64,
    /// Events that came before one that is missing.
    held: BTreeMap<i64, Event>,
    /// The conversation's head as it was last told.
    pub(crate) head: Head,
    /// How many members the conversation has; 0 while unknown, and for the user's own log.
    pub(crate) members: i32,
    /// A page is on its way, or waits for its time.
    pub(crate) fetching: bool,
}

impl Log {
    /// A log of which everything up to `have` is known.
    pub(crate) fn new(have: i64) -> Self {
        Self { have, last: have, ..Self::default() }
    }

    /// A conversation of which the device had this much when it stopped.
    pub(crate) fn resumed(head: Head) -> Self {
        Self { head: head.clone(), ..Self::new(head.last_seq) }
    }

    /// The seq of the last event that was handed out.
    pub(crate) fn have(&self) -> i64 {
        self.have
    }

    /// Takes an event as it came; appends to `ready` what is to be handed out now.
    pub(crate) fn event(&mut self, event: Event, ready: &mut Vec<Event>) {
        self.last = self.last.max(event.seq);
        if event.seq == self.have + 1 {
            self.have = event.seq;
            ready.push(event);
            self.release(ready);
        } else if event.seq > self.have {
            self.held.insert(event.seq, event);
            if self.held.len() > MAX_HELD {
                // It will be fetched when its turn comes.
                self.held.pop_last();
            }
        }
    }

    /// The log is known to go as far as this.
    pub(crate) fn reaches(&mut self, last_seq: i64) {
        self.last = self.last.max(last_seq);
    }

    /// The first event that may be read is this one: what is before it is not missing.
    pub(crate) fn begins(&mut self, from_seq: i64, ready: &mut Vec<Event>) {
        if from_seq - 1 > self.have {
            self.jump(from_seq - 1, ready);
        }
    }

    /// After which seq to fetch, when events are missing that are not on their way.
    pub(crate) fn gap(&self) -> Option<i64> {
        (self.last > self.have && !self.fetching).then_some(self.have)
    }

    /// Whether everything that is known to exist was handed out.
    pub(crate) fn is_whole(&self) -> bool {
        self.last <= self.have
    }

    /// Takes a page that was asked for with after_seq = [`Self::gap`]. True when the log does not
    /// go on where it stood: events between are not to be had any more.
    pub(crate) fn page(&mut self, events: Vec<Event>, more: bool, last_seq: i64, ready: &mut Vec<Event>) -> bool {
        self.fetching = false;
        let before = self.have;
        let first = events.iter().map(|event| event.seq).find(|seq| *seq > before);
        let mut reset = false;
        if let Some(first) = first.filter(|first| *first > before + 1) {
            self.jump(first - 1, ready);
            reset = true;
        }
        for event in events {
            self.event(event, ready);
        }
        if self.have == before && !more && self.last > self.have {
            // The server has nothing there: what is missing is no more.
            let next = self.held.first_key_value().map_or(last_seq, |(seq, _)| seq - 1);
            self.last = self.last.min(last_seq.max(next));
            if next > self.have {
                self.jump(next, ready);
            }
            self.last = self.last.max(self.have);
            reset = true;
        }
        reset
    }

    fn jump(&mut self, have: i64, ready: &mut Vec<Event>) {
        self.have = have;
        self.last = self.last.max(have);
        self.held = self.held.split_off(&(have + 1));
        self.release(ready);
    }

    fn release(&mut self, ready: &mut Vec<Event>) {
        while let Some(event) = self.held.remove(&(self.have + 1)) {
            self.have = event.seq;
            ready.push(event);
        }
    }
}

const MAX_HELD: usize = 1_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(seq: i64) -> Event {
        Event { seq, ..Event::default() }
    }

    fn seqs(events: &[Event]) -> Vec<i64> {
        events.iter().map(|event| event.seq).collect()
    }

    #[test]
    fn a_gap_holds_what_comes_after_until_it_is_filled() {
        let mut log = Log::new(3);
        let mut ready = Vec::new();
        for seq in [4, 3, 4, 7, 6, 7] {
            log.event(event(seq), &mut ready);
        }
        assert_eq!(seqs(&ready), [4]);
        assert_eq!(log.gap(), Some(4));
        log.fetching = true;
        assert_eq!(log.gap(), None);
        assert!(!log.page(vec![event(5), event(6)], false, 7, &mut ready));
        assert_eq!(seqs(&ready), [4, 5, 6, 7]);
        assert!(log.is_whole());
    }

    #[test]
    fn what_is_not_to_be_had_is_passed_over_and_told() {
        let mut log = Log::new(0);
        let mut ready = Vec::new();
        log.event(event(9), &mut ready);
        assert!(log.page(vec![], false, 9, &mut ready));
        assert_eq!(seqs(&ready), [9]);
        log.reaches(20);
        assert!(log.page(vec![], false, 9, &mut ready), "a server that lost its end");
        assert!(log.is_whole());
        log.reaches(30);
        assert!(log.page(vec![event(25)], true, 30, &mut ready), "a log cut at its beginning");
        assert_eq!((log.gap(), seqs(&ready)), (Some(25), vec![9, 25]));
    }

    #[test]
    fn a_member_anew_begins_later() {
        let mut log = Log::new(5);
        let mut ready = Vec::new();
        log.event(event(12), &mut ready);
        log.begins(11, &mut ready);
        assert_eq!(log.gap(), Some(10));
        log.begins(3, &mut ready);
        assert_eq!(log.have(), 10);
    }

    proptest! {
        /// Whatever the order, doubling and loss of what comes: with pages for the gaps everything
        /// is handed out once, in order.
        #[test]
        fn everything_once_in_order(sequence in prop::collection::vec(1_i64..60, 0..200), pages in prop::collection::vec(1_usize..20, 1..50)) {
            let mut log = Log::new(0);
            let mut ready = Vec::new();
            let mut pages = pages.into_iter().cycle();
            for seq in sequence {
                log.event(event(seq), &mut ready);
            }
            log.reaches(60);
            while let Some(after) = log.gap() {
                let end = (after + pages.next().unwrap() as i64).min(60);
                prop_assert!(!log.page((after + 1..=end).map(event).collect(), end < 60, 60, &mut ready));
            }
            prop_assert_eq!(seqs(&ready), (1..=60).collect::<Vec<_>>());
        }
    }
}
