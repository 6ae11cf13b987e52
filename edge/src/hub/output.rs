//! Gives a session its client's frames, and carries out what the session answers: its outputs.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use gogochat_proto::{
    close::CloseCode,
    ids::LogId,
    limits,
    node::{self, edge_item::Item},
    v1::{self, client_frame, server_frame::Frame},
};

use super::{Hub, admission, call, session_open};
use crate::{
    clients::Peer,
    metrics as names,
    session::{Output, calls::ReplyTo},
};

/// Takes a frame of a client's.
///
/// # Errors
/// The session has to end.
pub(super) async fn receive(
    hub: &Arc<Hub>,
    peer: &Arc<Peer>,
    frame: client_frame::Frame,
    reply_to: ReplyTo,
) -> Result<(), CloseCode> {
    if let Some(output) = take(peer, frame, reply_to)? {
        perform(hub, peer, output).await;
    }
    Ok(())
}

/// Takes a frame of a client's, and gives what its session wants done.
///
/// # Errors
/// The session has to end.
pub(super) fn take(peer: &Peer, frame: client_frame::Frame, reply_to: ReplyTo) -> Result<Option<Output>, CloseCode> {
    metrics::counter!(names::FRAMES_IN).increment(1);
    let frame = match frame {
        client_frame::Frame::Marks(marks) => client_frame::Frame::Marks(of_subscriptions(peer, marks)),
        other => other,
    };
    peer.session.lock().receive(frame, reply_to, Instant::now())
}

/// Does what a session wants done.
pub(super) async fn perform(hub: &Arc<Hub>, peer: &Arc<Peer>, output: Output) {
    match output {
        Output::Open(hello) => {
            if admission::admit(hub, peer, &hello) {
                session_open::open(hub, peer);
            } else {
                peer.outlet.close(CloseCode::Overloaded);
            }
        }
        Output::Ordered { call, begun } => call::ordered(hub, peer, call, begun).await,
        Output::Unordered(call, method) => call::unordered(hub, peer, call, method),
        Output::Refuse(id, reply_to, error) => peer.reply_error(&reply_to, id, error),
        Output::Marks(marks) => hub.offer(peer, Item::Marks(node::MarksUp { session: peer.id, marks })),
        Output::Ephemeral(log, ephemeral) => relay(hub, peer, log, ephemeral),
        Output::Ping(ping) => {
            peer.outlet.send(Frame::Ping(ping), None);
        }
        Output::Pong(pong) => {
            peer.outlet.send(Frame::Pong(pong), None);
        }
    }
}

/// Passes typing on, if the session is subscribed to the log.
pub(super) fn relay(hub: &Hub, peer: &Peer, log: LogId, ephemeral: Bytes) {
    if peer.is_subscribed(log) {
        let ephemeral = node::EphemeralUp { session: peer.id, log_id: log.to_bytes(), ephemeral };
        hub.offer(peer, Item::Ephemeral(ephemeral));
    }
}

/// The marks of logs that the session is subscribed to: others mean nothing, and would crowd out those
/// that do. One that names no log stays, and ends the session.
fn of_subscriptions(peer: &Peer, mut marks: v1::Marks) -> v1::Marks {
    if marks.marks.len() <= limits::MAX_MARKS {
        marks.marks.retain(|mark| mark.conversation_id.parse().map_or(true, |log| peer.is_subscribed(log)));
    }
    marks
}
