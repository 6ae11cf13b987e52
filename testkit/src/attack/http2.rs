//! HTTP/2 by hand (RFC 9113): a client whose windows are its own affair.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// A connection that has begun.
#[derive(Debug)]
pub struct Http2<S> {
    io: S,
    next: u32,
    /// Bytes of bodies that have come.
    pub body: u64,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Http2<S> {
    /// Sends the preface, and SETTINGS that let each stream send `window` bytes.
    ///
    /// # Errors
    /// The server ended it.
    pub async fn begin(mut io: S, window: u32) -> io::Result<Self> {
        io.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
        let mut http2 = Self { io, next: 1, body: 0 };
        let mut settings = INITIAL_WINDOW_SIZE.to_be_bytes().to_vec();
        settings.extend(window.to_be_bytes());
        http2.frame(SETTINGS, 0, 0, &settings).await?;
        Ok(http2)
    }

    /// Asks, with a body if there is one, and does not wait for the answer.
    ///
    /// # Errors
    /// The server ended it.
    pub async fn ask(&mut self, headers: &[(&str, &str)], body: Option<&[u8]>) -> io::Result<()> {
        let stream = self.next;
        self.next += 2;
        let mut block = Vec::new();
        for (name, value) in headers {
            // Literal, and not to be indexed (RFC 7541 section 6.2.2).
            block.push(0);
            string(&mut block, name);
            string(&mut block, value);
        }
        let ends = if body.is_none() { END_STREAM } else { 0 };
        self.frame(HEADERS, END_HEADERS | ends, stream, &block).await?;
        if let Some(body) = body {
            self.frame(DATA, END_STREAM, stream, body).await?;
        }
        Ok(())
    }

    /// GET with a bearer token.
    ///
    /// # Errors
    /// The server ended it.
    pub async fn get(&mut self, path: &str, token: &str) -> io::Result<()> {
        let bearer = format!("Bearer {token}");
        let headers = [
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", "localhost"),
            (":path", path),
            ("authorization", &bearer),
        ];
        self.ask(&headers, None).await
    }

    /// A gRPC call with an empty message.
    ///
    /// # Errors
    /// The server ended it.
    pub async fn call(&mut self, path: &str, message: &[u8], token: &str) -> io::Result<()> {
        let bearer = format!("Bearer {token}");
        let headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":authority", "localhost"),
            (":path", path),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            ("authorization", &bearer),
        ];
        let length = u32::try_from(message.len()).map_err(io::Error::other)?;
        self.ask(&headers, Some(&[&[0], length.to_be_bytes().as_slice(), message].concat())).await
    }

    /// Answers each PING and SETTINGS, and grants nothing, until the server ends the connection.
    ///
    /// # Errors
    /// It was reset, or ended within a frame.
    pub async fn until_end(&mut self) -> io::Result<()> {
        loop {
            let mut head = [0; 9];
            match self.io.read_exact(&mut head).await {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => return Err(error),
            }
            let [a, b, c, kind, flags, ..] = head;
            let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
            self.io.read_exact(&mut payload).await?;
            match kind {
                DATA => self.body += payload.len() as u64,
                SETTINGS if flags & ACK == 0 => self.frame(SETTINGS, ACK, 0, &[]).await?,
                PING if flags & ACK == 0 => self.frame(PING, ACK, 0, &payload).await?,
                _ => {}
            }
        }
    }

    async fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        let length = u32::try_from(payload.len()).map_err(io::Error::other)?.to_be_bytes();
        let [_, length @ ..] = length;
        let frame = [length.as_slice(), &[kind, flags], &stream.to_be_bytes(), payload].concat();
        self.io.write_all(&frame).await?;
        self.io.flush().await
    }
}

/// A string without Huffman's code (RFC 7541 section 5.2).
fn string(block: &mut Vec<u8>, text: &str) {
    let length = text.len();
    if length < 127 {
        block.push(length as u8);
    } else {
        block.push(127);
        let mut rest = length - 127;
        while rest >= 128 {
            block.push((rest % 128) as u8 | 128);
            rest /= 128;
        }
        block.push(rest as u8);
    }
    block.extend(text.as_bytes());
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const INITIAL_WINDOW_SIZE: u16 = 4;
