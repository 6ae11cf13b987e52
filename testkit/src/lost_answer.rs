//! A TCP proxy before MySQL that loses the answer to one commit: what a process knows that was killed,
//! or cut off, just then.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Forwards connections to a MySQL server; ended when dropped.
#[derive(Debug)]
pub struct LostAnswer {
    /// Where it listens.
    pub address: SocketAddr,
    lost: watch::Receiver<bool>,
    _guard: DropGuard,
}

impl LostAnswer {
    /// Starts forwarding to `target`. The first transaction with a statement that contains `mark` is
    /// committed, and nothing that the server says from then on passes on that connection.
    ///
    /// # Errors
    /// No port is left.
    pub async fn to_commit_after(mark: &'static str, target: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let (told, lost) = watch::channel(false);
        let told = Arc::new(told);
        let accept = {
            let stop = stop.clone();
            async move {
                while let Ok((near, _)) = listener.accept().await {
                    let (told, stop) = (told.clone(), stop.clone());
                    tokio::spawn(stop.run_until_cancelled_owned(forward(near, target, mark, told)));
                }
            }
        };
        tokio::spawn(stop.clone().run_until_cancelled_owned(accept));
        Ok(Self { address, lost, _guard: stop.drop_guard() })
    }

    /// Waits until the server has committed it and said so to nobody.
    ///
    /// # Errors
    /// The proxy has ended, or for half a minute no transaction had the mark.
    pub async fn lost(&mut self) -> anyhow::Result<()> {
        let marked = self.lost.wait_for(|lost| *lost);
        tokio::time::timeout(Duration::from_secs(30), marked).await.context("no transaction has the mark")??;
        Ok(())
    }
}

async fn forward(near: TcpStream, target: SocketAddr, mark: &'static str, told: Arc<watch::Sender<bool>>) {
    let Ok(far) = TcpStream::connect(target).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
    let silent = Arc::new(AtomicBool::new(false));
    tokio::join!(ask(near_read, far_write, mark, silent.clone()), answer(far_read, near_write, silent, told));
}

/// What the client says: its statements come one by one, as each waits for the answer to the one before.
async fn ask(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mark: &str, silent: Arc<AtomicBool>) {
    let (mut buffer, mut said, mut marked) = (vec![0; CHUNK], Vec::new(), false);
    while let Ok(size @ 1..) = from.read(&mut buffer).await {
        let chunk = buffer.get(..size).unwrap_or_default();
        said.extend_from_slice(chunk);
        marked |= contains(&said, mark.as_bytes());
        if marked && contains(&said, COMMIT) {
            silent.store(true, Ordering::SeqCst);
        }
        // A statement may come in pieces.
        let kept = said.len().min(mark.len().max(COMMIT.len()));
        said.drain(..said.len() - kept);
        if to.write_all(chunk).await.is_err() {
            return;
        }
    }
}

async fn answer(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    silent: Arc<AtomicBool>,
    told: Arc<watch::Sender<bool>>,
) {
    let mut buffer = vec![0; CHUNK];
    while let Ok(size @ 1..) = from.read(&mut buffer).await {
        if silent.load(Ordering::SeqCst) {
            told.send_replace(true);
        } else if to.write_all(buffer.get(..size).unwrap_or_default()).await.is_err() {
            return;
        }
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// The text of the command that commits (COM_QUERY).
const COMMIT: &[u8] = b"\x03COMMIT";
const CHUNK: usize = 16 * 1024;
