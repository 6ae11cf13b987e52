//! A server that costs an attacker as much as the real one, and does nothing: it takes all that is sent. So
//! what an attack does to others beside it is told from what the attacker's own work does to them.

use std::{io, net::SocketAddr};

use gogochat_proto::{
    frame,
    v1::{self, server_frame},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UdpSocket},
};

/// Takes everything at an address of TCP and UDP, until it is dropped.
#[derive(Debug)]
pub struct Sink {
    /// Where.
    pub address: SocketAddr,
    tasks: [tokio::task::AbortHandle; 2],
}

impl Sink {
    /// Opens it on this machine.
    ///
    /// # Errors
    /// There is no port.
    pub async fn open() -> io::Result<Self> {
        let tcp = TcpListener::bind("127.0.0.1:0").await?;
        let address = tcp.local_addr()?;
        let udp = UdpSocket::bind(address).await?;
        let listening = tokio::spawn(async move {
            while let Ok((connection, _)) = tcp.accept().await {
                tokio::spawn(take(connection));
            }
        });
        let receiving = tokio::spawn(async move {
            let mut datagram = [0; 2_048];
            loop {
                let _ = udp.recv_from(&mut datagram).await;
            }
        });
        Ok(Self { address, tasks: [listening.abort_handle(), receiving.abort_handle()] })
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::AbortHandle::abort);
    }
}

/// Lets a WebSocket in, and answers each call of it, as a client waits for both. All else is taken.
async fn take(mut connection: TcpStream) -> io::Result<()> {
    let (mut head, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
    while !head.ends_with(b"\r\n\r\n") {
        let size = connection.read(&mut buffer).await?;
        let Some(bytes @ [_, ..]) = buffer.get(..size) else { return Ok(()) };
        head.extend_from_slice(bytes);
        if !head.starts_with(b"GET /ws") {
            return swallow(&mut connection).await;
        }
    }
    connection.write_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\n").await?;
    let welcome = v1::ServerFrame { frame: Some(server_frame::Frame::Welcome(v1::Welcome::default())) };
    let welcome = frame::encode(&welcome);
    let (mut bytes, mut answers) = (Vec::new(), Vec::new());
    let mut is_first = true;
    loop {
        let size = connection.read(&mut buffer).await?;
        let Some(more @ [_, ..]) = buffer.get(..size) else { return Ok(()) };
        bytes.extend_from_slice(more);
        let mut place = 0;
        while let Some((opcode, end)) = masked(bytes.get(place..).unwrap_or_default()) {
            place += end;
            if opcode == BINARY && is_first {
                is_first = false;
                answers.extend([FIN | BINARY, u8::try_from(welcome.len()).unwrap_or_default()]);
                answers.extend_from_slice(&welcome);
            } else if opcode == BINARY {
                answers.extend([FIN | BINARY, 1, 0]);
            }
        }
        bytes.drain(..place);
        connection.write_all(&answers).await?;
        answers.clear();
    }
}

async fn swallow(connection: &mut TcpStream) -> io::Result<()> {
    let mut scratch = vec![0; 64 * 1024];
    while connection.read(&mut scratch).await? > 0 {}
    Ok(())
}

/// The first frame of a client (RFC 6455 section 5.2): its opcode, and where it ends.
fn masked(bytes: &[u8]) -> Option<(u8, usize)> {
    let (opcode, short) = (bytes.first()? & 0x0f, usize::from(*bytes.get(1)? & 0x7f));
    let (length, header) = match short {
        126 => (usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 8),
        127 => (usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?, 14),
        short => (short, 6),
    };
    (bytes.len() >= header + length).then_some((opcode, header + length))
}

const FIN: u8 = 0x80;
const BINARY: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::flood::Flood;

    #[tokio::test]
    async fn an_attacker_goes_on_at_it_as_at_a_server() {
        let sink = Sink::open().await.unwrap();
        let (pings, calls, posts) = (Flood::default(), Flood::default(), Flood::default());
        let address = sink.address;
        let flooding = async {
            tokio::join!(
                pings.pings(address, Some("token")),
                calls.calls(address, "token", "method", "", |_| vec![0; 40_000]),
                posts.posts(address, "/v1/sessions/refresh", |n| n.to_string()),
            )
        };
        let enough = async {
            // More calls than may wait at once: those before were answered.
            while pings.sent() < 10_000 || calls.sent() < 2_000 || posts.sent() < 2_000 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            ended = flooding => panic!("{ended:?}"),
            () = enough => {}
        }
        assert!(calls.answered() > 1_000);
    }
}
