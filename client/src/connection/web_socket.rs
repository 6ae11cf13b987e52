//! Frames over a WebSocket (RFC 6455), sub-protocol `gogochat.v1.proto`.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::BytesMut;
use futures_util::{Sink as _, Stream as _, StreamExt as _};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest as _,
        http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL},
        protocol::{CloseFrame, WebSocketConfig},
    },
};

use gogochat_proto::{close::CloseCode, limits::MAX_FRAME};

use super::received::Received;
use crate::{Closed, ConnectError, Target, stream::Stream};

/// An open WebSocket.
#[derive(Debug)]
pub(crate) struct WebSocket {
    socket: WebSocketStream<Stream>,
    /// Messages were handed over that may not have left yet.
    unflushed: bool,
}

impl WebSocket {
    pub(crate) async fn open(stream: Stream, target: &Target) -> Result<Self, ConnectError> {
        let scheme = if target.is_secure() { "wss" } else { "ws" };
        let mut request = format!("{scheme}://{}/ws", target.authority()).into_client_request()?;
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUB_PROTOCOL));
        let (socket, response) = client_async_with_config(request, stream, Some(config())).await?;
        if response.headers().get(SEC_WEBSOCKET_PROTOCOL).is_none_or(|protocol| protocol != SUB_PROTOCOL) {
            return Err(ConnectError::Foreign("the WebSocket does not speak gogochat.v1.proto"));
        }
        Ok(Self { socket, unflushed: false })
    }

    /// Writes what it can of `out` and waits for something to come.
    pub(super) async fn turn(&mut self, out: &mut BytesMut) -> Result<Received, Closed> {
        loop {
            let message = poll_fn(|cx| {
                // Whether or not all could be written, reading goes on.
                if let Poll::Ready(Err(closed)) = self.poll_write(cx, out) {
                    return Poll::Ready(Err(closed));
                }
                self.poll_read(cx)
            });
            if let Some(bytes) = message.await? {
                return Ok(bytes);
            }
        }
    }

    pub(super) async fn flush(&mut self, out: &mut BytesMut) -> Result<(), Closed> {
        poll_fn(|cx| self.poll_write(cx, out)).await
    }

    pub(super) async fn close(mut self, code: CloseCode) {
        let frame = CloseFrame { code: code.code().into(), reason: code.reason().into() };
        if self.socket.close(Some(frame)).await.is_ok() {
            // The server closes TCP when it has answered.
            while let Some(Ok(_)) = self.socket.next().await {}
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, out: &mut BytesMut) -> Poll<Result<(), Closed>> {
        let mut socket = Pin::new(&mut self.socket);
        while !out.is_empty() {
            std::task::ready!(socket.as_mut().poll_ready(cx)).map_err(broken)?;
            let message = out.split_to(whole_frames(out)).freeze();
            socket.as_mut().start_send(Message::Binary(message)).map_err(broken)?;
            self.unflushed = true;
        }
        if self.unflushed {
            std::task::ready!(socket.as_mut().poll_flush(cx)).map_err(broken)?;
            self.unflushed = false;
            // An idle session keeps no buffer.
            *out = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Received>, Closed>> {
        let message = std::task::ready!(Pin::new(&mut self.socket).poll_next(cx));
        Poll::Ready(match message {
            Some(Ok(Message::Binary(bytes))) => Ok(Some(Received::Bytes(bytes))),
            Some(Ok(Message::Text(_))) => Err(CloseCode::ProtocolError.into()),
            Some(Ok(Message::Close(Some(frame)))) => {
                Err(Closed::with_code(u16::from(frame.code).into(), frame.reason.as_str()))
            }
            Some(Ok(Message::Close(None))) | None => Err(Closed::broken("the WebSocket was closed")),
            // Reading on sends the pong that the library has queued.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Ok(None),
            Some(Err(error)) => Err(broken(error)),
        })
    }
}

/// How many bytes at the start of `out` make one message: whole frames, as many as fit. What is no
/// frame goes as it is.
fn whole_frames(out: &[u8]) -> usize {
    let mut end = 0;
    while let Some(length) = out.get(end..).filter(|rest| !rest.is_empty()).and_then(delimited_length) {
        if end > 0 && end + length > MAX_MESSAGE {
            break;
        }
        end += length;
    }
    if end == 0 || end > out.len() { out.len() } else { end }
}

/// The length of the delimited frame that `bytes` begin with, its prefix included.
fn delimited_length(bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes;
    let length = prost::encoding::decode_varint(&mut rest).ok().and_then(|length| usize::try_from(length).ok())?;
    (bytes.len() - rest.len()).checked_add(length)
}

fn broken(error: Error) -> Closed {
    Closed::broken(error)
}

/// Small buffers: a process may hold thousands of sessions.
fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(4 * 1024)
        .write_buffer_size(4 * 1024)
        .max_write_buffer_size(8 * MAX_FRAME)
        .max_message_size(Some(1024 * 1024))
        .max_frame_size(Some(1024 * 1024))
}

const SUB_PROTOCOL: &str = "gogochat.v1.proto";
/// A single frame may be longer.
const MAX_MESSAGE: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_holds_whole_frames() {
        let frame = |length: usize| gogochat_proto::frame::delimit(&vec![0; length]).to_vec();
        let small = frame(10);
        assert_eq!(whole_frames(&small.repeat(3)), 33);
        // As many as fit 16 KiB, and one that does not fit goes alone.
        let many = small.repeat(2_000);
        assert_eq!(whole_frames(&many), MAX_MESSAGE / 11 * 11);
        let large = [frame(60_000), small].concat();
        assert_eq!(whole_frames(&large), 60_003);
        assert_eq!(whole_frames(&[0xff; 20]), 20, "no frame");
        assert_eq!(whole_frames(&[200, 1, 0]), 3, "a frame cut short");
    }
}
