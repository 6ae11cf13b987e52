//! A TCP proxy that a test can cut.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
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

impl Proxy {
    /// Starts forwarding to `target`.
    ///
    /// # Errors
    /// No port is left.
    pub async fn start(target: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let (connections, current) = watch::channel(stop.child_token());
        tokio::spawn(stop.clone().run_until_cancelled_owned(accept(listener, target, current)));
        Ok(Self { address, connections, _guard: stop.clone().drop_guard(), stop })
    }

    /// Breaks every connection, and each new one until [`Self::mend`].
    pub fn cut(&self) {
        self.connections.borrow().cancel();
    }

    /// Lets new connections through again.
    pub fn mend(&self) {
        self.connections.send_replace(self.stop.child_token());
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, current: watch::Receiver<CancellationToken>) {
    while let Ok((near, _)) = listener.accept().await {
        let connection = current.borrow().clone();
        tokio::spawn(connection.run_until_cancelled_owned(forward(near, target)));
    }
}

async fn forward(mut near: TcpStream, target: SocketAddr) {
    let Ok(mut far) = TcpStream::connect(target).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let _ = copy_bidirectional(&mut near, &mut far).await;
}
