//! The edge: what clients connect to. WebTransport, WebSocket and HTTP carry sessions; the core
//! behind decides everything. The edge holds no durable state and decodes no chat payload.

mod address;
mod clients;
mod clock;
mod config;
pub mod door;
mod hub;
pub mod limits;
mod listen;
pub mod metrics;
mod openings;
mod origin;
mod principal;
mod routes;
mod session;
mod tickets;
mod transport;
mod upstream;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::Router;
use tokio_util::sync::CancellationToken;

use self::{
    hub::{Hub, dispatch::Dispatch, drain, resync, sweep},
    listen::{Service, Sockets},
    routes::{Scheme, Site},
};

pub use self::{
    address::{Network, NetworkError},
    config::{EdgeConfig, Limits},
    listen::BindError,
    origin::{Origin, OriginError},
    upstream::{Core, CoreLink, Cores, OutOfReach, Reach},
};

/// An edge whose sockets are bound, before it serves: its addresses are known.
pub struct Bound {
    sockets: Sockets,
    site: Arc<Site>,
    cores: Cores,
    stop: CancellationToken,
}

/// A running edge. Dropped, it ends at once; see [`Edge::drain`].
pub struct Edge {
    site: Arc<Site>,
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
    /// Binds the sockets. `cores` are those that the edge may use, in this process or over mutual TLS, as
    /// they come and go.
    ///
    /// # Errors
    /// An address cannot be listened on, or TLS cannot be set up.
    #[allow(clippy::unused_async, reason = "sockets are registered with the runtime that it runs on")]
    pub async fn bind(config: EdgeConfig, cores: Cores) -> Result<Bound, BindError> {
        let sockets = Sockets::bind(&config)?;
        let hub = Hub::new(&config);
        let site = Arc::new(Site { hub, config: Arc::new(config) });
        Ok(Bound { sockets, site, cores, stop: CancellationToken::new() })
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
        Handle { hub: self.site.hub.clone() }
    }

    /// Takes no new sessions, tells every client to go elsewhere, lets calls under way finish, and
    /// closes what is left at the deadline, all of it within 1 s after that. Clients are shared out
    /// among `targets`, the URLs of other edges. Without any they dial again the address that they have.
    pub async fn drain(self, deadline: Duration, targets: &[String]) {
        let (hub, begin) = (&self.site.hub, Instant::now());
        drain::drain(hub, deadline, targets).await;
        self.stop.cancel();
        hub.tasks.close();
        // Requests under way have what the sessions have left of the time, and some more.
        let left = deadline.saturating_sub(begin.elapsed()).clamp(DRAIN_CLOSE, limits::quic::DRAIN);
        let _ = tokio::time::timeout(left, hub.tasks.wait()).await;
        for endpoint in &self.endpoints {
            endpoint.close(0x100_u32.into(), b"");
        }
        let idle = futures_util::future::join_all(self.endpoints.iter().map(quinn::Endpoint::wait_idle));
        let _ = tokio::time::timeout(DRAIN_CLOSE, idle).await;
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
        Handle { hub: self.site.hub.clone() }
    }

    /// Serves. HTTP requests that the edge does not know go to `app`. `inside` is served on the clear
    /// addresses alone.
    #[must_use]
    pub fn start(self, app: Router, inside: Router) -> Edge {
        let Self { sockets, site, cores, stop } = self;
        attach(&site.hub, cores, &stop);
        watch(&site.hub, &stop);
        let (http, edge) = (sockets.http_addresses(), sockets.edge_addresses());
        let endpoints = listen(&site, sockets, app, inside, &stop);
        Edge { site, endpoints, http, edge, stop }
    }
}

/// Phase 1 of the start: attaches to the cores.
fn attach(hub: &Arc<Hub>, cores: Cores, stop: &CancellationToken) {
    let dispatch = Dispatch::start(hub.clone());
    hub.tasks.spawn(hub.upstreams.clone().run(cores, dispatch, hub.tasks.clone(), stop.clone()));
}

/// Phase 2: watches over the cores and the sessions.
fn watch(hub: &Arc<Hub>, stop: &CancellationToken) {
    hub.tasks.spawn(resync::run(hub.clone(), stop.clone()));
    hub.tasks.spawn(sweep::run(hub.clone(), stop.clone()));
}

/// Phase 3: lets clients in.
fn listen(
    site: &Arc<Site>,
    sockets: Sockets,
    app: Router,
    inside: Router,
    stop: &CancellationToken,
) -> Vec<quinn::Endpoint> {
    let secure = routes::router(site.clone(), app.clone(), Scheme::Secure);
    let clear = routes::router(site.clone(), app, Scheme::Clear).merge(inside);
    let (host, config, tasks) = (site.hub.clone(), site.config.clone(), site.hub.tasks.clone());
    sockets.serve(Service { host, secure, clear, config, tasks, stop: stop.clone() })
}

impl Handle {
    /// Whether the edge takes sessions.
    ///
    /// # Errors
    /// Why it does not.
    pub fn ready(&self) -> Result<(), String> {
        if self.hub.is_draining() {
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

    /// Tells every client who is here now to go to one of `targets`, the URLs of other edges. Each goes at
    /// a moment of its own within a quarter of `within`. Whoever stays is served as before.
    pub fn send_away(&self, within: Duration, targets: &[String]) {
        drain::send_all_away(&self.hub, within, targets);
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

/// After the sessions of a drain, for connections to finish, and for telling those that do not that they
/// are closed.
const DRAIN_CLOSE: Duration = Duration::from_millis(300);
