//! A TCP proxy that a test can cut, or make long, or let say where connections come from.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Forwards connections to an address; ended when dropped.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    /// The connections that are let through live until the token is cancelled.
    connections: watch::Sender<CancellationToken>,
    stop: CancellationToken,
    _guard: DropGuard,
}

/// Some of a proxy's connections.
#[derive(Debug)]
pub struct Part {
    connections: CancellationToken,
}

impl Proxy {
    /// Starts forwarding to `target`.
    ///
    /// # Errors
    /// No port is left.
    pub async fn start(target: SocketAddr) -> std::io::Result<Self> {
        Self::with(target, Path::default()).await
    }

    /// Starts forwarding to `target` over a path on which every byte takes `delay`, in each direction.
    ///
    /// # Errors
    /// No port is left.
    pub async fn with_delay(target: SocketAddr, delay: Duration) -> std::io::Result<Self> {
        Self::with(target, Path { delay, ..Path::default() }).await
    }

    /// Starts forwarding to `target` as a gateway does that says something of each connection first.
    ///
    /// # Errors
    /// No port is left.
    pub async fn gateway(target: SocketAddr, header: Vec<u8>) -> std::io::Result<Self> {
        Self::with(target, Path { header, ..Path::default() }).await
    }

    /// Starts forwarding to `target` from a port of `[::1]`.
    ///
    /// # Errors
    /// This machine has no IPv6, or no port is left.
    pub async fn on_ipv6(target: SocketAddr) -> std::io::Result<Self> {
        Self::listening(Ipv6Addr::LOCALHOST.into(), target, Path::default()).await
    }

    async fn with(target: SocketAddr, path: Path) -> std::io::Result<Self> {
        Self::listening(Ipv4Addr::LOCALHOST.into(), target, path).await
    }

    async fn listening(on: IpAddr, target: SocketAddr, path: Path) -> std::io::Result<Self> {
        let listener = TcpListener::bind((on, 0)).await?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let (connections, current) = watch::channel(stop.child_token());
        tokio::spawn(stop.clone().run_until_cancelled_owned(accept(listener, target, path, current)));
        Ok(Self { address, connections, _guard: stop.clone().drop_guard(), stop })
    }

    /// Breaks every connection, and each new one until [`Self::mend`].
    pub fn cut(&self) {
        self.connections.borrow().cancel();
    }

    /// The connections that there are now, as a part that can be cut apart from those that come later.
    #[must_use]
    pub fn part(&self) -> Part {
        let connections = self.connections.send_replace(self.stop.child_token());
        Part { connections }
    }

    /// Breaks every connection of a part, and each new one of anybody until [`Self::mend`]; others stay.
    pub fn cut_part(&self, part: &Part) {
        part.connections.cancel();
        self.connections.send_replace(part.connections.clone());
    }

    /// Lets new connections through again.
    pub fn mend(&self) {
        self.connections.send_replace(self.stop.child_token());
    }
}

/// What a connection meets on its way.
#[derive(Debug, Clone, Default)]
struct Path {
    /// What every byte takes, in each direction.
    delay: Duration,
    /// What goes to the target before anything of the client's.
    header: Vec<u8>,
}

async fn accept(listener: TcpListener, target: SocketAddr, path: Path, current: watch::Receiver<CancellationToken>) {
    while let Ok((near, _)) = listener.accept().await {
        let connection = current.borrow().clone();
        tokio::spawn(connection.run_until_cancelled_owned(forward(near, target, path.clone())));
    }
}

async fn forward(near: TcpStream, target: SocketAddr, path: Path) {
    let Path { delay, header } = path;
    let Ok(mut far) = TcpStream::connect(target).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    if far.write_all(&header).await.is_err() {
        return;
    }
    let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
    let _ = tokio::join!(carry(near_read, far_write, delay), carry(far_read, near_write, delay));
}

/// Carries one direction to its end. What is under way is bounded; past that the sender waits, as with a
/// full window.
async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, delay: Duration) {
    let (path, mut arrivals) = mpsc::channel::<(Instant, Vec<u8>)>(UNDER_WAY);
    let depart = async move {
        let mut buffer = vec![0; CHUNK];
        while let Ok(size @ 1..) = from.read(&mut buffer).await {
            let chunk = buffer.get(..size).unwrap_or_default().to_vec();
            if path.send((Instant::now() + delay, chunk)).await.is_err() {
                return;
            }
        }
    };
    let arrive = async move {
        while let Some((at, chunk)) = arrivals.recv().await {
            tokio::time::sleep_until(at).await;
            if to.write_all(&chunk).await.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await;
    };
    let _ = tokio::join!(depart, arrive);
}

const CHUNK: usize = 16 * 1024;
const UNDER_WAY: usize = 1_024;
