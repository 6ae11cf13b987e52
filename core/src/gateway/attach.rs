//! Attach: one edge at this core, from its hello to its end.

use std::{sync::Arc, time::Duration};

use gogochat_proto::node::{EdgeBatch, EdgeHello, core_item::Item, edge_item};
use gogochat_storage::clock;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::{
    Gateway, Phase,
    edge_stream::{End, Reader},
    open::opener,
};
use crate::fanout::{Attachment, EdgeQueue, replay, revoked};

/// The core's side of an edge's stream.
pub(super) struct Attached {
    /// What it brings the edge.
    pub(super) queue: Arc<EdgeQueue>,
    /// To be cancelled when the edge is gone.
    pub(super) ended: CancellationToken,
}

impl Gateway {
    /// Serves an edge until either side ends it.
    pub(super) fn attach(self: &Arc<Self>, mut inbound: Streaming<EdgeBatch>) -> Attached {
        let queue = Arc::new(EdgeQueue::new(self.queue_items, self.queue_bytes));
        let ended = self.stop.child_token();
        let (gateway, out, end) = (self.clone(), queue.clone(), ended.clone());
        self.tasks.spawn(async move {
            match end.run_until_cancelled(hello(&mut inbound)).await {
                Some(Ok(Hello { edge, rest })) => gateway.serve(edge, rest, inbound, &out, &end).await,
                Some(Err(status)) => out.close(status),
                None => {}
            }
            out.close(Status::unavailable("detached"));
            end.cancel();
        });
        Attached { queue, ended }
    }

    async fn serve(
        self: &Arc<Self>,
        edge: EdgeHello,
        rest: EdgeBatch,
        inbound: Streaming<EdgeBatch>,
        queue: &Arc<EdgeQueue>,
        ended: &CancellationToken,
    ) {
        tracing::info!(edge = edge.node, version = edge.version, "an edge attached");
        if let Some(skew) = clock::skew(edge.clock_ms, clock::now_ms()) {
            tracing::warn!(
                edge = edge.node,
                "the edge's clock is {skew} this core's: keep both by NTP, or its sessions end at the wrong time"
            );
        }
        let attachment = Arc::new(Attachment::new(&edge, queue.clone(), ended.clone()));
        self.renew_ticket_key();
        self.fanout.attach(&attachment).await;
        if self.has_reached(Phase::Draining) {
            attachment.push(Item::DrainMs(0));
        }
        for (user, device) in self.auth.lately_revoked() {
            attachment.push(Item::Revoke(revoked(user, device)));
        }
        for key in self.tickets.all() {
            attachment.push(Item::TicketKey(key));
        }
        let (opens, opening) = mpsc::channel(OPENS);
        let opener = self.tasks.spawn(opener(self.clone(), attachment.clone(), opening));
        let replay = self.tasks.spawn(replay::run(self.fanout.clone(), self.store.clone(), attachment.clone()));
        let reader = Reader::new(self.clone(), attachment.clone(), opens).run(rest, inbound);
        if ended.run_until_cancelled(reader).await == Some(End::InOrder) {
            ended.run_until_cancelled(attachment.finish()).await;
        }
        ended.cancel();
        // Nothing of this edge's is noted any more once both have ended.
        let _ = tokio::join!(opener, replay);
        self.detach(&attachment);
    }

    fn detach(&self, attachment: &Attachment) {
        self.fanout.detach(attachment.id);
        if attachment.queue.overflowed() {
            tracing::warn!(edge = attachment.edge, "an edge reads too slowly: detached");
            self.metrics.slow_edges.increment(1);
        }
        attachment.queue.close(Status::unavailable("detached"));
        for (session, state) in attachment.take_sessions() {
            self.left(attachment, session, state);
        }
        attachment.gone.cancel();
        tracing::info!(edge = attachment.edge, "an edge detached");
    }
}

/// The first batch.
struct Hello {
    /// Who it is.
    edge: EdgeHello,
    /// What else it says.
    rest: EdgeBatch,
}

async fn hello(inbound: &mut Streaming<EdgeBatch>) -> Result<Hello, Status> {
    let first = tokio::time::timeout(HELLO_TIMEOUT, inbound.message()).await;
    let mut rest = first
        .map_err(|_| Status::deadline_exceeded("the hello did not come"))??
        .ok_or_else(|| Status::invalid_argument("the stream ended before the hello"))?;
    let wrong = || Status::invalid_argument("the first item has to be the hello");
    if rest.items.is_empty() {
        return Err(wrong());
    }
    match rest.items.remove(0).item {
        Some(edge_item::Item::Hello(edge)) => Ok(Hello { edge, rest }),
        _ => Err(wrong()),
    }
}

/// From a stream's beginning to its hello.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// Sessions of one edge that may wait to be opened: as many as an edge may have, as all of them come at
/// once when another core is lost.
const OPENS: usize = 1 << 20;
