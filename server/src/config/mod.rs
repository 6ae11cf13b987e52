//! The configuration: one struct, each key documented.
//!
//! A value comes from the defaults, a TOML file, the environment or a flag; the later goes over the
//! earlier. The environment names a key by its path: `GOGOCHAT__EDGE__LISTEN='["[::]:443"]'`. Tests
//! hold docs/gogochat.example.toml and these structures together.
//!
//! [`Sources`] reads (`file`, `environment`, `env_file`), [`Given`] is what it has read, `known`
//! says which keys there are, and `runner` who may read the files. What values mean is looked at in
//! [`crate::check`].

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

mod env_file;
mod environment;
mod file;
mod given;
mod known;
pub(crate) mod listeners;
mod problem;
mod runner;
mod sources;

pub(crate) use given::Given;
pub(crate) use problem::{Problem, Problems};
pub(crate) use runner::Runner;
pub(crate) use sources::Sources;

/// Everything that an operator may set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// What this process does: "edge", "core" or both.
    pub(crate) roles: Vec<Role>,
    /// This node's name; with two processes, the name that its node certificate carries.
    pub(crate) node: String,
    /// The folder for the store and, with `dev`, the certificate.
    pub(crate) data: PathBuf,
    /// How long SIGTERM gives clients and calls to finish, in ms.
    pub(crate) drain_ms: u64,
    /// How long a start waits for MySQL, Redis, Kafka, etcd and the S3 store, in ms.
    pub(crate) wait_ms: u64,
    pub(crate) http: Http,
    pub(crate) edge: Edge,
    pub(crate) core: Core,
    pub(crate) cluster: Cluster,
    pub(crate) log: Log,
}

/// A part of the system that a process can play.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// Takes connections.
    Edge,
    /// Decides.
    Core,
}

/// The listeners in clear: health, metrics, and with the edge role page, REST and WebSocket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Http {
    /// Addresses. Keep them on loopback or behind a proxy.
    pub(crate) listen: Vec<SocketAddr>,
    /// With the edge role: gateways whose connections begin with a PROXY protocol header, by
    /// address and network.
    pub(crate) proxy_protocol_from: Vec<String>,
}

/// The listeners with TLS: WebTransport, HTTP/3, HTTP/2, HTTP/1.1 and wss, on the same port of UDP and TCP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Edge {
    /// Addresses.
    pub(crate) listen: Vec<SocketAddr>,
    /// Gateways whose TCP connections begin with a PROXY protocol header, by address and network.
    pub(crate) proxy_protocol_from: Vec<String>,
    /// The certificate chain, PEM. Read anew when the file changes.
    pub(crate) certificate: PathBuf,
    /// Its private key, PEM.
    pub(crate) key: PathBuf,
    /// Where browsers may come from (`https://chat.example.org`). Empty: only from this server's own pages.
    pub(crate) origins: Vec<String>,
    /// For how many seconds browsers are to come over TLS alone (HSTS, RFC 6797); 0: that is not told.
    pub(crate) hsts_seconds: u64,
    /// Sessions of this edge; 0: as many as the memory is for.
    pub(crate) sessions: usize,
    /// Connections from one address, loopback apart; 0: as many as it likes.
    pub(crate) connections_per_address: usize,
    /// Sessions of one user at this edge.
    pub(crate) sessions_per_user: usize,
    /// Where clients reach this edge and no other: `https://edge-2.example.org`. Others send theirs
    /// there when they drain. Empty: they do not.
    pub(crate) public: String,
    /// What the page dials for WebTransport; empty: the page's own host and port when it came over TLS.
    pub(crate) webtransport_url: String,
}

/// The core role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Core {
    /// What this core runs; other cores may run the rest. Edges attach to those that run "chat".
    pub(crate) services: Vec<Service>,
    /// "sqlite:PATH" or "mysql://USER:PASSWORD@HOST:PORT/DATABASE"; empty: gogochat.db in the data folder.
    pub(crate) store: String,
    /// Connections to the store, each kind for itself, so that none takes another's; 0: 8 for commits, 2 for
    /// other writes, 3, 3 and 2 for reading on MySQL, 2, 4 and 1 for reading on SQLite, which has one writer.
    pub(crate) store_commits: u32,
    /// For what else is written: accounts and devices.
    pub(crate) store_writes: u32,
    /// For reading who somebody is: log-ins, sessions that open, refreshes.
    pub(crate) store_sessions: u32,
    /// For reading pages: history, conversations, members, contacts.
    pub(crate) store_pages: u32,
    /// For what may take long: searches, looks at very many rows.
    pub(crate) store_heavy: u32,
    /// How long a statement that reads may take before the database stops it, in ms; also how long a call
    /// waits for a connection that reads.
    pub(crate) store_read_ms: u64,
    /// "channel": commands stay in this process, and one core alone runs "chat". "kafka": they are
    /// shared among all cores that do.
    pub(crate) bus: BusKind,
    /// With the Kafka bus: brokers to begin with, as "HOST:PORT".
    pub(crate) kafka: Vec<String>,
    /// With the Kafka bus: after how long without a sign of life a core's partitions go to others, in ms.
    pub(crate) kafka_session_ms: u64,
    /// With the Kafka bus: further properties of librdkafka, such as "sasl.username".
    pub(crate) kafka_properties: BTreeMap<String, String>,
    /// Commands that may wait for a partition's worker.
    pub(crate) bus_queue: usize,
    /// "memory": who is connected is known to this process alone. "redis": to all cores.
    pub(crate) presence: PresenceKind,
    /// With presence in Redis: "redis://USER:PASSWORD@HOST:PORT/DB", or "rediss://" for TLS.
    pub(crate) redis: String,
    /// With "rediss://": the authority that signed its certificate, PEM; empty: the system's authorities.
    pub(crate) redis_ca: PathBuf,
    /// Files of messages. "folder": in the folder "blobs" of the data folder. "folder:PATH".
    /// "s3://BUCKET" or "s3://BUCKET/PREFIX".
    pub(crate) blobs: String,
    /// With blobs in S3: "http://HOST:PORT" or "https://HOST"; empty: Amazon's for the region.
    pub(crate) s3_endpoint: String,
    /// With "https://": the authority that signed its certificate, PEM; empty: the system's authorities.
    pub(crate) s3_ca: PathBuf,
    /// With blobs in S3: the region.
    pub(crate) s3_region: String,
    /// With blobs in S3: the access key's id.
    pub(crate) s3_access_key: String,
    /// With blobs in S3: its secret.
    pub(crate) s3_secret_key: String,
    /// Addresses of the public gRPC service, in clear: keep them on loopback or behind a proxy.
    pub(crate) grpc: Vec<SocketAddr>,
    /// Who may make an account. "open": everybody. "invitation": who has a code of an administrator's.
    /// "closed": nobody.
    pub(crate) registration: Registration,
    /// Lifts the limits by address for loopback, so that a load test can register its users.
    pub(crate) trust_loopback: bool,
}

/// Edge and core as processes of their own: mutual TLS with certificates of a private CA (`gogochat
/// certs` makes them).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Cluster {
    /// What the names of topics, keys and locks begin with in Kafka, Redis and etcd: clusters that
    /// share them have one each.
    pub(crate) name: String,
    /// Where a core takes edges, when the edge is another process.
    pub(crate) listen: Option<SocketAddr>,
    /// What edges call that by: host and port. Empty: the same as `listen`.
    pub(crate) address: String,
    /// How edges find cores. "static": by `cores`. "etcd": each core says where it is.
    pub(crate) discovery: DiscoveryKind,
    /// With etcd: endpoints, as "http://HOST:2379".
    pub(crate) etcd: Vec<String>,
    /// With "https://": the authority that signed its certificate, PEM; empty: the system's authorities.
    pub(crate) etcd_ca: PathBuf,
    /// With etcd that knows users: this one.
    pub(crate) etcd_user: String,
    /// The user's password.
    pub(crate) etcd_password: String,
    /// Without: the cores that an edge attaches to and calls, when they are other processes.
    pub(crate) cores: Vec<CoreNode>,
    /// The private CA's certificate, PEM.
    pub(crate) ca: PathBuf,
    /// This node's certificate, PEM.
    pub(crate) certificate: PathBuf,
    /// Its private key, PEM.
    pub(crate) key: PathBuf,
}

/// A core node to attach to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CoreNode {
    /// The node name in its certificate.
    pub(crate) name: String,
    /// Host and port.
    pub(crate) address: String,
    /// What it runs; all, if nothing is said.
    #[serde(default = "Service::all")]
    pub(crate) services: Vec<Service>,
}

/// Who may make an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Registration {
    /// Everybody.
    Open,
    /// Who has an invitation.
    Invitation,
    /// Nobody.
    Closed,
}

/// A part of a core that can run on a node of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Service {
    /// Accounts, devices and tokens.
    Account,
    /// People and contacts, as far as they are read.
    Social,
    /// Edges' sessions, everything that is committed, and what is read of conversations.
    Chat,
    /// What a device has missed.
    Sync,
    /// Who is connected.
    Presence,
}

/// The way of commands to their workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BusKind {
    /// In this process.
    Channel,
    /// By Kafka.
    Kafka,
}

impl BusKind {
    /// Its name in the configuration.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Channel => "channel",
            Self::Kafka => "kafka",
        }
    }
}

/// Where it is kept who is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PresenceKind {
    /// In this process.
    Memory,
    /// In Redis.
    Redis,
}

/// How nodes find each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DiscoveryKind {
    /// They are named in the configuration.
    Static,
    /// They say so in etcd.
    Etcd,
}

impl Service {
    /// Every one.
    pub(crate) fn all() -> Vec<Self> {
        vec![Self::Account, Self::Social, Self::Chat, Self::Sync, Self::Presence]
    }
}

impl From<Service> for gogochat_proto::service::Service {
    fn from(service: Service) -> Self {
        match service {
            Service::Account => Self::Account,
            Service::Social => Self::Social,
            Service::Chat => Self::Chat,
            Service::Sync => Self::Sync,
            Service::Presence => Self::Presence,
        }
    }
}

/// Logs, on standard error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    /// "json" or "text".
    pub(crate) format: LogFormat,
    /// A tracing filter: "info", "gogochat_edge=debug,info".
    pub(crate) level: String,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For a terminal.
    Text,
}

impl Config {
    /// How long a start waits for services that are away.
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_millis(self.wait_ms)
    }

    /// Whether the store is a file of the data folder, which is made.
    pub(crate) fn keeps_store_in_data(&self) -> bool {
        let absolute = |path: &Path| std::path::absolute(path).ok();
        let folder = self.core.store.strip_prefix("sqlite:").and_then(|path| Path::new(path).parent());
        self.core.store.is_empty() || folder.is_some_and(|folder| absolute(folder) == absolute(&self.data))
    }

    /// Whether this process runs a core with `service`.
    pub(crate) fn runs(&self, service: Service) -> bool {
        self.has(Role::Core) && self.core.services.contains(&service)
    }

    /// Whether it speaks with nodes in other processes.
    pub(crate) fn is_joined(&self) -> bool {
        let (edge, core) = (self.has(Role::Edge), self.has(Role::Core));
        let etcd = self.cluster.discovery == DiscoveryKind::Etcd;
        (edge && (!core || etcd)) || self.cluster.listen.is_some() || !self.cluster.cores.is_empty()
    }

    /// What edges call this core by; `None`: it takes none.
    pub(crate) fn cluster_address(&self) -> Option<String> {
        let listen = self.cluster.listen?;
        Some(if self.cluster.address.is_empty() { listen.to_string() } else { self.cluster.address.clone() })
    }

    /// Whether this process plays `role`.
    pub(crate) fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// The store's URL, with the default filled in.
    pub(crate) fn store_url(&self) -> String {
        if self.core.store.is_empty() {
            format!("sqlite:{}", self.data.join("gogochat.db").display())
        } else {
            self.core.store.clone()
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            roles: vec![Role::Edge, Role::Core],
            node: "gogochat-1".into(),
            data: "./data".into(),
            drain_ms: 10_000,
            wait_ms: 30_000,
            http: Http::default(),
            edge: Edge::default(),
            core: Core::default(),
            cluster: Cluster::default(),
            log: Log::default(),
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self { listen: vec![SocketAddr::from(([127, 0, 0, 1], 8080))], proxy_protocol_from: Vec::new() }
    }
}

impl Default for Edge {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([0_u16; 8], 443))],
            proxy_protocol_from: Vec::new(),
            certificate: PathBuf::new(),
            key: PathBuf::new(),
            origins: Vec::new(),
            hsts_seconds: 0,
            sessions: 0,
            connections_per_address: 10_000,
            sessions_per_user: 100,
            public: String::new(),
            webtransport_url: String::new(),
        }
    }
}

impl Default for Core {
    fn default() -> Self {
        Self {
            services: Service::all(),
            store: String::new(),
            store_commits: 0,
            store_writes: 0,
            store_sessions: 0,
            store_pages: 0,
            store_heavy: 0,
            store_read_ms: 5_000,
            bus: BusKind::Channel,
            kafka: Vec::new(),
            kafka_session_ms: 6_000,
            kafka_properties: BTreeMap::new(),
            bus_queue: 4_096,
            presence: PresenceKind::Memory,
            redis: String::new(),
            redis_ca: PathBuf::new(),
            blobs: "folder".into(),
            s3_endpoint: String::new(),
            s3_ca: PathBuf::new(),
            s3_region: "us-east-1".into(),
            s3_access_key: String::new(),
            s3_secret_key: String::new(),
            grpc: vec![SocketAddr::from(([127, 0, 0, 1], 50051))],
            registration: Registration::Open,
            trust_loopback: false,
        }
    }
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            name: "gogochat".into(),
            listen: None,
            address: String::new(),
            discovery: DiscoveryKind::Static,
            etcd: Vec::new(),
            etcd_ca: PathBuf::new(),
            etcd_user: String::new(),
            etcd_password: String::new(),
            cores: Vec::new(),
            ca: PathBuf::new(),
            certificate: PathBuf::new(),
            key: PathBuf::new(),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Json, level: "info".into() }
    }
}

#[cfg(test)]
mod tests;
