//! Frames over one transport: no task, no policy.

mod h3;
mod received;
mod web_socket;
mod web_transport;

use bytes::{Bytes, BytesMut};
use prost::Message as _;

use gogochat_proto::{
    close::CloseCode,
    frame::{Decoder, FrameError, server_frame},
    v1::{self, ClientFrame, client_frame, server_frame::Frame},
};

pub(crate) use web_socket::WebSocket;
pub(crate) use web_transport::WebTransport;

use self::received::Received;
use crate::{Closed, ConnectError, Transport};

/// Frames both ways over a WebTransport session or a WebSocket.
///
/// Writing is queueing: frames go out while [`Self::next`] or [`Self::flush`] runs, so a peer that
/// writes and does not read can never bring both sides to a halt. Dropping it cuts the transport;
/// [`Self::close`] says why first.
#[derive(Debug)]
pub struct Connection {
    wire: Wire,
    out: BytesMut,
    decoder: Decoder,
    /// Of the second stream, where there is one.
    low_out: BytesMut,
    low_decoder: Decoder,
}

#[derive(Debug)]
enum Wire {
    WebTransport(Box<WebTransport>),
    WebSocket(Box<WebSocket>),
}

impl Connection {
    fn over(wire: Wire) -> Self {
        let (out, low_out) = (BytesMut::new(), BytesMut::new());
        Self { wire, out, decoder: Decoder::default(), low_out, low_decoder: Decoder::default() }
    }

    /// The transport in use.
    #[must_use]
    pub fn transport(&self) -> Transport {
        match self.wire {
            Wire::WebTransport(_) => Transport::WebTransport,
            Wire::WebSocket(_) => Transport::WebSocket,
        }
    }

    /// Signs in: sends Hello and waits for its answer.
    ///
    /// # Errors
    /// The server closed: [`CloseCode::TokenExpired`], [`CloseCode::TokenInvalid`], ...; or the
    /// first frame is no Welcome.
    pub async fn hello(&mut self, access_token: &str) -> Result<v1::Welcome, Closed> {
        self.hello_again(access_token, Bytes::new()).await
    }

    /// [`Self::hello`] with the latest ticket of this device, which spares the server a look-up.
    ///
    /// # Errors
    /// As [`Self::hello`].
    pub async fn hello_again(&mut self, access_token: &str, ticket: impl Into<Bytes>) -> Result<v1::Welcome, Closed> {
        self.queue(hello(access_token, ticket.into()));
        match self.next().await? {
            Frame::Welcome(welcome) => Ok(welcome),
            _ => Err(CloseCode::ProtocolError.into()),
        }
    }

    /// Queues a Hello. On an open session it puts the next token of the same device in the last
    /// one's place, and is answered by another Welcome.
    pub fn queue_hello(&mut self, access_token: &str) {
        self.queue(hello(access_token, Bytes::new()));
    }

    /// Queues a frame.
    pub fn queue(&mut self, frame: client_frame::Frame) {
        // A BytesMut grows: encoding into it cannot fail.
        let _ = ClientFrame::from(frame).encode_length_delimited(&mut self.out);
    }

    /// Queues a call whose reply may wait behind everything else: on a second stream, of low
    /// priority, where the transport has streams.
    pub fn queue_low(&mut self, call: v1::Call) {
        let out = match self.wire {
            Wire::WebTransport(_) => &mut self.low_out,
            Wire::WebSocket(_) => &mut self.out,
        };
        let _ = ClientFrame::from(client_frame::Frame::Call(call)).encode_length_delimited(out);
    }

    /// Queues a frame that may be lost: as a datagram where the transport has them.
    pub fn queue_lossy(&mut self, frame: client_frame::Frame) {
        match &self.wire {
            Wire::WebTransport(wire) => wire.send_datagram(&ClientFrame::from(frame).encode_to_vec()),
            Wire::WebSocket(_) => self.queue(frame),
        }
    }

    /// Queues bytes as they are, for tests of how a server takes what is no frame.
    pub fn queue_raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Bytes that are queued and not handed to the transport yet.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.out.len()
    }

    /// The next frame from the server, frames of kinds unknown to this client left out. What is
    /// queued goes out meanwhile. Cancel-safe.
    ///
    /// # Errors
    /// The session is over, and why. Every later call says so too, if less precisely.
    pub async fn next(&mut self) -> Result<Frame, Closed> {
        loop {
            for decoder in [&mut self.decoder, &mut self.low_decoder] {
                while let Some(bytes) = decoder.next().map_err(no_frame)? {
                    match server_frame(bytes).map_err(no_frame)? {
                        Some(Frame::Close(close)) => return Err(close.into()),
                        Some(frame) => return Ok(frame),
                        None => {}
                    }
                }
            }
            match self.wire.turn(&mut self.out, &mut self.low_out).await? {
                Received::Bytes(bytes) => self.decoder.push(&bytes),
                Received::Low(bytes) => self.low_decoder.push(&bytes),
                // Half a frame of it is no beginning of what comes on the next.
                Received::LowEnded => self.low_decoder = Decoder::default(),
                Received::Datagram(bytes) => {
                    // One that makes no sense is as good as lost.
                    if let Ok(Some(frame)) = server_frame(bytes) {
                        return Ok(frame);
                    }
                }
            }
        }
    }

    /// Waits until what is queued has been handed to the transport. Cancel-safe.
    ///
    /// # Errors
    /// The session is over.
    pub async fn flush(&mut self) -> Result<(), Closed> {
        match &mut self.wire {
            Wire::WebTransport(wire) => wire.flush(&mut self.out).await,
            Wire::WebSocket(wire) => wire.flush(&mut self.out).await,
        }
    }

    /// Hands over what is queued, says goodbye with this code and waits, a second at most, until
    /// the server has it.
    pub async fn close(mut self, code: CloseCode) {
        let _ = tokio::time::timeout(std::time::Duration::from_secs(1), async {
            self.flush().await?;
            match self.wire {
                Wire::WebTransport(wire) => wire.close(code).await,
                Wire::WebSocket(wire) => wire.close(code).await,
            }
            Ok::<(), Closed>(())
        })
        .await;
    }
}

impl From<WebTransport> for Connection {
    fn from(wire: WebTransport) -> Self {
        // The header that makes the stream one of the session goes out with the first frame.
        let header = wire.stream_header();
        let mut connection = Self::over(Wire::WebTransport(Box::new(wire)));
        connection.out.extend_from_slice(&header);
        connection
    }
}

impl From<WebSocket> for Connection {
    fn from(wire: WebSocket) -> Self {
        Self::over(Wire::WebSocket(Box::new(wire)))
    }
}

impl Wire {
    async fn turn(&mut self, out: &mut BytesMut, low_out: &mut BytesMut) -> Result<Received, Closed> {
        match self {
            Self::WebTransport(wire) => wire.turn(out, low_out).await,
            Self::WebSocket(wire) => wire.turn(out).await,
        }
    }
}

fn hello(access_token: &str, ticket: Bytes) -> client_frame::Frame {
    let client = concat!("gogochat-rust/", env!("CARGO_PKG_VERSION")).to_owned();
    client_frame::Frame::Hello(v1::Hello {
        access_token: access_token.to_owned(),
        client,
        ticket,
        aggregate_marks: true,
    })
}

fn no_frame(error: FrameError) -> Closed {
    match error {
        FrameError::TooLarge(_) => CloseCode::FrameTooLarge.into(),
        FrameError::Malformed => CloseCode::ProtocolError.into(),
    }
}

impl From<tokio_tungstenite::tungstenite::Error> for ConnectError {
    fn from(error: tokio_tungstenite::tungstenite::Error) -> Self {
        match error {
            tokio_tungstenite::tungstenite::Error::Http(response) => Self::Refused(response.status().as_u16()),
            tokio_tungstenite::tungstenite::Error::Io(error) => Self::Io(error),
            other => Self::WebSocket(Box::new(other)),
        }
    }
}
