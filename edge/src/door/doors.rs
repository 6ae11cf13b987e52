//! What all TCP listeners of a process share. Connections are accepted while there are file
//! descriptors. When there are none left, the listeners wait.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::{AsFd as _, AsRawFd as _},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};

use super::{
    activity::{Activity, Tables},
    throttle::LogThrottle,
    watched::Watched,
};
use crate::limits::tcp::{ANSWERS, GRPC_ANSWERS, SILENT};

/// The tables of connections that wait for their clients, and the file descriptors that there are.
#[derive(Debug)]
pub struct Doors {
    tables: Arc<Tables>,
    descriptors: Descriptors,
}

/// What is known of the process's file descriptors. The system always gives the lowest number that
/// is free: a descriptor with a high number says that all below it are taken.
#[derive(Debug)]
struct Descriptors {
    /// The first number of the reserve.
    reserve: i32,
    short: AtomicBool,
    warning: LogThrottle,
}

impl Default for Descriptors {
    fn default() -> Self {
        let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let reserve = (most / RESERVE_SHARE).clamp(RESERVE_LEAST, RESERVE_MOST);
        let reserve = i32::try_from(most.saturating_sub(reserve)).unwrap_or(i32::MAX);
        Self { reserve, short: AtomicBool::new(false), warning: LogThrottle::default() }
    }
}

impl Doors {
    /// No connection yet, and as many descriptors as the process may have now.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self { tables: Tables::new(), descriptors: Descriptors::default() })
    }

    /// Lets this process have as many file descriptors as it may (`RLIMIT_NOFILE`: the soft limit
    /// becomes the hard one). Returns how many that is; `None`: there is no limit.
    ///
    /// # Errors
    /// The system refuses.
    pub fn raise_descriptors() -> io::Result<Option<u64>> {
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
        Ok(maximum)
    }

    /// The next connection of a listener, ready for small frames. It waits while the process has no
    /// file descriptors but those that are kept for the store, logs and peers; meanwhile the oldest
    /// silent connections go. `key` is the listener's, for the log.
    pub async fn accept(&self, listener: &TcpListener, key: &'static str) -> (TcpStream, SocketAddr) {
        loop {
            self.wait_for_descriptors(listener, key).await;
            match listener.accept().await {
                Ok((tcp, peer)) => {
                    if tcp.as_raw_fd() >= self.descriptors.reserve {
                        self.descriptors.short.store(true, Ordering::Relaxed);
                    }
                    // Small frames must not wait for each other's acknowledgement. It fails on a
                    // connection that is gone.
                    if tcp.set_nodelay(true).is_ok() {
                        return (tcp, peer);
                    }
                }
                // It is gone again before it was taken.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    self.warn(key, &error);
                    self.tables.make_room(EVICTED_AT_ONCE);
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Watches over a client's connection in clear, from its first request on.
    #[must_use]
    pub fn watch(&self, tcp: TcpStream) -> Watched<TcpStream> {
        Watched::new(tcp, Activity::open(&self.tables, ANSWERS))
    }

    /// The same for gRPC, where one connection carries the calls of a whole program.
    #[must_use]
    pub fn watch_grpc(&self, tcp: TcpStream) -> Watched<TcpStream> {
        Watched::new(tcp, Activity::open(&self.tables, GRPC_ANSWERS))
    }

    /// Watches over a client's connection from its handshake on: it has so long for the first step,
    /// see [`Activity::allow`] and [`Activity::opened`]. `source`: whose share of all handshakes it
    /// takes; `None`: nobody's. `None` is given when too many shake hands, of whom none becomes
    /// silent within a moment.
    pub(crate) async fn watch_handshake(
        &self,
        tcp: TcpStream,
        source: Option<IpAddr>,
        within: Duration,
    ) -> Option<Watched<TcpStream>> {
        for _ in 0..TRIES {
            if let Some(activity) = Activity::shaking(&self.tables, source, within) {
                return Some(Watched::new(tcp, activity));
            }
            // They have all just come.
            tokio::time::sleep(SILENT).await;
        }
        None
    }

    /// Watches over a node's connection, from its handshake on, which is to be over within so long: see
    /// [`Activity::opened`]. `None`: too many shake hands.
    #[must_use]
    pub fn watch_node(&self, tcp: TcpStream, within: Duration) -> Option<Watched<TcpStream>> {
        Some(Watched::new(tcp, Activity::shaking_node(&self.tables, within)?))
    }

    async fn wait_for_descriptors(&self, listener: &TcpListener, key: &'static str) {
        while self.descriptors.short.load(Ordering::Relaxed) {
            // The lowest number that is free now.
            match listener.as_fd().try_clone_to_owned() {
                Ok(probe) if probe.as_raw_fd() < self.descriptors.reserve => {
                    self.descriptors.short.store(false, Ordering::Relaxed);
                    return;
                }
                Ok(_) => self.warn(key, &"only the reserve is left"),
                Err(error) => self.warn(key, &error),
            }
            self.tables.make_room(EVICTED_AT_ONCE);
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn warn(&self, key: &'static str, reason: &dyn std::fmt::Display) {
        if let Some(times) = self.descriptors.warning.due() {
            let used = self.descriptors.reserve;
            tracing::warn!(
                listener = key,
                %reason,
                times,
                "connections wait for file descriptors: {used} are open; raise the hard limit (LimitNOFILE, ulimit -Hn)"
            );
        }
    }
}

/// How often a connection asks for a place among the handshakes before it is turned away.
const TRIES: usize = 4;
/// Between two looks whether there are descriptors again.
const PAUSE: Duration = Duration::from_millis(50);
/// Silent connections of either kind that go at each of them.
const EVICTED_AT_ONCE: usize = 8;
/// Of all descriptors an eighth is kept for what is no client's connection: the store's files,
/// logs, peers.
const RESERVE_SHARE: u64 = 8;
const RESERVE_LEAST: u64 = 16;
const RESERVE_MOST: u64 = 256;
