//! Which nodes there are, kept up to date by a watch.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use etcd_client::{Client, Error, EventType, GetOptions, WatchOptions, WatchResponse, WatchStream};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

use super::{
    ask::{PAUSE, answer, describe},
    entry::{CORES, EDGES, Entry},
};
use crate::discovery::{CoreNode, EdgeNode, EtcdConfig, node::set, trouble::Trouble};

/// Which nodes there are.
#[derive(Clone)]
pub(super) struct Members {
    /// `/gogochat/`.
    prefix: String,
    grace: Duration,
    known: BTreeMap<String, Entry>,
    /// Those whose key is gone without a word, and when they are forgotten: after an outage, or started
    /// again at once, a node needs a moment to register.
    missing: BTreeMap<String, Instant>,
    /// Nothing is heard of etcd.
    is_away: bool,
    trouble: Arc<Trouble>,
    cores: Arc<watch::Sender<Vec<CoreNode>>>,
    edges: Arc<watch::Sender<Vec<EdgeNode>>>,
}

impl Members {
    pub(super) fn new(config: &EtcdConfig, trouble: Arc<Trouble>) -> Self {
        Self {
            prefix: format!("/{}/", config.prefix),
            grace: config.ttl + PAUSE,
            known: BTreeMap::new(),
            missing: BTreeMap::new(),
            is_away: false,
            trouble,
            cores: Arc::default(),
            edges: Arc::default(),
        }
    }

    pub(super) fn cores(&self) -> watch::Receiver<Vec<CoreNode>> {
        self.cores.subscribe()
    }

    pub(super) fn edges(&self) -> watch::Receiver<Vec<EdgeNode>> {
        self.edges.subscribe()
    }

    /// Asks for all of them. The revision of the answer: what changes later, changes after it.
    pub(super) async fn list(&mut self, client: &Client) -> Result<i64, Error> {
        let mut kv = client.kv_client();
        let found = answer(kv.get(self.prefix.clone(), Some(GetOptions::new().with_prefix()))).await?;
        let listed: BTreeMap<String, Entry> = found
            .kvs()
            .iter()
            .map(|kv| (String::from_utf8_lossy(kv.key()).into_owned(), Entry::read(kv.value())))
            .collect();
        let forget = Instant::now() + self.grace;
        for name in self.known.keys().filter(|name| !listed.contains_key(*name)) {
            self.missing.entry(name.clone()).or_insert(forget);
        }
        for (name, entry) in listed {
            self.say(name, entry);
        }
        self.is_away = false;
        self.trouble.mended(HEARD);
        self.tell();
        Ok(found.header().map_or(0, etcd_client::ResponseHeader::revision))
    }

    /// Follows every change after `revision`. Ends with its future.
    pub(super) async fn follow(mut self, client: Client, mut revision: i64) {
        loop {
            if let Err(error) = self.watch(&client, revision + 1).await {
                tracing::debug!(%error, "the watch on etcd has ended");
            }
            self.is_away = true;
            self.tell();
            revision = loop {
                sleep(PAUSE).await;
                match self.list(&client).await {
                    Ok(revision) => break revision,
                    // The last ones stay.
                    Err(error) => self.trouble.failed(HEARD, describe(&error)),
                }
            };
        }
    }

    /// Until the watch breaks, or etcd has forgotten what has changed since then.
    async fn watch(&mut self, client: &Client, from: i64) -> Result<(), Error> {
        let options = WatchOptions::new().with_prefix().with_start_revision(from);
        let mut changes: WatchStream = client.watch_client().watch(self.prefix.clone(), Some(options)).await?;
        loop {
            let due = self.missing.values().min().copied();
            tokio::select! {
                change = changes.message() => match change? {
                    Some(change) if !change.canceled() => self.apply(&change),
                    _ => return Ok(()),
                },
                () = until(due) => {
                    let now = Instant::now();
                    let gone: Vec<String> = self.missing.iter().filter(|(_, due)| **due <= now).map(|(name, _)| name.clone()).collect();
                    for name in gone {
                        self.missing.remove(&name);
                        self.known.remove(&name);
                    }
                    self.tell();
                }
            }
        }
    }

    fn apply(&mut self, change: &WatchResponse) {
        for event in change.events() {
            let Some(kv) = event.kv() else { continue };
            let name = String::from_utf8_lossy(kv.key()).into_owned();
            match event.event_type() {
                EventType::Put => self.say(name, Entry::read(kv.value())),
                EventType::Delete => self.miss(name),
            }
        }
        self.tell();
    }

    fn say(&mut self, name: String, entry: Entry) {
        self.missing.remove(&name);
        if entry.leaving {
            self.known.remove(&name);
        } else {
            self.known.insert(name, entry);
        }
    }

    /// A core that was killed and started again has its key anew just after the old one's lease has run
    /// out, and edges that are attached to it by then must not leave it between. An edge is no more than
    /// a place to go to: one that may be dead is none.
    fn miss(&mut self, name: String) {
        let kind = name.strip_prefix(&self.prefix).and_then(|name| name.split('/').next());
        if kind == Some(CORES) && self.known.contains_key(&name) {
            self.missing.entry(name).or_insert(Instant::now() + self.grace);
        } else {
            self.missing.remove(&name);
            self.known.remove(&name);
        }
    }

    fn tell(&self) {
        let of = |kind: &str| {
            let prefix = format!("{}{kind}/", self.prefix);
            self.known
                .iter()
                .filter_map(move |(key, entry)| {
                    let lives = !self.missing.contains_key(key);
                    Some((key.strip_prefix(&prefix)?.to_owned(), entry.clone(), lives))
                })
                .collect::<Vec<_>>()
        };
        let core = |(name, entry, lives): (String, Entry, bool)| CoreNode {
            name,
            address: entry.address,
            services: entry.services,
            bus: entry.bus,
            partitions: entry.partitions,
            lives,
        };
        // What edges reach changes, and is not heard of while etcd is away.
        let reached = |entry: Entry| if self.is_away { Vec::new() } else { entry.cores };
        let edge = |(name, entry, _): (String, Entry, bool)| EdgeNode {
            name,
            url: entry.address.clone(),
            cores: reached(entry),
        };
        set(&self.cores, of(CORES).into_iter().map(core).collect());
        set(&self.edges, of(EDGES).into_iter().map(edge).collect());
    }
}

/// What is tried here.
const HEARD: &str = "which nodes there are is not heard";

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}
