//! Runs the worker on a bus that cores share, but only while an edge is attached. A core without
//! edges would commit what it can neither answer nor send: the edges that the commands name are
//! attached to other cores, and would wait in vain.

use std::{sync::Arc, time::Duration};

use gogochat_storage::bus::{Bus, BusError};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{announce::Settled, worker::Worker};
use crate::fanout::Fanout;

/// Works on a shared bus from when the first edge is attached, with a pause whenever none has been for
/// [`DESERTED`]. Ends when the bus has shut down, or with `closing` (nothing comes any more) while it has
/// paused, or with `stop`.
///
/// # Errors
/// The bus gives no consumer.
pub(crate) async fn run(
    mut worker: Worker,
    bus: Arc<dyn Bus>,
    fanout: Arc<Fanout>,
    settled: mpsc::Sender<Settled>,
    closing: CancellationToken,
    stop: CancellationToken,
) -> Result<(), BusError> {
    let mut attached = fanout.attached();
    loop {
        tokio::select! {
            () = closing.cancelled() => return Ok(()),
            () = stop.cancelled() => return Ok(()),
            _ = attached.wait_for(|edges| *edges > 0) => {}
        }
        let leave = stop.child_token();
        let consumer = bus.consumer().await?;
        let work = worker.run(consumer, &settled, &leave);
        tokio::pin!(work);
        tokio::select! {
            () = &mut work => return Ok(()),
            () = deserted(&mut attached) => {
                tracing::warn!("no edge is attached: this core leaves its partitions to others until one is");
                leave.cancel();
                work.await;
            }
        }
    }
}

/// Until no edge has been attached for a while.
async fn deserted(attached: &mut watch::Receiver<usize>) {
    loop {
        let _ = attached.wait_for(|edges| *edges == 0).await;
        if tokio::time::timeout(DESERTED, attached.wait_for(|edges| *edges > 0)).await.is_err() {
            return;
        }
    }
}

/// Longer than an edge takes to restart, so that a restart moves no partition. An edge waits about as long
/// for an answer.
const DESERTED: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_edge_that_comes_back_in_time_is_waited_for() {
        let edges = watch::Sender::new(1);
        let mut attached = edges.subscribe();
        let began = tokio::time::Instant::now();
        let changes = async {
            for _ in 0..3 {
                edges.send_replace(0);
                tokio::time::sleep(DESERTED - Duration::from_millis(2)).await;
                edges.send_replace(1);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            edges.send_replace(0);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = deserted(&mut attached) => {}
            () = changes => {}
        }
        let waited = began.elapsed();
        assert!(
            waited > 4 * (DESERTED - Duration::from_millis(2)) && waited < 4 * DESERTED + Duration::from_millis(2),
            "{waited:?}"
        );
    }
}
