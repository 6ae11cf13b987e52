//! Discovery by etcd: each node has a key under a lease that it renews; all watch the keys. While
//! etcd is away everybody keeps what they knew last.

mod ask;
mod entry;
mod holder;
mod members;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use etcd_client::{Client, Compare, CompareOp, ConnectOptions, TlsOptions, Txn, TxnOp, TxnOpResponse};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep},
};

use self::{
    ask::{ASK, PAUSE, answer, describe, is_refusal, takes_no_writes},
    entry::{CORES, EDGES, Entry},
    holder::Holder,
    members::Members,
};
use super::{Claim, CoreNode, Discovery, DiscoveryError, EdgeNode, EtcdConfig, Node, Registration, trouble::Trouble};
use crate::{causes::causes, tls};

/// Discovery by etcd.
pub struct EtcdDiscovery {
    client: Client,
    config: EtcdConfig,
    members: Members,
    trouble: Arc<Trouble>,
    watcher: JoinHandle<()>,
}

impl EtcdDiscovery {
    /// Connects, and learns which nodes there are.
    ///
    /// # Errors
    /// etcd does not answer, or not to this user; the configuration cannot be used.
    pub async fn open(mut config: EtcdConfig) -> Result<Self, DiscoveryError> {
        config.ttl = config.ttl.max(MIN_TTL);
        let (endpoints, options) = options(&config)?;
        let mut reason = "it takes too long".to_owned();
        let trouble = Arc::new(Trouble::new("cluster.etcd"));
        let opening = async {
            let mut members = Members::new(&config, trouble.clone());
            loop {
                let error = match Client::connect(&endpoints, Some(options.clone())).await {
                    Ok(client) => match members.list(&client).await {
                        Ok(revision) => return Ok((client, members, revision)),
                        Err(error) => error,
                    },
                    Err(error) => error,
                };
                if is_refusal(&error) {
                    return Err(DiscoveryError::Refused(describe(&error)));
                }
                tracing::debug!(%error, "etcd does not answer yet");
                reason = causes(&error);
                if tls::is_untrusted(&reason) {
                    return Err(DiscoveryError::Untrusted { endpoints: endpoints.join(", "), reason: reason.clone() });
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        let opened = tokio::time::timeout(OPENING, opening).await;
        let unreachable = |_| Err(DiscoveryError::Unreachable { endpoints: endpoints.join(", "), reason });
        let (client, members, revision) = opened.unwrap_or_else(unreachable)?;
        let watcher = tokio::spawn(members.clone().follow(client.clone(), revision));
        config.endpoints = endpoints;
        Ok(Self { client, config, members, trouble, watcher })
    }

    fn holder(&self, key: String, entry: Entry) -> Holder {
        Holder::new(self.client.clone(), self.config.clone(), key, entry, self.trouble.clone())
    }

    fn key(&self, kind: &str, name: &str) -> String {
        format!("/{}/{kind}/{name}", self.config.prefix)
    }
}

impl Drop for EtcdDiscovery {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

#[async_trait]
impl Discovery for EtcdDiscovery {
    fn cores(&self) -> watch::Receiver<Vec<CoreNode>> {
        self.members.cores()
    }

    fn edges(&self) -> watch::Receiver<Vec<EdgeNode>> {
        self.members.edges()
    }

    async fn register(&self, node: Node) -> Result<Registration, DiscoveryError> {
        let kind = match &node {
            Node::Core(_) => CORES,
            Node::Edge(_) => EDGES,
        };
        let name = node.name().to_owned();
        let entry = move |node: &Node| match node {
            Node::Core(core) => Entry {
                address: core.address.clone(),
                services: core.services.clone(),
                bus: core.bus.clone(),
                partitions: core.partitions.clone(),
                ..Entry::default()
            },
            Node::Edge(edge) => Entry { address: edge.url.clone(), cores: edge.cores.clone(), ..Entry::default() },
        };
        let mut holder = self.holder(self.key(kind, &name), entry(&node));
        holder
            .take()
            .await
            .map_err(|taken| taken.or_else(|entry| DiscoveryError::NameTaken { name, address: entry.address }))?;
        let (wanted, changes) = watch::channel(node);
        Ok(Registration::new(wanted, tokio::spawn(holder.hold(changes, entry))))
    }

    async fn claim(&self, name: &str, holder: &str) -> Result<Claim, DiscoveryError> {
        let entry = Entry { address: holder.to_owned(), ..Entry::default() };
        let key = self.key("claims", name);
        let mut taker = self.holder(key, entry.clone());
        let claimed = |entry: Entry| DiscoveryError::Claimed { name: name.to_owned(), holder: entry.address };
        taker.take().await.map_err(|taken| taken.or_else(claimed))?;
        let (wanted, until) = watch::channel(());
        let held = taker.held();
        Ok(Claim::new(held, wanted, tokio::spawn(taker.hold(until, move |()| entry.clone()))))
    }

    async fn agree(&self, name: &str, value: &str) -> Result<(), DiscoveryError> {
        let key = self.key("agreed", name);
        let txn = || {
            let first = Compare::version(key.clone(), CompareOp::Equal, 0);
            Txn::new()
                .when([first])
                .and_then([TxnOp::put(key.clone(), value, None)])
                .or_else([TxnOp::get(key.clone(), None)])
        };
        let until = Instant::now() + PATIENCE;
        let mut client = self.client.clone();
        // Nearly always it is said already: etcd that takes no writes answers all the same.
        let said = |kv: &etcd_client::KeyValue| String::from_utf8_lossy(kv.value()).into_owned();
        let done = loop {
            let asked = answer(client.get(key.clone(), None)).await;
            if asked.is_ok_and(|found| found.kvs().first().map(said).as_deref() == Some(value)) {
                return Ok(());
            }
            match answer(client.txn(txn())).await {
                Ok(done) => break done,
                Err(error) if is_refusal(&error) => return Err(DiscoveryError::Refused(describe(&error))),
                Err(_) if Instant::now() < until => sleep(PAUSE).await,
                Err(error) => {
                    let (endpoints, reason) = (self.config.endpoints.join(", "), describe(&error));
                    return Err(match takes_no_writes(&error) {
                        true => DiscoveryError::Unwilling { endpoints, reason },
                        false => DiscoveryError::Unreachable { endpoints, reason },
                    });
                }
            }
        };
        let said = done.op_responses().into_iter().find_map(|response| match response {
            TxnOpResponse::Get(found) => found.kvs().first().map(said),
            _ => None,
        });
        match said {
            Some(cluster) if cluster != value => Err(DiscoveryError::Differs { key, cluster, here: value.to_owned() }),
            _ => Ok(()),
        }
    }

    fn trouble(&self) -> Option<String> {
        self.trouble.told()
    }
}

/// Endpoints without user and password, and how to connect.
fn options(config: &EtcdConfig) -> Result<(Vec<String>, ConnectOptions), DiscoveryError> {
    let mut options = ConnectOptions::new()
        .with_connect_timeout(ASK)
        .with_keep_alive(PING, ASK)
        .with_keep_alive_while_idle(false)
        // A member that is cut off from the others says so, and does not go on with what it knew last.
        .with_require_leader(true)
        .with_auto_token_refresh(true);
    if let Some((user, password)) = &config.user {
        options = options.with_user(user, password);
    }
    let mut endpoints = Vec::with_capacity(config.endpoints.len());
    for endpoint in &config.endpoints {
        let (scheme, place) = endpoint.split_once("://").unwrap_or(("http", endpoint));
        let (user, place) = place.rsplit_once('@').map_or((None, place), |(user, place)| (Some(user), place));
        if !matches!(scheme, "http" | "https") || place.is_empty() {
            let message = format!("{scheme}://{place} is no endpoint: write http://HOST:PORT or https://HOST:PORT");
            return Err(DiscoveryError::Config(message));
        }
        if let Some((user, password)) = user.and_then(|user| user.split_once(':')) {
            options = options.with_user(user, password);
        }
        endpoints.push(format!("{scheme}://{place}"));
    }
    if endpoints.is_empty() {
        return Err(DiscoveryError::Config("there is no endpoint: write [\"http://HOST:PORT\"]".into()));
    }
    let over_tls = endpoints.iter().filter(|endpoint| endpoint.starts_with("https://")).count();
    if over_tls != 0 && over_tls != endpoints.len() {
        return Err(DiscoveryError::Config("endpoints begin with https:// all, or none of them".into()));
    }
    if over_tls != 0 {
        options = options.with_tls(match &config.ca {
            Some(ca) => TlsOptions::new().trust_anchors(tls::authorities(ca)?.roots),
            None => TlsOptions::new().with_native_roots(),
        });
    }
    Ok((endpoints, options))
}

const MIN_TTL: Duration = Duration::from_secs(2);
/// How long the first answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Who opens it says so, and tries again if it likes.
const OPENING: Duration = Duration::from_secs(3);
/// etcd closes connections that ping more often than every 5 s.
const PING: Duration = Duration::from_secs(6);
