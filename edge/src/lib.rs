//! The edge: what clients connect to. WebTransport, WebSocket and HTTP carry sessions; the core behind decides everything. The edge holds no durable state and
//! decodes no chat payload.

mod address;
mod announcement;
mod clock;
mod config;
mod connection;
mod fanout;
mod listen;
mod looks;
pub mod metrics;
mod openings;
mod principal;
mod registry;
mod routes;
mod session;
mod tickets;
mod transport;
mod upstream;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use axum::Router;
use gogochat_proto::{
    close::CloseCode,
    v1::{self, server_frame},
};
use parking_lot::Mutex;
use tokio::{sync::Notify, time::MissedTickBehavior};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    clock::now_ms,
    connection::Hub,
    fanout::Dispatch,
    listen::{Service, Sockets},
    openings::Openings,
    registry::{Peer, Registry},
    routes::{Shared, Way},
    tickets::Tickets,
    upstream::Upstreams,
};

pub use self::{
    address::{Network, NetworkError},
    config::{EdgeConfig, Limits},
    listen::BindError,
    upstream::{Core, CoreLink, Cores, OutOfReach, Reach},
};

/// An edge whose sockets are bound, before it serves: its addresses are known.
pub struct Bound {
    sockets: Sockets,
    shared: Arc<Shared>,
    cores: Cores,
    stop: CancellationToken,
}

/// A running edge. Dropped, it ends at once; see [`Edge::drain`].
pub struct Edge {
    shared: Arc<Shared>,
    endpoints: Vec<quinn::Endpoint>,
    http: Vec<SocketAddr>,
    edge: Vec<SocketAddr>,
    stop: CancellationToken,
}

/// Looks at an edge.
#[derive(Clone)]
pub struct Handle {
    hub: Arc<Hub>,
}

impl Edge {
    /// Binds the sockets. `cores` lead to the cores' NodeServices, in this process or over mutual TLS, as they come and go.
    ///
    /// # Errors
    /// An address cannot be listened on, or TLS cannot be set up.
    #[allow(clippy::unused_async, reason = "sockets are registered with the runtime that it runs on")]
    pub async fn bind(config: EdgeConfig, cores: Cores) -> Result<Bound, BindError> {
        let sockets = Sockets::bind(&config)?;
        let hub = Arc::new(Hub {
            registry: Registry::default(),
            upstreams: Upstreams::new(config.node.clone(), config.limits.told),
            looks: Mutex::default(),
            look: Notify::new(),
            signed_out: Mutex::default(),
            tickets: Tickets::default(),
            openings: Openings::new(&config.limits),
            limits: config.limits,
            tasks: TaskTracker::new(),
            draining: AtomicBool::new(false),
        });
        let shared = Arc::new(Shared { hub, config: Arc::new(config) });
        Ok(Bound { sockets, shared, cores, stop: CancellationToken::new() })
    }

    /// Binds and serves: [`Self::bind`] and [`Bound::start`].
    ///
    /// # Errors
    /// See [`Self::bind`].
    pub async fn start(config: EdgeConfig, cores: Cores, app: Router) -> Result<Self, BindError> {
        Ok(Self::bind(config, cores).await?.start(app, Router::new()))
    }

    /// The addresses of HTTP in clear.
    #[must_use]
    pub fn http_addresses(&self) -> &[SocketAddr] {
        &self.http
    }

    /// The addresses of TLS (TCP) and QUIC (UDP).
    #[must_use]
    pub fn edge_addresses(&self) -> &[SocketAddr] {
        &self.edge
    }

    /// Something to look at this edge with.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle { hub: self.shared.hub.clone() }
    }

    /// Takes no new sessions, tells every client to go elsewhere, lets calls under way finish, and closes what is left at the deadline. Clients are shared out
    /// among `targets`, the URLs of other edges; without any they dial the address again that they have.
    pub async fn drain(self, deadline: Duration, targets: &[String]) {
        let hub = &self.shared.hub;
        let end = tokio::time::Instant::now() + deadline;
        hub.draining.store(true, Ordering::Relaxed);
        let mut turn = targets.iter().cycle();
        let mut tell = |peer: &Peer| {
            let left = end.saturating_duration_since(tokio::time::Instant::now());
            hub.send_away(peer, left, || turn.next().cloned().unwrap_or_default())
        };
        let everybody_left = async {
            // Those that a core is just opening are told once they are welcome: nothing comes before that.
            let mut untold = hub.registry.all();
            while hub.registry.len() > 0 {
                untold.retain(|peer| !tell(peer));
                tokio::time::sleep(DRAIN_STEP).await;
            }
        };
        let _ = tokio::time::timeout_at(end, everybody_left).await;
        let calls_finished = async {
            while hub.registry.all().iter().any(|peer| peer.session.lock().calls_in_flight() > 0) {
                tokio::time::sleep(DRAIN_STEP).await;
            }
        };
        let _ = tokio::time::timeout(DRAIN_CALLS, calls_finished).await;
        for peer in hub.registry.all() {
            peer.outlet.close(CloseCode::Draining);
        }
        self.stop.cancel();
        hub.tasks.close();
        let _ = tokio::time::timeout(DRAIN_CLOSE, hub.tasks.wait()).await;
        for endpoint in &self.endpoints {
            endpoint.close(0x100_u32.into(), b"");
            let _ = tokio::time::timeout(DRAIN_CLOSE, endpoint.wait_idle()).await;
        }
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Bound {
    /// The addresses of HTTP in clear.
    #[must_use]
    pub fn http_addresses(&self) -> Vec<SocketAddr> {
        self.sockets.http_addresses()
    }

    /// The addresses of TLS (TCP) and QUIC (UDP).
    #[must_use]
    pub fn edge_addresses(&self) -> Vec<SocketAddr> {
        self.sockets.edge_addresses()
    }

    /// Something to look at the edge with.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle { hub: self.shared.hub.clone() }
    }

    /// Serves. What HTTP asks for and the edge does not know goes to `app`; `inside` is served on the clear addresses alone.
    #[must_use]
    pub fn start(self, app: Router, inside: Router) -> Edge {
        let Self { sockets, shared, cores, stop } = self;
        let hub = &shared.hub;
        let dispatch = Dispatch::start(hub.clone());
        hub.tasks.spawn(hub.upstreams.clone().run(cores, dispatch, hub.tasks.clone(), stop.clone()));
        hub.tasks.spawn(announcement::look(hub.clone(), stop.clone()));
        hub.tasks.spawn(sweep(hub.clone(), stop.clone()));
        let (http, edge) = (sockets.http_addresses(), sockets.edge_addresses());
        let secure = routes::router(shared.clone(), app.clone(), Way::Secure);
        let clear = routes::router(shared.clone(), app, Way::Clear).merge(inside);
        let (host, config, tasks) = (hub.clone(), shared.config.clone(), hub.tasks.clone());
        let endpoints = sockets.serve(Service { host, secure, clear, config, tasks, stop: stop.clone() });
        Edge { shared, endpoints, http, edge, stop }
    }
}

impl Handle {
    /// Whether the edge takes sessions.
    ///
    /// # Errors
    /// Why it does not.
    pub fn ready(&self) -> Result<(), String> {
        if self.hub.draining.load(Ordering::Relaxed) {
            return Err("draining".to_owned());
        }
        if !self.hub.upstreams.is_attached() {
            return Err("no core is attached".to_owned());
        }
        Ok(())
    }

    /// Which cores with `chat` it is attached to, and for how long it has not been attached to others.
    #[must_use]
    pub fn reach(&self) -> Reach {
        self.hub.upstreams.reach(Instant::now())
    }

    /// Tells every client who is here now to go to one of `targets`, the URLs of other edges, at a moment of its own within a quarter of `within`. Whoever stays is served as before.
    pub fn send_away(&self, within: Duration, targets: &[String]) {
        let mut turn = targets.iter().cycle();
        for peer in self.hub.registry.all() {
            self.hub.send_away(&peer, within, || turn.next().cloned().unwrap_or_default());
        }
    }

    /// Sessions at the moment.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.hub.registry.len()
    }

    /// Waits until a core is attached.
    pub async fn attached(&self) {
        self.hub.upstreams.attached().await;
    }
}

impl Hub {
    /// Tells a client to go elsewhere within `left`. `false`: it is being opened, and nothing comes before Welcome.
    fn send_away(&self, peer: &Peer, left: Duration, target: impl FnOnce() -> String) -> bool {
        let welcomed = peer.welcomed.load(Ordering::Relaxed);
        if welcomed {
            let left = left.as_millis().next_multiple_of(DRAIN_STEP.as_millis());
            let left = i32::try_from(left).unwrap_or(i32::MAX);
            let ticket = self.ticket(peer, now_ms() + i64::from(left) + TICKET_LIFE_MS);
            let notice = v1::Drain { deadline_ms: left, target: target(), ticket };
            peer.outlet.send(server_frame::Frame::Drain(notice), None);
        }
        welcomed
    }
}

async fn sweep(hub: Arc<Hub>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(SWEEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        hub.sweep().await;
    }
}

const SWEEP: Duration = Duration::from_secs(1);
/// Beyond the deadline: for a client that another edge lets wait.
const TICKET_LIFE_MS: i64 = 30_000;
const DRAIN_STEP: Duration = Duration::from_millis(20);
/// Past the deadline: for calls under way.
const DRAIN_CALLS: Duration = Duration::from_secs(1);
const DRAIN_CLOSE: Duration = Duration::from_secs(3);
