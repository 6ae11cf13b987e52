//! How many bytes of low priority may be in flight: arithmetic without I/O.
//!
//! Bytes in flight wait in the queue of the slowest link. A live message waits behind them there,
//! whatever its priority here. So no more is in flight than that link carries in the least round
//! trip plus [`MOST_DELAY`]. The round trip's share keeps the link busy; the rest is what a live
//! message waits at most. The rate is measured from one moment at which the window is full to the
//! next.

use std::time::{Duration, Instant};

use crate::limits::quic;

/// The window of what is of low priority on one connection.
#[derive(Debug)]
pub(crate) struct InFlight {
    /// Bytes.
    window: u64,
    /// Bytes a second; 0 while it is not known.
    rate: f64,
    /// Bytes that were taken since the window was full, or has changed.
    taken: u64,
    /// When the window was full, since it has changed.
    full: Option<Instant>,
    /// When something was taken last.
    last: Instant,
    /// The longest time since the window was full in which nothing was taken.
    pause: Duration,
}

impl InFlight {
    /// Of a connection that nothing is known of.
    pub(crate) fn new(now: Instant) -> Self {
        Self { window: LEAST_WINDOW, rate: 0.0, taken: 0, full: None, last: now, pause: Duration::ZERO }
    }

    /// Bytes that may be in flight.
    pub(crate) fn window(&self) -> u64 {
        self.window
    }

    /// Something is to be written, and nothing was just before: what was measured long ago counts no more.
    pub(crate) fn begin(&mut self, now: Instant) {
        (self.taken, self.full) = (0, None);
        if now.saturating_duration_since(self.last) >= FORGOTTEN {
            (self.rate, self.window) = (0.0, LEAST_WINDOW);
        }
    }

    /// So many bytes have found room in the window.
    pub(crate) fn take(&mut self, bytes: u64, now: Instant) {
        self.taken += bytes;
        self.pause = self.pause.max(now.saturating_duration_since(self.last));
        self.last = now;
    }

    /// The window has no room, although more is to be written. It may be another window after that.
    pub(crate) fn is_full(&mut self, least_round_trip: Duration, now: Instant) {
        let Some(full) = self.full else {
            // One that has shrunk is full once something was taken again.
            if self.taken > 0 {
                (self.taken, self.full, self.pause) = (0, Some(now), Duration::ZERO);
            }
            return;
        };
        let passed = now.saturating_duration_since(full);
        // Packets come in bursts: what tells is a whole window, or a time of several.
        if passed < least_round_trip || (self.taken < self.window && passed < (2 * least_round_trip).max(SAMPLE)) {
            return;
        }
        let rate = self.taken as f64 / passed.as_secs_f64();
        // A link that proves faster is believed sooner than one that seems slower.
        let weight = if rate > self.rate { 0.5 } else { 0.25 };
        self.rate = if self.rate == 0.0 { rate } else { weight * rate + (1.0 - weight) * self.rate };
        let mut window = self.rate.max(0.9 * rate) * (least_round_trip + MOST_DELAY).as_secs_f64();
        if self.pause > (least_round_trip / 2).max(MOST_DELAY) {
            // On a long path the link has stood idle until the window was acknowledged.
            window = window.max(1.5 * self.window as f64);
        }
        self.window = (window as u64).clamp(LEAST_WINDOW, SEND_WINDOW);
        (self.taken, self.full) = (0, None);
    }
}

/// Bytes of a connection that wait for the client's acknowledgement, whatever their priority.
pub(super) const SEND_WINDOW: u64 = quic::SEND_WINDOW as u64;
/// What something live waits at most for what is of low priority.
const MOST_DELAY: Duration = Duration::from_millis(100);
/// What 1 Mbit/s carries in [`MOST_DELAY`].
const LEAST_WINDOW: u64 = 12 * 1024;
/// A time in which a few packets more or less make little difference.
const SAMPLE: Duration = Duration::from_millis(50);
const FORGOTTEN: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// A link that carries so many bytes a second, in packets, with so long a round trip when it is idle.
    struct Link {
        rate: f64,
        round_trip: Duration,
        now: Instant,
        /// Packets in flight: their bytes, and when they will be acknowledged.
        packets: VecDeque<(u64, Instant)>,
        /// When it has carried all that is in flight.
        free: Instant,
    }

    impl Link {
        fn new(mbit: f64, round_trip_ms: u64) -> Self {
            let now = Instant::now();
            let round_trip = Duration::from_millis(round_trip_ms);
            Self { rate: mbit * 125_000.0, round_trip, now, packets: VecDeque::new(), free: now }
        }

        /// Writes without end for so long. Gives what something live would have waited, at the most, and the
        /// share of the link that was used, both after the first half.
        fn run(&mut self, flow: &mut InFlight, time: Duration) -> (Duration, f64) {
            let (start, middle) = (self.now, self.now + time / 2);
            let (mut longest, mut carried) = (Duration::ZERO, 0);
            flow.begin(start);
            while self.now < start + time {
                loop {
                    let in_flight: u64 = self.packets.iter().map(|(bytes, _)| bytes).sum();
                    let room = flow.window().saturating_sub(in_flight);
                    if room == 0 {
                        let before = flow.window();
                        flow.is_full(self.round_trip, self.now);
                        if flow.window() <= before {
                            break;
                        }
                        continue;
                    }
                    let bytes = room.min(1_200);
                    flow.take(bytes, self.now);
                    self.free = self.free.max(self.now) + Duration::from_secs_f64(bytes as f64 / self.rate);
                    self.packets.push_back((bytes, self.free + self.round_trip));
                }
                if self.now >= middle {
                    longest = longest.max(self.free.saturating_duration_since(self.now));
                }
                // Acknowledged are two at once.
                for _ in 0..2 {
                    if let Some((bytes, at)) = self.packets.pop_front() {
                        self.now = self.now.max(at);
                        carried += if self.now >= middle { bytes } else { 0 };
                    }
                }
            }
            (longest, carried as f64 / (self.rate * (time / 2).as_secs_f64()))
        }
    }

    #[test]
    fn a_link_is_kept_busy_and_its_queue_short() {
        for (mbit, round_trip) in
            [(1.0, 0), (1.0, 40), (1.0, 300), (1.0, 600), (2.0, 600), (10.0, 20), (30.0, 100), (0.5, 100)]
        {
            let (waits, share) =
                Link::new(mbit, round_trip).run(&mut InFlight::new(Instant::now()), Duration::from_secs(30));
            assert!(share > 0.9, "{mbit} Mbit/s, {round_trip} ms: {share} of it");
            let least = Duration::from_secs_f64(LEAST_WINDOW as f64 / (mbit * 125_000.0));
            assert!(waits <= (MOST_DELAY * 3 / 2).max(least), "{mbit} Mbit/s, {round_trip} ms: {waits:?}");
        }
    }

    #[test]
    fn a_link_that_becomes_slower_or_faster_is_followed() {
        let mut link = Link::new(10.0, 20);
        let mut flow = InFlight::new(link.now);
        for mbit in [10.0, 1.0, 20.0] {
            link.rate = mbit * 125_000.0;
            let (waits, share) = link.run(&mut flow, Duration::from_secs(20));
            assert!(waits <= MOST_DELAY * 3 / 2 && share > 0.9, "{mbit} Mbit/s: {waits:?}, {share} of it");
        }
    }

    /// Pages that are asked for one after the other end before long.
    #[test]
    fn one_page_is_enough_to_learn_from() {
        for round_trip in [1, 10, 50, 200] {
            let mut link = Link::new(100.0, round_trip);
            let mut flow = InFlight::new(link.now);
            let page = Duration::from_millis(3 * round_trip + round_trip / 4 + 5);
            link.run(&mut flow, page);
            assert!(flow.window() >= 2 * LEAST_WINDOW, "{round_trip} ms: {}", flow.window());
        }
    }

    #[test]
    fn what_was_measured_long_ago_is_forgotten() {
        let mut link = Link::new(50.0, 10);
        let mut flow = InFlight::new(link.now);
        link.run(&mut flow, Duration::from_secs(2));
        let window = flow.window();
        assert!(window > LEAST_WINDOW);
        flow.begin(link.now + FORGOTTEN / 2);
        assert_eq!(flow.window(), window);
        flow.begin(link.now + 2 * FORGOTTEN);
        assert_eq!(flow.window(), LEAST_WINDOW);
    }

    #[test]
    fn the_window_has_a_limit() {
        let mut flow = InFlight::new(Instant::now());
        Link::new(10_000.0, 50).run(&mut flow, Duration::from_secs(1));
        assert_eq!(flow.window(), SEND_WINDOW);
    }
}
