//! A client's connection from its first frame to its last.
//!
//! The first frame, Hello, authenticates the session, by way of [`super::output`]:
//! [`super::admission`] checks the ticket, and [`super::session_open`] has a core open the session.

use std::{sync::Arc, time::Instant};

use gogochat_proto::{
    close::CloseCode,
    limits,
    node::{self, edge_item::Item},
    v1,
};
use tokio::task::{JoinSet, coop::consume_budget};

use super::{Hub, call_stream, datagram::Datagrams, output};
use crate::{
    clients::Peer,
    listen::ServeSession,
    metrics as names,
    session::{Reading, calls::ReplyTo},
    transport::{Incoming, Transport},
};

impl ServeSession for Hub {
    async fn serve(self: Arc<Self>, mut transport: Transport) {
        if self.is_draining() {
            return transport.finish(Some(CloseCode::Draining)).await;
        }
        if self.registry.len() >= self.limits.sessions {
            return transport.finish(Some(CloseCode::Unavailable)).await;
        }
        let kind = transport.kind();
        let peer = self.registry.add(transport.outlet().clone(), transport.address(), kind, Instant::now());
        metrics::gauge!(names::SESSIONS, "transport" => kind).increment(1.0);
        transport.set_datagrams(Datagrams::new(self.clone(), peer.clone()));
        let code = converse(&self, &peer, &mut transport).await;
        leave(&self, &peer);
        metrics::gauge!(names::SESSIONS, "transport" => kind).decrement(1.0);
        let reason = code.map_or("gone", CloseCode::reason);
        metrics::counter!(names::CLOSED, "transport" => kind, "code" => reason).increment(1);
        tracing::debug!(session = peer.id, kind, reason, "a session has ended");
        transport.finish(code).await;
    }
}

/// Takes what comes, until the session has to end with a code, or the client is gone.
async fn converse(hub: &Arc<Hub>, peer: &Arc<Peer>, transport: &mut Transport) -> Option<CloseCode> {
    // Dropped with the session, and their tasks with them.
    let mut streams = JoinSet::new();
    loop {
        // However much comes, others have their turn after so many frames.
        consume_budget().await;
        let reading = peer.session.lock().reading();
        if matches!(reading, Reading::Until(_)) {
            metrics::counter!(names::PACED).increment(1);
        }
        let result = match transport.next(reading).await {
            Incoming::Frame(frame) => {
                peer.session.lock().whole();
                output::receive(hub, peer, frame, ReplyTo::Session).await
            }
            Incoming::Unreadable(id, error) => {
                peer.session.lock().whole();
                unreadable(peer, id, error)
            }
            Incoming::CallStream(stream) => {
                while streams.try_join_next().is_some() {}
                if streams.len() >= limits::MAX_CALL_STREAMS {
                    return Some(CloseCode::TooManyStreams);
                }
                streams.spawn(call_stream::serve(hub.clone(), peer.clone(), stream));
                Ok(())
            }
            Incoming::Control => {
                peer.session.lock().control_frame(Instant::now());
                Ok(())
            }
            Incoming::Held => {
                peer.session.lock().look_again(Instant::now());
                Ok(())
            }
            Incoming::Idle(unfinished) => {
                peer.session.lock().set_unfinished(unfinished, Instant::now());
                Ok(())
            }
            Incoming::Broken(code) => Err(code),
            Incoming::Ended(code) => return Some(code),
            Incoming::Gone => return None,
        };
        if let Err(code) = result {
            return Some(code);
        }
    }
}

/// A call that could not be read is answered. Before Hello it is no better than other bytes that are
/// no Hello.
fn unreadable(peer: &Peer, id: u32, error: v1::Error) -> Result<(), CloseCode> {
    metrics::counter!(names::FRAMES_IN).increment(1);
    peer.session.lock().unreadable(id, Instant::now())?;
    peer.reply_error(&ReplyTo::Session, id, error);
    Ok(())
}

/// The client is gone, or is about to be: nothing is kept of it, here and at the cores.
fn leave(hub: &Hub, peer: &Arc<Peer>) {
    let (principal, marks, streams) = {
        let mut session = peer.session.lock();
        // Not when the client has answered the close, which it may never do.
        session.give_place_back();
        (session.principal(), session.last_marks(Instant::now()), session.streams())
    };
    if !marks.is_empty() {
        hub.offer(peer, Item::Marks(node::MarksUp { session: peer.id, marks }));
    }
    hub.registry.remove(peer, principal, |log| hub.end_interest(log));
    let home = peer.session.lock().leave_home();
    let close = || Item::Close(node::SessionClose { session: peer.id });
    // While it moves it is open elsewhere as well.
    for stream in streams.filter(|stream| home.as_ref().is_none_or(|home| !home.core().has(*stream))) {
        hub.upstreams.send(stream, close());
    }
    if let Some(home) = home {
        home.core().send(close());
    }
}
