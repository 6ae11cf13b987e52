//! How far one edge was sent one log: a state machine without I/O, so that every order of live
//! events, checks and replays can be tested.
//!
//! Live events are sent as they come, from the moment when the edge asks for the log. Other cores
//! may commit to the same log and send to the same edge. So only the edge sees what is missing
//! between two events. It asks for that, and the core replays it from the store, in order, until
//! the replay meets the live events. What may be missing behind the last event shows in the log's
//! end in the store. That is checked while live events go on, and only a log that has more is
//! replayed. No event is kept in memory meanwhile, because every committed event can be read again.

/// What one edge has been sent of one log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReplayProgress {
    state: State,
    /// The log waits for its end to be checked. Not so while that is done: whoever asks then has it
    /// checked once more.
    waits_for_check: bool,
    is_checked: bool,
    /// Everything up to here was sent in a row. While a check is due or under way, what was sent past a
    /// gap does not count: it would hide what is missing before it. At other times the edge notices gaps,
    /// and it may have the rest from another core.
    unbroken: i64,
}

/// How far it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A session has been opened that will want this log. Nothing is sent yet, but published events are
    /// noted: if none comes in between, there is nothing to check.
    Announced {
        /// The log's end as the session was told, or the last that is known of since.
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
        /// The last that is known of.
        top: i64,
    },
}

/// What there is to do for an edge in the store. Of each kind at most one waits for an edge and a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// To look where the log ends.
    Check,
    /// To read what the edge lacks.
    Replay,
}

/// What to do with an event that was just published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Published {
    /// Send it.
    Send,
    /// It was sent, or the replay will come to it.
    Skip,
}

impl ReplayProgress {
    /// A session has been opened that was told of everything up to `seen`.
    pub(crate) fn announced(seen: i64) -> Self {
        Self { state: State::Announced { top: seen }, waits_for_check: false, is_checked: false, unbroken: seen }
    }

    /// The edge asks for what comes after `have`, for the first time: live from here, and to be checked.
    pub(crate) fn asked(have: i64) -> (Self, Work) {
        (
            Self { state: State::Live { last: have }, waits_for_check: true, is_checked: false, unbroken: have },
            Work::Check,
        )
    }

    /// The edge asks for what comes after `have`; `verify`: something may be missing of which
    /// nothing is known here.
    pub(crate) fn ask(&mut self, have: i64, verify: bool) -> Option<Work> {
        let (known, news) = match self.state {
            State::Announced { top } => (top, false),
            State::Live { last } => (last, last < have),
            State::Replaying { last, top } => {
                // The replay goes on from there. What it has read already may be older than this question.
                self.state = State::Replaying { last: last.min(have), top };
                return if verify { self.wait_for_check() } else { None };
            }
        };
        if have < known {
            self.state = State::Replaying { last: have, top: known };
            return Some(Work::Replay);
        }
        self.state = State::Live { last: have };
        self.unbroken = have;
        if verify || news { self.wait_for_check() } else { None }
    }

    /// An event may have been committed that was sent to nobody.
    pub(crate) fn resync(&mut self) -> Option<Work> {
        self.wait_for_check()
    }

    fn wait_for_check(&mut self) -> Option<Work> {
        let waits = std::mem::replace(&mut self.waits_for_check, true);
        (!waits).then_some(Work::Check)
    }

    /// The log's end is about to be read.
    pub(crate) fn check(&mut self) {
        (self.waits_for_check, self.is_checked) = (false, true);
    }

    /// The log's end was read since: it was at `end`.
    pub(crate) fn checked(&mut self, end: i64) -> Option<Work> {
        self.is_checked = false;
        match &mut self.state {
            State::Live { last } if self.unbroken < end.max(*last) => {
                self.state = State::Replaying { last: self.unbroken, top: end.max(*last) };
                Some(Work::Replay)
            }
            State::Live { .. } => None,
            State::Announced { top } | State::Replaying { top, .. } => {
                *top = end.max(*top);
                None
            }
        }
    }

    /// An event was published.
    pub(crate) fn publish(&mut self, seq: i64) -> Published {
        match &mut self.state {
            State::Live { last } if seq <= *last => Published::Skip,
            State::Live { last } => {
                *last = seq;
                if self.unbroken + 1 == seq || !(self.waits_for_check || self.is_checked) {
                    self.unbroken = seq;
                }
                Published::Send
            }
            State::Announced { top } | State::Replaying { top, .. } => {
                *top = seq.max(*top);
                Published::Skip
            }
        }
    }

    /// Whether an event of this seq may be news to the edge.
    pub(crate) fn lacks(self, seq: i64) -> bool {
        matches!(self.state, State::Live { last } if last < seq)
    }

    /// Whether the edge has not asked yet.
    pub(crate) fn is_announced(self) -> bool {
        matches!(self.state, State::Announced { .. })
    }

    /// Where a replay has to read on; `None`: there is none to do.
    pub(crate) fn replay_from(self) -> Option<i64> {
        match self.state {
            State::Replaying { last, .. } => Some(last),
            State::Announced { .. } | State::Live { .. } => None,
        }
    }

    /// A replay is about to send this event. `false`: it is not the next one, for the edge has asked for
    /// more since it was read.
    pub(crate) fn replay(&mut self, seq: i64) -> bool {
        match &mut self.state {
            State::Replaying { last, .. } if *last + 1 == seq => {
                *last = seq;
                true
            }
            _ => false,
        }
    }

    /// A replay has read up to `to`, and the store had no more. `true`: all of it was sent, no later event
    /// is known, and the log is live from here.
    pub(crate) fn replayed(&mut self, to: i64) -> bool {
        match self.state {
            State::Replaying { last, top } if last != to || top > to => false,
            State::Replaying { last, .. } => {
                self.state = State::Live { last };
                self.unbroken = last;
                true
            }
            State::Announced { .. } | State::Live { .. } => true,
        }
    }
}

#[cfg(test)]
#[path = "replay_progress_tests.rs"]
mod tests;
