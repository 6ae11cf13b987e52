//! A TCP proxy that a test can cut and mend.

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
    open: watch::Sender<bool>,
    _stop: DropGuard,
}

impl Proxy {
    /// Starts forwarding to `target`.
    ///
    /// # Errors
    /// No port is left.
    pub async fn start(target: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (open, is_open) = watch::channel(true);
        let stop = CancellationToken::new();
        tokio::spawn(stop.clone().run_until_cancelled_owned(accept(listener, target, is_open, stop.clone())));
        Ok(Self { address, open, _stop: stop.drop_guard() })
    }

    /// Breaks every connection, and each new one until [`Self::mend`].
    pub fn cut(&self) {
        self.open.send_replace(false);
    }

    /// Lets new connections through again.
    pub fn mend(&self) {
        self.open.send_replace(true);
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, is_open: watch::Receiver<bool>, stop: CancellationToken) {
    while let Ok((near, _)) = listener.accept().await {
        if *is_open.borrow() {
            tokio::spawn(stop.clone().run_until_cancelled_owned(forward(near, target, is_open.clone())));
        }
    }
}

async fn forward(mut near: TcpStream, target: SocketAddr, mut is_open: watch::Receiver<bool>) {
    let Ok(mut far) = TcpStream::connect(target).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    tokio::select! {
        _ = copy_bidirectional(&mut near, &mut far) => {}
        _ = is_open.wait_for(|open| !open) => {}
    }
}
