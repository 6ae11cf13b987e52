use std::collections::{BTreeSet, VecDeque};

use proptest::prelude::*;

use super::*;

/// A log, the core with its store, one edge and the two directions of the stream between them, in
/// any interleaving of their steps.
#[derive(Debug, Default)]
struct World {
    committed: i64,
    /// What other cores have committed: they tell it, or are lost before.
    foreign: BTreeSet<i64>,
    published: i64,
    core: Core,
    edge: Edge,
    up: VecDeque<Asked>,
    down: VecDeque<i64>,
    /// A session that is being opened: how much was published before its view was read, and the
    /// log's end in it.
    opening: Option<(i64, i64)>,
}

/// One interest after the other, each with its number; and what is under way in the store, perhaps
/// for one that is no more.
#[derive(Debug, Default)]
struct Core {
    progress: Option<ReplayProgress>,
    number: u64,
    checks: VecDeque<u64>,
    /// Its end once it was read.
    checking: Option<(u64, Option<i64>)>,
    replays: VecDeque<u64>,
    replaying: Option<u64>,
    /// A page that was read: where from, its end, and whether the log's. Its events are sent one by one.
    page: Option<(i64, i64, bool)>,
    next: i64,
    /// The last that was sent since the edge asked for less.
    sent: i64,
    /// What was published before the interest began was not for it.
    began: i64,
    /// What was committed by then has to come without another question.
    due: i64,
}

#[derive(Debug, Default)]
struct Edge {
    follows: bool,
    have: i64,
    /// A gap was asked about, and nothing has come since.
    asked: bool,
}

#[derive(Debug)]
enum Asked {
    For { have: i64, verify: bool },
    Nothing,
}

/// A page's events.
const PAGE: i64 = 3;

impl World {
    fn step(&mut self, step: u8) {
        match step {
            0 | 1 => self.committed += 1,
            2 | 3 => self.publish(),
            4 => self.follow(),
            5 | 6 => self.take(),
            7 | 8 => self.deliver(),
            9 => self.begin_check(),
            10 => self.read_end(),
            11 => self.checked(),
            12 | 13 => self.read(),
            14 | 15 => self.send(),
            16 => self.opening = Some((self.published, self.committed)),
            17 => self.enter(),
            18 => self.verify(),
            19 => self.resync(),
            20 => self.edge.asked = false,
            21 => self.unfollow(),
            22 => {
                self.committed += 1;
                self.foreign.insert(self.committed);
            }
            // The edge's sessions have forgotten something: one came that wants more.
            _ => self.forget(i64::from(step) % 8),
        }
    }

    fn publish(&mut self) {
        if self.published == self.committed {
            return;
        }
        self.published += 1;
        let seq = self.published;
        if self.foreign.contains(&seq) {
            // The other core tells it, or is lost before: every other time. What is missing before
            // it is nobody's to replay.
            if seq % 2 == 0 && self.edge.follows && self.edge.have + 1 == seq {
                self.edge.have = seq;
                self.edge.asked = false;
            }
            return;
        }
        if let Some(progress) = &mut self.core.progress
            && progress.publish(seq) == Published::Send
        {
            self.sends(seq);
        }
    }

    /// Whatever goes to the edge: each once for a question, in order, and without a gap but for
    /// what this core was not to tell.
    fn sends(&mut self, seq: i64) {
        self.down.push_back(seq);
        assert!(seq > self.core.sent, "{seq} is sent twice: {self:?}");
        for missed in self.core.sent + 1..seq {
            let others = self.foreign.contains(&missed) || missed <= self.core.began;
            assert!(others, "{missed} is passed over: {self:?}");
        }
        self.core.sent = seq;
    }

    /// The edge's first session that follows the log, or one that it is told of once more.
    fn follow(&mut self) {
        if !self.edge.follows {
            self.edge.follows = true;
            self.edge.asked = false;
            self.up.push_back(Asked::For { have: self.edge.have, verify: false });
        }
    }

    fn unfollow(&mut self) {
        if self.edge.follows {
            self.edge.follows = false;
            self.up.push_back(Asked::Nothing);
        }
    }

    fn verify(&mut self) {
        if self.edge.follows {
            self.up.push_back(Asked::For { have: self.edge.have, verify: true });
        }
    }

    fn forget(&mut self, have: i64) {
        if self.edge.follows && have < self.edge.have {
            self.edge.have = have;
            self.up.push_back(Asked::For { have, verify: false });
        }
    }

    /// The core takes what the edge said.
    fn take(&mut self) {
        match self.up.pop_front() {
            None => {}
            Some(Asked::Nothing) => self.core.progress = None,
            Some(Asked::For { have, verify }) => self.asked(have, verify),
        }
    }

    fn asked(&mut self, have: i64, verify: bool) {
        let Some(progress) = &mut self.core.progress else {
            let (progress, work) = ReplayProgress::asked(have);
            self.begin(progress, have);
            self.core.due = self.committed;
            return self.todo(Some(work));
        };
        let known = match progress.state {
            State::Announced { top } => Some(top),
            State::Live { last } => Some(last),
            State::Replaying { .. } => None,
        };
        let work = progress.ask(have, verify);
        if known.is_some_and(|known| have >= known) {
            assert_eq!(progress.state, State::Live { last: have }, "what is published now waits");
        }
        // What comes up to there it was told by others, or is the session's own affair.
        if known.is_some() || have < self.core.sent {
            self.core.sent = have;
        }
        if verify {
            self.core.due = self.committed;
        }
        self.todo(work);
    }

    fn begin(&mut self, progress: ReplayProgress, have: i64) {
        self.core.progress = Some(progress);
        self.core.number += 1;
        (self.core.sent, self.core.began, self.core.due) = (have, self.published, 0);
    }

    fn todo(&mut self, work: Option<Work>) {
        let number = self.core.number;
        let core = &mut self.core;
        let list = match work {
            None => return,
            Some(Work::Check) => &mut core.checks,
            Some(Work::Replay) => {
                assert_ne!(core.replaying, Some(number), "two replays at once");
                &mut core.replays
            }
        };
        assert!(!list.contains(&number), "twice on the list");
        list.push_back(number);
    }

    /// The progress, where this is the interest it is of.
    fn of(&mut self, number: u64) -> Option<&mut ReplayProgress> {
        self.core.progress.as_mut().filter(|_| self.core.number == number)
    }

    fn begin_check(&mut self) {
        if self.core.checking.is_none()
            && let Some(number) = self.core.checks.pop_front()
            && let Some(progress) = self.of(number)
        {
            progress.check();
            self.core.checking = Some((number, None));
        }
    }

    fn read_end(&mut self) {
        if let Some((_, end @ None)) = &mut self.core.checking {
            *end = Some(self.committed);
        }
    }

    fn checked(&mut self) {
        if let Some((number, Some(end))) = self.core.checking {
            self.core.checking = None;
            if let Some(progress) = self.of(number) {
                let work = progress.checked(end);
                if work == Some(Work::Replay)
                    && let Some(from) = progress.replay_from()
                {
                    // Again only what lies behind a gap.
                    let mut again = from + 1..=self.core.sent;
                    let others = |seq: i64| self.foreign.contains(&seq) || seq <= self.core.began;
                    assert!(again.is_empty() || again.any(others), "more than is missing: {self:?}");
                    self.core.sent = self.core.sent.min(from);
                }
                self.todo(work);
            }
        }
    }

    fn read(&mut self) {
        if self.core.page.is_some() {
            return;
        }
        let Some(number) = self.core.replaying.or_else(|| self.core.replays.pop_front()) else { return };
        self.core.replaying = self.of(number).and_then(|progress| progress.replay_from()).map(|from| {
            let to = (from + PAGE).min(self.committed).max(from);
            self.core.page = Some((from, to, to - from < PAGE));
            self.core.next = from + 1;
            number
        });
    }

    fn send(&mut self) {
        let (Some(number), Some((_, to, end))) = (self.core.replaying, self.core.page) else { return };
        let seq = self.core.next;
        if seq <= to {
            self.core.next += 1;
            match self.of(number).is_some_and(|progress| progress.replay(seq)) {
                true => self.sends(seq),
                false => self.core.page = None,
            }
        } else {
            self.core.page = None;
            if end && self.of(number).is_none_or(|progress| progress.replayed(to)) {
                self.core.replaying = None;
            }
        }
    }

    /// As fan-out does it: only when nothing that the view lacks was published since it was read.
    fn enter(&mut self) {
        let Some((before, end)) = self.opening.take() else { return };
        let is_quiet = self.published <= before || self.published <= end;
        if is_quiet && self.core.progress.is_none() {
            self.begin(ReplayProgress::announced(end), end);
            if !self.edge.follows {
                // What came before is the session's own affair.
                self.edge.have = self.edge.have.max(end);
            }
        }
    }

    /// The core had no answer to a commit.
    fn resync(&mut self) {
        if let Some(progress) = &mut self.core.progress {
            let work = progress.resync();
            self.core.due = self.committed;
            self.todo(work);
        }
    }

    /// The edge takes what the core sent: it drops what it has, and asks for what a gap shows.
    fn deliver(&mut self) {
        let Some(seq) = self.down.pop_front() else { return };
        if !self.edge.follows {
            return;
        }
        if seq == self.edge.have + 1 {
            self.edge.have = seq;
            self.edge.asked = false;
        } else if seq > self.edge.have && !self.edge.asked {
            self.edge.asked = true;
            self.up.push_back(Asked::For { have: self.edge.have, verify: false });
        }
    }

    /// Everything that has begun gets to its end.
    fn run_out(&mut self) {
        for _ in 0..10_000 {
            for step in [2, 5, 7, 9, 10, 11, 12, 14] {
                self.step(step);
            }
            let core = &self.core;
            let is_idle = core.checks.is_empty() && core.replays.is_empty() && core.checking.is_none();
            let is_quiet = core.replaying.is_none() && self.up.is_empty() && self.down.is_empty();
            if is_idle && is_quiet && self.published == self.committed {
                return;
            }
        }
        panic!("it has no end: {self:?}");
    }

    /// What was due comes by itself, and after a core was lost the edge has everything looked for.
    fn settle(&mut self) {
        self.follow();
        self.run_out();
        assert!(self.edge.have >= self.core.due, "what was asked for has not come: {self:?}");
        self.verify();
        self.run_out();
        assert_eq!(self.edge.have, self.committed, "not everything came: {self:?}");
        let last = self.committed;
        let is_settled = |progress: ReplayProgress| progress.state == State::Live { last } && !progress.waits_for_check;
        assert!(self.core.progress.is_some_and(is_settled), "{self:?}");
    }
}

fn run(steps: &[u8]) {
    let mut world = World::default();
    for step in steps {
        world.step(*step);
    }
    world.settle();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]
    #[test]
    fn nothing_is_lost_doubled_or_out_of_order(steps in prop::collection::vec(0..20_u8, 0..300)) {
        run(&steps);
    }

    #[test]
    fn an_edge_that_forgets_is_sent_it_again(steps in prop::collection::vec(prop_oneof![20 => 0..22_u8, 1 => 24..30_u8], 0..300)) {
        run(&steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40_000, ..ProptestConfig::default() })]
    /// Short as well, so that nothing comes that would repair what went wrong before.
    #[test]
    fn what_other_cores_commit_comes_though_they_may_be_lost(
        steps in prop::collection::vec(
            prop_oneof![8 => 0..20_u8, 3 => 4..9_u8, 6 => 9..12_u8, 5 => 12..16_u8, 3 => Just(18), 4 => Just(22), 1 => 20..30_u8],
            0..60,
        ),
    ) {
        run(&steps);
    }
}

fn live(last: i64) -> ReplayProgress {
    ReplayProgress { state: State::Live { last }, waits_for_check: false, is_checked: false, unbroken: last }
}

#[test]
fn who_asks_is_sent_what_comes_at_once_and_what_the_check_finds() {
    let (mut progress, work) = ReplayProgress::asked(5);
    assert_eq!(work, Work::Check);
    assert_eq!(progress.publish(6), Published::Send);
    assert_eq!(progress.publish(6), Published::Skip);
    assert_eq!(progress.ask(6, true), None, "it is on the list");
    progress.check();
    assert_eq!(progress.checked(6), None);
    assert_eq!(progress.ask(6, true), Some(Work::Check));
    progress.check();
    assert_eq!(progress.checked(8), Some(Work::Replay));
    assert_eq!(progress.replay_from(), Some(6));
    assert_eq!(progress.publish(9), Published::Skip);
    assert!(progress.replay(7) && progress.replay(8));
    assert!(!progress.replayed(8), "9 was published");
    assert!(progress.replay(9) && progress.replayed(9));
    assert_eq!(progress, live(9));
}

#[test]
fn who_asks_while_a_check_is_under_way_has_it_checked_once_more() {
    let (mut progress, _) = ReplayProgress::asked(5);
    progress.check();
    assert_eq!(progress.ask(5, true), Some(Work::Check));
    assert_eq!(progress.checked(5), None);
    assert_eq!(progress.resync(), None, "that look is still to come");
    // What a replay has read may be older than the question as well.
    let mut progress = live(5);
    assert_eq!(progress.ask(3, false), Some(Work::Replay));
    assert_eq!(progress.ask(3, true), Some(Work::Check));
    progress.check();
    assert_eq!(progress.checked(6), None);
    assert!(progress.replay(4) && progress.replay(5) && !progress.replayed(5), "6 is known of");
}

#[test]
fn an_announced_log_needs_no_look_when_nothing_came_between() {
    let mut progress = ReplayProgress::announced(5);
    assert!(progress.is_announced());
    assert_eq!(progress.ask(5, false), None);
    assert_eq!(progress, live(5));
    assert_eq!(ReplayProgress::announced(5).ask(5, true), Some(Work::Check));
}

#[test]
fn an_announced_log_is_replayed_when_something_did_or_the_edge_has_less() {
    let mut progress = ReplayProgress::announced(5);
    assert_eq!(progress.publish(6), Published::Skip);
    assert_eq!(progress.ask(5, false), Some(Work::Replay));
    assert_eq!(progress.state, State::Replaying { last: 5, top: 6 });
    assert_eq!(ReplayProgress::announced(5).ask(3, false), Some(Work::Replay));
    let mut resynced = ReplayProgress::announced(5);
    assert_eq!(resynced.resync(), Some(Work::Check));
    resynced.check();
    assert_eq!(resynced.checked(6), None, "nothing is sent before the edge asks");
    assert_eq!(resynced.ask(5, false), Some(Work::Replay));
}

#[test]
fn a_gap_is_the_edges_to_notice_and_is_read_from_the_store() {
    let mut progress = live(2);
    assert_eq!(progress.publish(5), Published::Send);
    assert_eq!(progress.ask(2, false), Some(Work::Replay));
    assert_eq!(progress.publish(6), Published::Skip);
    assert_eq!(progress.replay_from(), Some(2));
    assert!((3..=5).all(|seq| progress.replay(seq)));
    assert!(!progress.replayed(5), "6 was published");
    // A session has come that has less: what was read is not what comes next.
    assert_eq!(progress.ask(4, false), None);
    assert!(!progress.replay(6) && !progress.replayed(6));
    assert!(progress.replay(5) && progress.replay(6) && progress.replayed(6));
    assert_eq!(progress, live(6));
}

#[test]
fn what_was_sent_past_a_gap_hides_nothing_from_a_check() {
    let (mut progress, _) = ReplayProgress::asked(2);
    progress.check();
    assert_eq!(progress.publish(5), Published::Send);
    assert_eq!(progress.checked(4), Some(Work::Replay));
    assert_eq!(progress.replay_from(), Some(2));
    // Once nothing was found missing, gaps are the edge's.
    let mut progress = live(2);
    assert_eq!(progress.publish(5), Published::Send);
    assert_eq!(progress.ask(5, true), Some(Work::Check));
    progress.check();
    assert_eq!(progress.checked(5), None);
    assert_eq!(progress.publish(7), Published::Send);
    assert_eq!(progress.resync(), Some(Work::Check));
    progress.check();
    assert_eq!(progress.checked(7), None);
}

#[test]
fn one_that_has_all_that_is_known_here_is_checked_when_asked_to() {
    assert_eq!(live(5).ask(5, false), None);
    assert_eq!(live(5).ask(5, true), Some(Work::Check));
    // Others have told it more, and may know of more.
    assert_eq!(live(5).ask(7, false), Some(Work::Check));
    assert!(live(5).lacks(6) && !live(5).lacks(5));
}
