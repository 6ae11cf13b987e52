//! A further stream of a client: calls come in, replies go out.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use gogochat_proto::{close::CloseCode, frame, limits, v1::client_frame};
use tokio::{sync::mpsc, task::coop::consume_budget};

use super::{Hub, output};
use crate::{
    clients::Peer,
    limits::quic::CALL_STREAM_IDLE,
    session::{Reading, calls::ReplyTo},
    transport::{CallStream, capsule, close_code},
};

/// Serves a further stream of a client. The session's own stream has precedence.
pub(super) async fn serve(hub: Arc<Hub>, peer: Arc<Peer>, mut stream: CallStream) {
    let result = converse(&hub, &peer, &mut stream).await;
    match result {
        Ok(()) => _ = stream.send.finish(),
        Err(EarlyEnd::Session(code)) => peer.outlet.close(code),
        Err(EarlyEnd::Stream) => {
            let code = capsule::http_code(CloseCode::Timeout);
            let _ = (stream.send.reset(code), stream.recv.stop(code));
        }
    }
}

/// Why a stream for calls ends early.
enum EarlyEnd {
    /// The whole session has to end.
    Session(CloseCode),
    /// This stream alone.
    Stream,
}

async fn converse(hub: &Arc<Hub>, peer: &Arc<Peer>, stream: &mut CallStream) -> Result<(), EarlyEnd> {
    let (replies, mut answered) = mpsc::channel(CALLS_PER_STREAM);
    let mut decoder = frame::Decoder::default();
    let mut waiting = 0;
    let mut open = true;
    let mut unfinished: Option<Instant> = None;
    while open || waiting > 0 {
        while waiting < CALLS_PER_STREAM
            && let Some(bytes) = decoder.next().map_err(|error| EarlyEnd::Session(close_code(error)))?
        {
            unfinished = None;
            let frame = frame::client_frame(bytes).map_err(|error| EarlyEnd::Session(close_code(error)))?;
            if !matches!(frame, client_frame::Frame::Call(_)) {
                return Err(EarlyEnd::Session(CloseCode::ProtocolError));
            }
            waiting += 1;
            output::receive(hub, peer, frame, ReplyTo::CallStream(replies.clone())).await.map_err(EarlyEnd::Session)?;
            consume_budget().await;
            give_way(peer).await;
        }
        let reading = open && waiting < CALLS_PER_STREAM;
        let limit = if decoder.is_partial() { limits::FRAME_TIMEOUT } else { CALL_STREAM_IDLE };
        let since = *unfinished.get_or_insert_with(Instant::now);
        tokio::select! {
            Some(reply) = answered.recv(), if waiting > 0 => {
                waiting -= 1;
                unfinished = None;
                match tokio::time::timeout(REPLY_TIMEOUT, stream.low.write(&mut stream.send, reply)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) | Err(_) => return Err(EarlyEnd::Stream),
                }
            }
            chunk = stream.recv.read_chunk(MAX_CHUNK, true), if reading => match chunk {
                Ok(Some(chunk)) => {
                    // The time counts from a frame's first byte, not from its last.
                    if !decoder.is_partial() {
                        unfinished = None;
                    }
                    decoder.push(&chunk.bytes);
                }
                Ok(None) if decoder.is_partial() => return Err(EarlyEnd::Session(CloseCode::ProtocolError)),
                Ok(None) => open = false,
                Err(_) => return Err(EarlyEnd::Stream),
            },
            () = tokio::time::sleep_until((since + limit).into()), if reading && (waiting == 0 || decoder.is_partial()) => {
                return Err(if decoder.is_partial() {
                    EarlyEnd::Session(CloseCode::Timeout)
                } else {
                    EarlyEnd::Stream
                });
            }
        }
    }
    Ok(())
}

/// Waits while the session has sent more frames than its budget has room for.
async fn give_way(peer: &Peer) {
    loop {
        let reading = peer.session.lock().reading();
        let Reading::Until(at) = reading else { return };
        tokio::time::sleep_until(at.into()).await;
        peer.session.lock().look_again(Instant::now());
    }
}

/// Calls of one further stream that wait for their reply; more are read when some were answered.
const CALLS_PER_STREAM: usize = 16;
/// For a reply to be taken, behind those of all other streams.
const REPLY_TIMEOUT: Duration = Duration::from_secs(60);
const MAX_CHUNK: usize = 16 * 1024;
