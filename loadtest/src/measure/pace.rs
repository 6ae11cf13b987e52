//! Open loop: sends happen at their time, whatever the server does; and a watch over whether the
//! driver kept up.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::server::own_cpu;

/// When things were to happen, and how late they did.
#[derive(Debug)]
pub(crate) struct Paced {
    start: Instant,
    rate: f64,
    /// Of each, in microseconds.
    pub(crate) lateness: Vec<u32>,
}

impl Paced {
    /// When the n-th was to happen.
    pub(crate) fn intended(&self, n: u64) -> Instant {
        at(self.start, self.rate, n)
    }
}

/// Calls `send(n)` at `start + n / rate`, `count` times, on a thread of its own so that the
/// clients' work does not delay it.
pub(crate) async fn open_loop(rate: f64, count: u64, send: impl Fn(u64) + Send + 'static) -> anyhow::Result<Paced> {
    open_loop_until(&CancellationToken::new(), rate, count, send).await
}

/// As [`open_loop`], and stops earlier when it is told to: as many have been sent as [`Paced::lateness`] has.
pub(crate) async fn open_loop_until(
    stop: &CancellationToken,
    rate: f64,
    count: u64,
    send: impl Fn(u64) + Send + 'static,
) -> anyhow::Result<Paced> {
    let stop = stop.clone();
    let (done, paced) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("pace".to_owned()).spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_time().build() else { return };
        let start = Instant::now() + Duration::from_millis(20);
        let mut lateness = Vec::with_capacity(usize::try_from(count).unwrap_or_default().min(MOST_AT_ONCE));
        runtime.block_on(async {
            for n in (0..count).take_while(|_| !stop.is_cancelled()) {
                let intended = at(start, rate, n);
                if intended > Instant::now() {
                    tokio::time::sleep_until(intended.into()).await;
                }
                lateness.push(u32::try_from(intended.elapsed().as_micros()).unwrap_or(u32::MAX));
                send(n);
            }
        });
        let _ = done.send(Paced { start, rate, lateness });
    })?;
    Ok(paced.await?)
}

fn at(start: Instant, rate: f64, n: u64) -> Instant {
    start + Duration::from_secs_f64(n as f64 / rate)
}

/// The part of sends that were more than 10 ms late, in per cent.
pub(crate) fn late_percent(lateness: &[u32]) -> f64 {
    if lateness.is_empty() {
        return 0.0;
    }
    let late = lateness.iter().filter(|micros| **micros > LATE.as_micros() as u32).count();
    100.0 * late as f64 / lateness.len() as f64
}

/// Watches whether the driver itself is the bottleneck: a task that wants to run every 5 ms, and
/// the CPU that the driver uses.
pub(crate) struct Watch {
    begin: Instant,
    cpu: Duration,
    ticks: Arc<Mutex<Vec<u32>>>,
    _cancel: DropGuard,
}

/// How the driver did.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Kept {
    /// CPU use, in cores.
    pub(crate) cores: f64,
    /// What of its own wishes came more than 10 ms late, in per cent.
    pub(crate) late_percent: f64,
}

impl Watch {
    /// Begins to watch.
    pub(crate) fn start() -> Self {
        let cancel = CancellationToken::new();
        let ticks = Arc::new(Mutex::new(Vec::new()));
        tokio::spawn({
            let (cancel, ticks) = (cancel.clone(), Arc::clone(&ticks));
            async move {
                while !cancel.is_cancelled() {
                    let wanted = Instant::now() + TICK;
                    tokio::time::sleep_until(wanted.into()).await;
                    ticks.lock().push(u32::try_from(wanted.elapsed().as_micros()).unwrap_or(u32::MAX));
                }
            }
        });
        Self { begin: Instant::now(), cpu: own_cpu(), ticks, _cancel: cancel.drop_guard() }
    }

    /// How it went so far.
    pub(crate) fn kept(&self) -> Kept {
        let cores = (own_cpu() - self.cpu).as_secs_f64() / self.begin.elapsed().as_secs_f64().max(0.001);
        Kept { cores, late_percent: late_percent(&self.ticks.lock()) }
    }
}

/// Why figures say nothing about the server: over 1 % of sends more than 10 ms late, or the driver saturated.
pub(crate) fn void(late_percent: f64, kept: &Kept) -> Option<String> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    if late_percent > MAX_LATE_PERCENT {
        Some(format!("{late_percent:.1} % of sends were more than 10 ms late"))
    } else if kept.late_percent > MAX_LATE_PERCENT {
        Some(format!("the driver was saturated: {:.1} % of its turns came more than 10 ms late", kept.late_percent))
    } else if kept.cores > 0.9 * cores {
        Some(format!("the driver was saturated: it used {:.2} of {cores} cores", kept.cores))
    } else {
        None
    }
}

/// An answer that takes longer does not come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);
const LATE: Duration = Duration::from_millis(10);
/// Room for so many sends is made before the first.
const MOST_AT_ONCE: usize = 1 << 20;
const MAX_LATE_PERCENT: f64 = 1.0;
const TICK: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sends_come_in_order_and_not_before_their_time() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&seen);
        let paced = open_loop(1_000.0, 50, move |n| sink.lock().push((n, Instant::now()))).await.unwrap();
        let seen = seen.lock();
        assert_eq!((paced.lateness.len(), seen.len()), (50, 50));
        for (index, (n, at)) in seen.iter().enumerate() {
            assert_eq!(*n, index as u64);
            assert!(*at >= paced.intended(*n));
            assert_eq!(paced.intended(*n) - paced.intended(0), Duration::from_secs_f64(index as f64 / 1_000.0));
        }
    }

    #[test]
    fn when_figures_are_void() {
        assert_eq!(late_percent(&[]), 0.0);
        assert_eq!(late_percent(&[10_000, 10_001, 0, 0]), 25.0);
        let kept = |cores, late_percent| Kept { cores, late_percent };
        assert_eq!(void(1.0, &kept(0.1, 1.0)), None);
        assert!(void(1.1, &kept(0.1, 0.0)).is_some());
        assert!(void(0.0, &kept(0.1, 1.1)).is_some());
        assert!(void(0.0, &kept(1_000.0, 0.0)).is_some());
    }
}
