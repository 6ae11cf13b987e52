//! The phases of a core's end.

use std::sync::atomic::{AtomicU8, Ordering};

/// A phase. Each comes after the one before it, and none comes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Sessions open, and commands are taken.
    Serving,
    /// The edges know. No session opens, and commands are still taken.
    Draining,
    /// Commands are refused, too. What was taken is committed and answered.
    Refusing,
    /// The workers have ended, and no edge attaches any more.
    Ended,
}

/// The phase that this core has reached.
#[derive(Debug)]
pub(super) struct Reached(AtomicU8);

impl Default for Reached {
    fn default() -> Self {
        Self(AtomicU8::new(Phase::Serving as u8))
    }
}

impl Reached {
    /// This phase begins, unless a later one has.
    pub(super) fn begin(&self, phase: Phase) {
        self.0.fetch_max(phase as u8, Ordering::SeqCst);
    }

    /// Whether this phase, or a later one, has begun.
    pub(super) fn has(&self, phase: Phase) -> bool {
        self.0.load(Ordering::SeqCst) >= phase as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_never_go_back() {
        let reached = Reached::default();
        assert!(reached.has(Phase::Serving) && !reached.has(Phase::Draining));
        reached.begin(Phase::Refusing);
        reached.begin(Phase::Draining);
        assert!(reached.has(Phase::Draining) && reached.has(Phase::Refusing) && !reached.has(Phase::Ended));
    }
}
