//! Holds one key under a lease: takes it when nobody has it, renews it, takes it again when the
//! lease is lost.

use std::{sync::Arc, time::Duration};

use etcd_client::{Client, Compare, CompareOp, Error, PutOptions, Txn, TxnOp, TxnOpResponse};
use tokio::{
    sync::watch,
    time::{Instant, Interval, MissedTickBehavior, interval, sleep, sleep_until, timeout},
};

use super::{
    ask::{ASK, PAUSE, answer, describe, is_refusal, is_without_lease, takes_no_writes},
    entry::Entry,
};
use crate::discovery::{DiscoveryError, EtcdConfig, trouble::Trouble};

/// Holds one key.
pub(super) struct Holder {
    client: Client,
    config: EtcdConfig,
    key: String,
    entry: Entry,
    /// Of the lease, while there is one.
    lease: Option<Lease>,
    /// When the key is written again, which says something else than `entry`.
    untold: Option<Instant>,
    held: watch::Sender<bool>,
    trouble: Arc<Trouble>,
}

#[derive(Clone, Copy)]
struct Lease {
    id: i64,
    /// When etcd was last asked for it with success: it lives for its time from then on, at least.
    renewed: Instant,
}

/// Why a key was not taken.
pub(super) enum NotTaken {
    /// Another has it, and renews it.
    Others(Entry),
    /// Something else.
    Failed(DiscoveryError),
}

impl NotTaken {
    pub(super) fn or_else(self, others: impl FnOnce(Entry) -> DiscoveryError) -> DiscoveryError {
        match self {
            Self::Others(entry) => others(entry),
            Self::Failed(error) => error,
        }
    }
}

impl Holder {
    pub(super) fn new(client: Client, config: EtcdConfig, key: String, entry: Entry, trouble: Arc<Trouble>) -> Self {
        let entry = Entry { token: uuid::Uuid::new_v4().to_string(), ..entry };
        Self { client, config, key, entry, lease: None, untold: None, held: watch::Sender::new(false), trouble }
    }

    pub(super) fn held(&self) -> watch::Receiver<bool> {
        self.held.subscribe()
    }

    /// Takes the key. One whose holder has died is waited for until its lease has run out.
    pub(super) async fn take(&mut self) -> Result<(), NotTaken> {
        let until = Instant::now() + self.config.ttl + LAPSE;
        loop {
            match self.try_take().await {
                Ok(None) => return Ok(()),
                Ok(Some(_)) | Err(_) if Instant::now() < until => sleep(PAUSE).await,
                Ok(Some(entry)) => return Err(NotTaken::Others(entry)),
                Err(error) if is_refusal(&error) => {
                    return Err(NotTaken::Failed(DiscoveryError::Refused(describe(&error))));
                }
                Err(error) => {
                    let (endpoints, reason) = (self.config.endpoints.join(", "), describe(&error));
                    return Err(NotTaken::Failed(match takes_no_writes(&error) {
                        true => DiscoveryError::Unwilling { endpoints, reason },
                        false => DiscoveryError::Unreachable { endpoints, reason },
                    }));
                }
            }
        }
    }

    /// Keeps the key, with what `wanted` says, until its sender is dropped; then gives it back.
    pub(super) async fn hold<T>(mut self, mut wanted: watch::Receiver<T>, entry: impl Fn(&T) -> Entry) {
        let mut renewal = interval(self.config.ttl / 3);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        renewal.reset();
        loop {
            tokio::select! {
                changed = wanted.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    let token = std::mem::take(&mut self.entry.token);
                    self.entry = Entry { token, ..entry(&wanted.borrow_and_update()) };
                    self.tell(&mut renewal).await;
                }
                () = until(self.untold) => self.tell(&mut renewal).await,
                _ = renewal.tick() => self.renew().await,
            }
        }
        if let Some(lease) = self.lease.take() {
            self.entry.leaving = true;
            let giving_back = async {
                // Where it is not written, others wait a while whether this node comes back.
                let said = self.write(lease).await;
                // The key goes with it.
                self.client.lease_revoke(lease.id).await.and(said)
            };
            let given_back = timeout(ASK, giving_back).await;
            tracing::debug!(key = self.key, ok = matches!(given_back, Ok(Ok(()))), "given back");
        }
        self.trouble.mended(&self.what());
        self.held.send_replace(false);
    }

    /// Writes what is wanted under the lease. One that is refused is written again, and the lease
    /// kept: the others know of this node by it, if not all.
    async fn tell(&mut self, renewal: &mut Interval) {
        // Without one it is told with the next one.
        self.untold = None;
        let Some(lease) = self.lease else { return };
        // The lease is renewed meanwhile by nobody else.
        match timeout(self.config.ttl / 3, self.write(lease)).await {
            Ok(Ok(())) => return self.trouble.mended(&self.what()),
            Ok(Err(error)) if is_without_lease(&error) => {
                tracing::warn!(key = self.key, "the lease in etcd is lost");
                self.lose();
                return renewal.reset_immediately();
            }
            Ok(Err(error)) => self.trouble.failed(&self.what(), describe(&error)),
            Err(_) => self.trouble.failed(&self.what(), "it takes too long".into()),
        }
        self.untold = Some(Instant::now() + AGAIN);
    }

    fn what(&self) -> String {
        format!("{} is not written", self.key)
    }

    async fn renew(&mut self) {
        let Some(lease) = self.lease else {
            match self.try_take().await {
                Ok(None) => {
                    tracing::info!(key = self.key, "registered in etcd again");
                    self.trouble.mended(&self.what());
                }
                Ok(Some(entry)) => {
                    tracing::error!(
                        key = self.key,
                        address = entry.address,
                        "another has taken the key in etcd meanwhile"
                    );
                }
                Err(error) => self.trouble.failed(&self.what(), describe(&error)),
            }
            return;
        };
        let asked = Instant::now();
        match timeout(ASK, self.client.lease_keep_alive(lease.id)).await {
            Ok(Ok(_)) => {
                self.lease = Some(Lease { renewed: asked, ..lease });
                if self.untold.is_none() {
                    self.trouble.mended(&self.what());
                }
            }
            Ok(Err(Error::LeaseKeepAliveError(reason))) => {
                tracing::warn!(key = self.key, reason, "the lease in etcd is lost");
                self.lose();
            }
            // etcd is away. Nobody else gets the key before it is back and the lease has run out there.
            Ok(Err(_)) | Err(_) if lease.renewed.elapsed() < self.config.ttl => {
                self.trouble.failed(&self.what(), "etcd does not answer".into());
            }
            Ok(Err(_)) | Err(_) => {
                tracing::warn!(key = self.key, "etcd does not answer: the lease may be lost");
                self.lose();
            }
        }
    }

    fn lose(&mut self) {
        self.lease = None;
        self.held.send_if_modified(|held| std::mem::replace(held, false));
    }

    /// `Some`: another has it.
    async fn try_take(&mut self) -> Result<Option<Entry>, Error> {
        let asked = Instant::now();
        let ttl = i64::try_from(self.config.ttl.as_secs()).unwrap_or(i64::MAX);
        let lease = Lease { id: answer(self.client.lease_grant(ttl, None)).await?.id(), renewed: asked };
        let taken = self.write_under(lease).await;
        match taken {
            Ok(None) => {
                self.lease = Some(lease);
                self.untold = None;
                self.held.send_replace(true);
            }
            Ok(Some(_)) | Err(_) => {
                // It would run out by itself, too.
                let _ = timeout(ASK, self.client.lease_revoke(lease.id)).await;
            }
        }
        taken
    }

    /// Writes the key where nobody has it, or where it is this holder's own of an earlier lease.
    async fn write_under(&mut self, lease: Lease) -> Result<Option<Entry>, Error> {
        let key = self.key.clone();
        let put = TxnOp::put(key.clone(), self.value(), Some(PutOptions::new().with_lease(lease.id)));
        let free = Compare::version(key.clone(), CompareOp::Equal, 0);
        let txn = Txn::new().when([free]).and_then([put]).or_else([TxnOp::get(key, None)]);
        let done = answer(self.client.txn(txn)).await?;
        if done.succeeded() {
            return Ok(None);
        }
        let found = done.op_responses().into_iter().find_map(|response| match response {
            TxnOpResponse::Get(found) => found.kvs().first().map(|kv| Entry::read(kv.value())),
            _ => None,
        });
        match found {
            Some(entry) if entry.token == self.entry.token => self.write(lease).await.map(|()| None),
            Some(entry) => Ok(Some(entry)),
            None => Ok(Some(Entry::default())),
        }
    }

    async fn write(&mut self, lease: Lease) -> Result<(), Error> {
        let options = PutOptions::new().with_lease(lease.id);
        let (key, value) = (self.key.clone(), self.value());
        answer(self.client.put(key, value, Some(options))).await.map(drop)
    }

    fn value(&self) -> Vec<u8> {
        serde_json::to_vec(&self.entry).unwrap_or_default()
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// How soon a write that was refused is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How late etcd may notice that a lease has run out.
const LAPSE: Duration = Duration::from_secs(2);
