//! Frames over a WebTransport session: a bidirectional stream of them, another of low priority for
//! history, and datagrams.

use bytes::{Buf as _, Bytes, BytesMut};
use quinn::{RecvStream, SendStream, VarInt, WriteError};

use gogochat_proto::close::CloseCode;

use super::{
    h3::{self, Answer, Answers},
    received::Received,
};
use crate::{Closed, ConnectError, Target};

/// An open session.
#[derive(Debug)]
pub(crate) struct WebTransport {
    connection: quinn::Connection,
    connect_send: SendStream,
    connect_recv: RecvStream,
    answers: Answers,
    send: SendStream,
    recv: RecvStream,
    /// Opened when it is first needed.
    low: Option<(SendStream, RecvStream)>,
    /// Set once the CONNECT stream has ended without a close: the session is about to go.
    connect_ended: bool,
    /// HTTP/3's own streams: it is an error to end one while the connection lasts, and dropping would.
    _control: SendStream,
    _server_streams: Vec<RecvStream>,
}

impl WebTransport {
    pub(crate) async fn open(connection: quinn::Connection, target: &Target) -> Result<Self, ConnectError> {
        let mut control = connection.open_uni().await?;
        write(&mut control, &h3::control_stream()).await?;
        let server_streams = settings(&connection).await?;

        let (mut connect_send, mut connect_recv) = connection.open_bi().await?;
        write(&mut connect_send, &h3::connect_request(&target.authority(), PATH)).await?;
        let mut answers = Answers::default();
        match response(&mut connect_recv, &mut answers).await? {
            200 => {}
            status => return Err(ConnectError::Refused(status)),
        }
        let (send, recv) = connection.open_bi().await?;
        Ok(Self {
            connection,
            connect_send,
            connect_recv,
            answers,
            send,
            recv,
            low: None,
            connect_ended: false,
            _control: control,
            _server_streams: server_streams,
        })
    }

    /// What a stream of this session begins with.
    pub(super) fn stream_header(&self) -> Vec<u8> {
        let mut header = Vec::new();
        h3::put_varint(&mut header, h3::BIDI_STREAM);
        h3::put_varint(&mut header, self.session_id());
        header
    }

    /// Writes what it can of `out`, and of `low_out` on the second stream, and waits for something to come.
    pub(super) async fn turn(&mut self, out: &mut BytesMut, low_out: &mut BytesMut) -> Result<Received, Closed> {
        loop {
            let has_low = self.low.is_some();
            let (low_send, low_recv) = self.low.as_mut().map(|(send, recv)| (send, recv)).unzip();
            tokio::select! {
                biased;
                written = self.send.write(out), if !out.is_empty() => advance(out, written)?,
                chunk = self.recv.read_chunk(usize::MAX, true) => match chunk {
                    Ok(Some(chunk)) => return Ok(Received::Bytes(chunk.bytes)),
                    Ok(None) | Err(_) => return Err(self.goodbye().await),
                },
                datagram = self.connection.read_datagram() => match datagram {
                    Ok(datagram) => {
                        if let Some(payload) = self.payload(datagram) {
                            return Ok(Received::Datagram(payload));
                        }
                    }
                    Err(error) => return Err(broken(&error)),
                },
                chunk = self.connect_recv.read_chunk(usize::MAX, true), if !self.connect_ended => match chunk {
                    Ok(Some(chunk)) => {
                        if let Some(closed) = self.answer(&chunk.bytes) {
                            return Err(closed);
                        }
                    }
                    // Frames that were sent before may still come.
                    Ok(None) | Err(_) => self.connect_ended = true,
                },
                opened = self.connection.open_bi(), if !has_low && !low_out.is_empty() => {
                    let (send, recv) = opened.map_err(|error| broken(&error))?;
                    let _ = send.set_priority(LOW);
                    let waiting = std::mem::replace(low_out, BytesMut::from(self.stream_header().as_slice()));
                    low_out.unsplit(waiting);
                    self.low = Some((send, recv));
                },
                written = write_some(low_send, low_out), if has_low && !low_out.is_empty() => advance(low_out, written)?,
                chunk = read_some(low_recv), if has_low => match chunk {
                    Some(bytes) => return Ok(Received::Low(bytes)),
                    // The next call opens another; those that wait lapse.
                    None => {
                        self.low = None;
                        low_out.clear();
                        return Ok(Received::LowEnded);
                    }
                },
            }
        }
    }

    pub(super) async fn flush(&mut self, out: &mut BytesMut) -> Result<(), Closed> {
        while !out.is_empty() {
            advance(out, self.send.write(out).await)?;
        }
        Ok(())
    }

    /// Typing and the like: dropped when the path has no room, or the server takes none.
    pub(super) fn send_datagram(&self, frame: &[u8]) {
        let mut datagram = BytesMut::with_capacity(frame.len() + 8);
        h3::put_varint(&mut datagram, self.session_id() / 4);
        datagram.extend_from_slice(frame);
        let _ = self.connection.send_datagram(datagram.freeze());
    }

    pub(super) async fn close(mut self, code: CloseCode) {
        let capsule = h3::close_session(code.code().into(), code.reason());
        if self.connect_send.write_all(&capsule).await.is_ok() && self.connect_send.finish().is_ok() {
            // Until the server has it all.
            let _ = self.connect_send.stopped().await;
        }
        self.connection.close(VarInt::from_u32(h3::H3_NO_ERROR), b"");
    }

    fn session_id(&self) -> u64 {
        VarInt::from(self.connect_send.id()).into_inner()
    }

    fn payload(&self, mut datagram: Bytes) -> Option<Bytes> {
        let (quarter, size) = h3::varint(&datagram)?;
        datagram.advance(size);
        (quarter == self.session_id() / 4).then_some(datagram)
    }

    fn answer(&mut self, bytes: &[u8]) -> Option<Closed> {
        self.answers.push(bytes);
        loop {
            match self.answers.next() {
                Ok(Some(Answer::Close(code, reason))) => return Some(Closed::with_code(code, reason)),
                Ok(Some(Answer::Status(_))) => {}
                Ok(None) => return None,
                Err(malformed) => return Some(Closed::broken(malformed)),
            }
        }
    }

    /// The stream of frames has ended: the reason may be on its way on the CONNECT stream.
    async fn goodbye(&mut self) -> Closed {
        let reason = async {
            while let Ok(Some(chunk)) = self.connect_recv.read_chunk(usize::MAX, true).await {
                if let Some(closed) = self.answer(&chunk.bytes) {
                    return closed;
                }
            }
            match self.connection.close_reason() {
                Some(error) => broken(&error),
                None => Closed::broken("the stream ended"),
            }
        };
        tokio::time::timeout(std::time::Duration::from_millis(500), reason)
            .await
            .unwrap_or_else(|_| Closed::broken("the stream ended"))
    }
}

/// Waits for the server's SETTINGS; the streams that it has opened, which have to be kept.
async fn settings(connection: &quinn::Connection) -> Result<Vec<RecvStream>, ConnectError> {
    let mut streams = Vec::new();
    // A server has a control stream, two of QPACK, and may open one that means nothing.
    while streams.len() < 8 {
        let mut stream = connection.accept_uni().await?;
        let mut reader = h3::Settings::default();
        let mut kind = None;
        while let Some(chunk) = stream.read_chunk(usize::MAX, true).await.map_err(|_| MALFORMED)? {
            let mut bytes = chunk.bytes;
            if kind.is_none() {
                // The types in question take one byte, so they are never cut.
                let Some((value, size)) = h3::varint(&bytes) else { break };
                bytes.advance(size);
                kind = Some(value);
            }
            if kind != Some(h3::CONTROL_STREAM) {
                break;
            }
            match reader.push(&bytes).map_err(|malformed| ConnectError::Foreign(malformed.0))? {
                Some(true) => {
                    streams.push(stream);
                    return Ok(streams);
                }
                Some(false) => return Err(ConnectError::Foreign("the server takes no WebTransport sessions")),
                None => {}
            }
        }
        streams.push(stream);
    }
    Err(MALFORMED)
}

async fn response(stream: &mut RecvStream, answers: &mut Answers) -> Result<u16, ConnectError> {
    while let Some(chunk) = stream.read_chunk(usize::MAX, true).await.map_err(|_| MALFORMED)? {
        answers.push(&chunk.bytes);
        match answers.next().map_err(|malformed| ConnectError::Foreign(malformed.0))? {
            Some(Answer::Status(status)) if (100..200).contains(&status) => {}
            Some(Answer::Status(status)) => return Ok(status),
            Some(Answer::Close(code, reason)) => return Err(Closed::with_code(code, reason).into()),
            None => {}
        }
    }
    Err(MALFORMED)
}

async fn write(stream: &mut SendStream, bytes: &[u8]) -> Result<(), ConnectError> {
    stream.write_all(bytes).await.map_err(|error| match error {
        WriteError::ConnectionLost(error) => error.into(),
        _ => MALFORMED,
    })
}

async fn write_some(stream: Option<&mut SendStream>, bytes: &[u8]) -> Result<usize, WriteError> {
    match stream {
        Some(stream) => stream.write(bytes).await,
        None => std::future::pending().await,
    }
}

/// What comes next on a stream; `None` when that is nothing more.
async fn read_some(stream: Option<&mut RecvStream>) -> Option<Bytes> {
    let chunk = stream?.read_chunk(usize::MAX, true).await;
    chunk.ok().flatten().map(|chunk| chunk.bytes)
}

fn advance(out: &mut BytesMut, written: Result<usize, WriteError>) -> Result<(), Closed> {
    match written {
        Ok(written) => out.advance(written),
        Err(WriteError::ConnectionLost(error)) => return Err(broken(&error)),
        // The server has stopped reading: why comes on the CONNECT stream, or as a Close frame.
        Err(_) => out.clear(),
    }
    if out.is_empty() {
        // An idle session keeps no buffer.
        *out = BytesMut::new();
    }
    Ok(())
}

fn broken(error: &quinn::ConnectionError) -> Closed {
    Closed::broken(error)
}

const PATH: &str = "/wt";
/// Below that of other streams, which is 0.
const LOW: i32 = -1;
const MALFORMED: ConnectError = ConnectError::Foreign("HTTP/3 that ends where it must not");
