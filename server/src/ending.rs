//! The end of a process: who asks for it, and by when it is over.

use std::{io, time::Duration};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, timeout_at},
};

/// SIGTERM and SIGINT.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Hears them from now on. To be called before anything is awaited: the first process of a container
    /// has no default that would end it.
    ///
    /// # Errors
    /// The process cannot listen for signals.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for one.
    pub(crate) async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// The next one ends the process at once, as the default does.
    pub(crate) fn end_by_the_next(mut self) {
        tokio::spawn(async move {
            self.asked().await;
            std::process::exit(130);
        });
    }
}

/// The one deadline of an end, whatever takes its time: clients that stay, calls, the store, etcd.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ending {
    drain: Duration,
    all: Instant,
}

impl Ending {
    /// Begins now. Clients have `drain` to leave, and all is over [`BEYOND`] later.
    pub(crate) fn begin(drain: Duration) -> Self {
        Self { drain, all: Instant::now() + drain + BEYOND - LAST }
    }

    /// What a part may take that is followed by others.
    pub(crate) fn left(&self) -> Duration {
        self.all.saturating_duration_since(Instant::now()).saturating_sub(LAST).min(self.drain)
    }

    /// Waits for something, at most until all has to be over.
    pub(crate) async fn wait<T>(&self, what: &str, future: impl Future<Output = T>) -> Option<T> {
        let done = timeout_at(self.all, future).await.ok();
        if done.is_none() {
            tracing::warn!("{what} did not end in time");
        }
        done
    }
}

/// Beyond the time that clients have.
const BEYOND: Duration = Duration::from_secs(2);
/// For what a part leaves, and at the very end for the runtime's own threads.
pub(crate) const LAST: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn all_parts_share_one_deadline() {
        let (begin, ending) = (Instant::now(), Ending::begin(Duration::from_secs(10)));
        assert_eq!(ending.left(), Duration::from_secs(10));
        assert_eq!(ending.wait("quick", async { 5 }).await, Some(5));
        tokio::time::sleep(Duration::from_secs(11)).await;
        assert_eq!(ending.left(), Duration::from_millis(500));
        for _ in 0..3 {
            assert_eq!(ending.wait("stuck", std::future::pending::<()>()).await, None);
        }
        assert_eq!(ending.left(), Duration::ZERO);
        assert_eq!(begin.elapsed() + LAST, Duration::from_secs(12));
    }
}
