//! Turns the configuration into the settings of each part: storage, core, edge.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use gogochat_core::CoreConfig;
use gogochat_edge::{EdgeConfig, Limits, Network, door::Doors};
use gogochat_proto::service::Service as Part;
use gogochat_storage::{
    blobs::S3Config,
    bus::KafkaConfig,
    discovery::{CoreNode, EdgeNode, EtcdConfig},
    open::{BlobsConfig, BusConfig, DiscoveryConfig, PresenceConfig, StorageConfig},
    presence::RedisConfig,
    store::Connections,
};

use tokio::sync::watch;

use crate::{
    certificate::Reloadable,
    config::{BusKind, Config, Core, DiscoveryKind, PresenceKind, Registration, Role, Service},
    edges,
    hex::hex,
    memory::Room,
};

/// What storage is told.
pub(crate) fn storage(config: &Config) -> StorageConfig {
    let Core { bus, bus_queue, presence, redis, redis_ca, .. } = &config.core;
    let prefix = || config.cluster.name.clone();
    StorageConfig {
        store_url: config.store_url(),
        connections: connections(&config.core),
        bus: match bus {
            BusKind::Channel => BusConfig::Channel,
            BusKind::Kafka => BusConfig::Kafka(kafka(config)),
        },
        bus_queue: *bus_queue,
        presence: match presence {
            PresenceKind::Memory => PresenceConfig::Memory,
            PresenceKind::Redis => {
                PresenceConfig::Redis(RedisConfig { url: redis.clone(), ca: given(redis_ca), prefix: prefix() })
            }
        },
        blobs: blobs(config),
    }
}

fn connections(core: &Core) -> Connections {
    Connections {
        commits: core.store_commits,
        writes: core.store_writes,
        sessions: core.store_sessions,
        pages: core.store_pages,
        heavy: core.store_heavy,
        read_limit: Duration::from_millis(core.store_read_ms),
    }
}

/// How Kafka is reached.
pub(crate) fn kafka(config: &Config) -> KafkaConfig {
    let Core { kafka, kafka_properties, kafka_session_ms, .. } = &config.core;
    KafkaConfig {
        brokers: kafka.join(","),
        prefix: config.cluster.name.clone(),
        session_timeout: Duration::from_millis(*kafka_session_ms),
        properties: kafka_properties.clone(),
        ..KafkaConfig::default()
    }
}

fn blobs(config: &Config) -> BlobsConfig {
    let Core { blobs, s3_endpoint, s3_ca, s3_region, s3_access_key, s3_secret_key, .. } = &config.core;
    match blobs.split_once(':') {
        Some(("s3", place)) => {
            let place = place.trim_start_matches('/');
            let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
            BlobsConfig::S3(S3Config {
                bucket: bucket.to_owned(),
                prefix: prefix.trim_end_matches('/').to_owned(),
                endpoint: s3_endpoint.clone(),
                ca: given(s3_ca),
                region: s3_region.clone(),
                access_key: s3_access_key.clone(),
                secret_key: s3_secret_key.clone(),
            })
        }
        Some((_, folder)) => BlobsConfig::Folder(folder.into()),
        None => BlobsConfig::Folder(config.data.join("blobs")),
    }
}

/// A file, where the key names one.
fn given(file: &Path) -> Option<PathBuf> {
    (!file.as_os_str().is_empty()).then(|| file.to_owned())
}

/// What discovery is told.
pub(crate) fn discovery(config: &Config) -> DiscoveryConfig {
    match config.cluster.discovery {
        DiscoveryKind::Static => DiscoveryConfig::Static(cores(config)),
        DiscoveryKind::Etcd => DiscoveryConfig::Etcd(EtcdConfig {
            endpoints: config.cluster.etcd.clone(),
            prefix: config.cluster.name.clone(),
            ca: given(&config.cluster.etcd_ca),
            user: Some((config.cluster.etcd_user.clone(), config.cluster.etcd_password.clone()))
                .filter(|(user, _)| !user.is_empty()),
            ..EtcdConfig::default()
        }),
    }
}

/// What the core is told.
pub(crate) fn core(config: &Config) -> CoreConfig {
    CoreConfig {
        services: config.core.services.iter().map(|service| (*service).into()).collect(),
        registration: match config.core.registration {
            Registration::Open => gogochat_core::Registration::Open,
            Registration::Invitation => gogochat_core::Registration::Invitation,
            Registration::Closed => gogochat_core::Registration::Closed,
        },
        exempt_loopback: config.core.trust_loopback,
        ..CoreConfig::default()
    }
}

/// The cores that the configuration names.
fn cores(config: &Config) -> Vec<CoreNode> {
    let cores = config.cluster.cores.iter().map(|core| CoreNode {
        name: core.name.clone(),
        address: core.address.clone(),
        services: names(&core.services),
        bus: String::new(),
        partitions: Vec::new(),
        lives: false,
    });
    cores.collect()
}

/// The core of this process, as others find it; `None`: it takes no edges.
pub(crate) fn own_core(config: &Config) -> Option<CoreNode> {
    Some(CoreNode {
        name: config.node.clone(),
        address: config.cluster_address()?,
        services: names(&config.core.services),
        bus: config.core.bus.name().to_owned(),
        partitions: Vec::new(),
        lives: true,
    })
}

fn names(services: &[Service]) -> Vec<String> {
    services.iter().map(|service| Part::from(*service).name().to_owned()).collect()
}

/// How many sessions the memory is for; `None`: the configuration says a number, or there is no edge.
pub(crate) fn room(config: &Config) -> Option<Room> {
    (config.has(Role::Edge) && config.edge.sessions == 0).then(Room::look)
}

/// What the edge is told. Only a pinned certificate has a hash to give to the page.
pub(crate) fn edge(config: &Config, certificate: &Arc<Reloadable>, doors: Arc<Doors>) -> EdgeConfig {
    let pin = certificate.clone();
    let sessions = room(config).map_or(config.edge.sessions, |room| room.sessions);
    EdgeConfig {
        node: config.node.clone(),
        http: config.http.listen.clone(),
        edge: config.edge.listen.clone(),
        http_proxy_protocol_from: networks(&config.http.proxy_protocol_from),
        edge_proxy_protocol_from: networks(&config.edge.proxy_protocol_from),
        certificate: certificate.clone(),
        allowed_origins: config.edge.origins.iter().filter_map(|origin| origin.parse().ok()).collect(),
        // A certificate that is known by its hash is one of this machine's alone.
        strict_transport: Some(Duration::from_secs(config.edge.hsts_seconds))
            .filter(|age| !age.is_zero() && !certificate.is_pinned()),
        webtransport_url: Some(config.edge.webtransport_url.clone()).filter(|url| !url.is_empty()),
        certificate_hash: Arc::new(move || pin.pin().map_or_else(String::new, |hash| hex(&hash))),
        // Of this node's own: with one that nodes share, packets sent astray would end connections
        // of others (RFC 9000 section 21.11).
        reset_key: certificate.derive("QUIC stateless reset", &config.node).ok(),
        doors,
        limits: Limits {
            sessions,
            connections_per_address: config.edge.connections_per_address,
            sessions_per_user: config.edge.sessions_per_user,
            // All of them move when a core is lost, each closed there and opened here, with what it hears.
            core_queue: sessions.saturating_mul(10).min(Limits::default().core_queue).max(sessions.saturating_mul(4)),
            ..Limits::default()
        },
    }
}

/// The networks; whether each is one, `check` has looked.
fn networks(networks: &[String]) -> Vec<Network> {
    networks.iter().filter_map(|network| network.parse().ok()).collect()
}

/// The page's Content-Security-Policy (CSP level 3): it talks to where it came from, to the
/// WebTransport address, and to the edges to which it may be sent by one that drains. It has no
/// `'unsafe-webtransport-hashes'`: no browser asks for that keyword, and those of today complain of it
/// at each load.
pub(crate) fn content_security_policy(
    config: &Config,
    edges: watch::Receiver<Vec<EdgeNode>>,
) -> impl Fn() -> String + Clone + Send + Sync + 'static {
    let webtransport = policy_source(&config.edge.webtransport_url);
    move || {
        let edges: String = edges
            .borrow()
            .iter()
            .filter_map(|edge| edges::authority(&edge.url))
            .map(|edge| {
                format!(" {} {}", policy_source(&format!("https://{edge}")), policy_source(&format!("wss://{edge}")))
            })
            .collect();
        format!(
            "default-src 'self'; connect-src 'self' {webtransport}{edges}; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; \
             form-action 'self'; frame-ancestors 'none'"
        )
    }
}

/// The source expression for a URL's origin (CSP level 3, section 2.3.1). It has no form for an address
/// of IPv6, and browsers ignore one: any host on that port stands for it.
fn policy_source(url: &str) -> String {
    let origin = url.split('/').take(3).collect::<Vec<_>>().join("/");
    match origin.split_once("://[").and_then(|(scheme, rest)| Some((scheme, rest.split_once(']')?.1))) {
        Some((scheme, port)) => format!("{scheme}://*{port}"),
        None => origin,
    }
}
