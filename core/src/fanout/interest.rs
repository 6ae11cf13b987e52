//! How far one edge has been sent one log: pure, so that the join of replay and live can be tested in every order.
//!
//! What is live is sent as it comes. Other cores may commit to the same log and tell the same edge, so what is missing between two events
//! is known to the edge alone: it asks for it, and it comes from the store, in order, until replay and live meet. Nothing is kept in memory
//! meanwhile: what was committed can be read.

/// Where an edge stands with a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// A session has been opened that will want this log; nothing is sent yet, but what is published is noted, so that the replay can be
    /// spared when nothing came between.
    Announced {
        /// The log's end, as the session was told.
        seen: i64,
        /// The last that was published since.
        top: i64,
    },
    /// Everything up to `last` was sent, by this core or, as far as it knows, by another.
    Live {
        /// The last that was sent.
        last: i64,
    },
    /// Everything up to `last` was sent; what follows is being read from the store, at least up to `top`.
    Replaying {
        /// The last that was sent.
        last: i64,
        /// The last that was published.
        top: i64,
    },
}

/// What to do with an event that was just published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Published {
    /// Send it.
    Send,
    /// It was sent, or the replay will come to it.
    Skip,
}

impl State {
    /// A session has been opened that was told of everything up to `seen`.
    pub(crate) fn announced(seen: i64) -> Self {
        Self::Announced { seen, top: seen }
    }

    /// The edge asks for what comes after `have`, for the first time.
    pub(crate) fn asked(have: i64) -> Self {
        Self::Replaying { last: have, top: have }
    }

    /// The edge asks for what comes after `have`; `verify`: even if nothing is missing as far as is known here. `true`: a replay has to begin.
    pub(crate) fn ask(&mut self, have: i64, verify: bool) -> bool {
        match *self {
            Self::Announced { seen, top } if !verify && seen <= have && top <= have => {
                *self = Self::Live { last: have };
                false
            }
            Self::Live { last } if last == have && !verify => false,
            Self::Announced { top, .. } | Self::Live { last: top } => {
                *self = Self::Replaying { last: have, top: top.max(have) };
                true
            }
            // The replay that runs goes on from there.
            Self::Replaying { last, top } => {
                *self = Self::Replaying { last: last.min(have), top };
                false
            }
        }
    }

    /// Something may have been committed that nobody was told of. `true`: a replay has to begin, which reads it.
    pub(crate) fn doubt(&mut self) -> bool {
        match *self {
            Self::Live { last } => {
                *self = Self::Replaying { last, top: last };
                true
            }
            Self::Announced { .. } | Self::Replaying { .. } => false,
        }
    }

    /// An event was published.
    pub(crate) fn publish(&mut self, seq: i64) -> Published {
        match self {
            Self::Live { last } if seq <= *last => Published::Skip,
            Self::Live { last } => {
                *last = seq;
                Published::Send
            }
            Self::Announced { top, .. } | Self::Replaying { top, .. } => {
                *top = seq.max(*top);
                Published::Skip
            }
        }
    }

    /// Whether an event of this seq may be news to the edge.
    pub(crate) fn lacks(self, seq: i64) -> bool {
        matches!(self, Self::Live { last } if last < seq)
    }

    /// Where a replay has to read on; `None`: there is none to do.
    pub(crate) fn replay_from(self) -> Option<i64> {
        match self {
            Self::Replaying { last, .. } => Some(last),
            Self::Announced { .. } | Self::Live { .. } => None,
        }
    }

    /// A replay has sent what comes after `from`, up to `to`; `end`: the store had no more. `true`: live from here.
    pub(crate) fn replayed(&mut self, from: i64, to: i64, end: bool) -> bool {
        let Self::Replaying { last, top } = self else { return true };
        // The edge may have asked anew meanwhile, for more: then this page does not count.
        if *last == from {
            *last = to;
        }
        if end && *last == to && *top <= to {
            *self = Self::Live { last: to };
            return true;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A log, its publisher and one edge, in any interleaving of their steps.
    #[derive(Debug, Default)]
    struct World {
        committed: i64,
        /// What other cores have committed and tell, if they are not lost before.
        foreign: std::collections::BTreeSet<i64>,
        published: i64,
        state: Option<State>,
        /// Pages that a replay has read and not sent yet: (from, to, end).
        read: Option<(i64, i64, bool)>,
        replaying: bool,
        /// The last that the edge got; it drops what it has, and must never see a gap.
        edge: i64,
        /// A session that is being opened: how much was published before its view was read, and the log's end in it.
        opening: Option<(i64, i64)>,
        /// Unless it has forgotten something while more was on its way: then it asks again.
        forgot: bool,
    }

    impl World {
        fn step(&mut self, step: u8) {
            match step {
                0 => self.committed += 1,
                1 => self.publish(),
                2 => self.ask(self.edge),
                3 => self.read(),
                4 => self.send(),
                5 => self.opening = Some((self.published, self.committed)),
                6 => self.enter(),
                7 => {
                    self.committed += 1;
                    self.foreign.insert(self.committed);
                    self.forgot = true;
                }
                // The edge has forgotten all it had, or this is another edge.
                _ => {
                    self.forgot = true;
                    self.edge = self.edge.min(i64::from(step) % 8);
                    self.ask(self.edge);
                }
            }
        }

        /// As the hub does it: only when nothing that the view lacks was published since it was read.
        fn enter(&mut self) {
            let Some((before, end)) = self.opening.take() else { return };
            if self.published > before && self.published > end {
                return;
            }
            if self.state.is_none() {
                self.state = Some(State::announced(end));
                // What came before is the session's own affair.
                self.edge = self.edge.max(end);
            }
        }

        fn publish(&mut self) {
            if self.published == self.committed {
                return;
            }
            self.published += 1;
            let seq = self.published;
            if self.foreign.contains(&seq) {
                // The other core tells it, or is lost before: every other time.
                if seq % 2 == 0 && self.state.is_some() {
                    self.deliver(seq);
                }
                return;
            }
            if let Some(state) = &mut self.state {
                match state.publish(seq) {
                    Published::Send => self.deliver(seq),
                    Published::Skip => {}
                }
            }
        }

        fn ask(&mut self, have: i64) {
            self.ask_or_verify(have, false);
        }

        fn ask_or_verify(&mut self, have: i64, verify: bool) {
            match &mut self.state {
                None => {
                    self.state = Some(State::asked(have));
                    self.replaying = true;
                }
                Some(state) => self.replaying |= state.ask(have, verify),
            }
        }

        fn read(&mut self) {
            if self.replaying
                && self.read.is_none()
                && let Some(from) = self.state.and_then(State::replay_from)
            {
                let to = (from + 3).min(self.committed).max(from);
                self.read = Some((from, to, to >= self.committed));
            }
        }

        fn send(&mut self) {
            if let Some((from, to, end)) = self.read.take() {
                for seq in from + 1..=to {
                    self.deliver(seq);
                }
                if self.state.as_mut().is_some_and(|state| state.replayed(from, to, end)) {
                    self.replaying = false;
                }
            }
        }

        fn deliver(&mut self, seq: i64) {
            assert!(self.forgot || seq > self.edge, "{seq} comes twice: {self:?}");
            if seq == self.edge + 1 {
                self.edge = seq;
            } else if seq > self.edge {
                assert!(self.forgot, "a gap: {self:?}");
                self.ask(self.edge);
            }
        }

        /// Everything settles: all is published and every replay runs to its end, and after a core was lost the edge has another look.
        fn settle(&mut self) {
            for lost in [false, true] {
                self.ask_or_verify(self.edge, lost);
                for _ in 0..1_000 {
                    self.publish();
                    self.read();
                    self.send();
                }
            }
            assert_eq!(self.edge, self.committed, "not everything came: {self:?}");
            assert!(matches!(self.state, Some(State::Live { last }) if last == self.committed), "{self:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]
        #[test]
        fn nothing_is_lost_doubled_or_out_of_order(steps in prop::collection::vec(0..7_u8, 0..200)) {
            run(&steps);
        }

        #[test]
        fn an_edge_that_forgets_is_sent_it_again(steps in prop::collection::vec(prop_oneof![9 => 0..7_u8, 1 => 8..14_u8], 0..200)) {
            run(&steps);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]
        #[test]
        fn what_other_cores_commit_comes_though_they_may_be_lost(steps in prop::collection::vec(0..14_u8, 0..200)) {
            run(&steps);
        }
    }

    fn run(steps: &[u8]) {
        let mut world = World::default();
        for step in steps {
            world.step(*step);
        }
        world.settle();
    }

    #[test]
    fn an_announced_log_needs_no_replay_when_nothing_came_between() {
        let mut state = State::announced(5);
        assert!(!state.ask(5, false));
        assert_eq!(state, State::Live { last: 5 });
        assert_eq!(state.publish(6), Published::Send);
        assert_eq!(state.publish(6), Published::Skip);
    }

    #[test]
    fn an_announced_log_is_replayed_when_something_did_or_the_edge_has_less() {
        let mut state = State::announced(5);
        assert_eq!(state.publish(6), Published::Skip);
        assert!(state.ask(5, false));
        assert_eq!(state, State::Replaying { last: 5, top: 6 });
        assert!(State::announced(5).ask(3, false));
    }

    #[test]
    fn a_gap_is_the_edges_to_notice_and_is_read_from_the_store() {
        let mut state = State::Live { last: 2 };
        assert_eq!(state.publish(5), Published::Send);
        assert!(state.ask(2, false));
        assert_eq!(state.publish(6), Published::Skip);
        assert_eq!(state.replay_from(), Some(2));
        assert!(!state.replayed(2, 5, true), "6 was published");
        assert!(state.replayed(5, 6, true));
        assert_eq!(state, State::Live { last: 6 });
    }

    #[test]
    fn one_that_has_all_that_is_known_here_looks_all_the_same_when_asked_to() {
        let mut state = State::Live { last: 5 };
        assert!(!state.ask(5, false));
        assert!(state.ask(5, true));
        assert_eq!(state.replay_from(), Some(5));
        let mut announced = State::announced(5);
        assert!(announced.ask(5, true));
        assert!(State::Live { last: 5 }.lacks(6) && !State::Live { last: 5 }.lacks(5));
    }
}
