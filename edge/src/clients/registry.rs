//! The registry of connected clients, of their users, and of the logs that they are subscribed to.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use dashmap::{DashMap, Entry};
use gogochat_proto::ids::{LogId, UserId};

use parking_lot::Mutex;

use super::peer::Peer;
use crate::{principal::Principal, session::share::UserShare, transport::outlet::Outlet};

/// Everything that is known of sessions and logs.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    next: AtomicU64,
    peers: DashMap<u64, Arc<Peer>>,
    users: DashMap<UserId, User>,
    /// Users without a session, of whom calls are still under way.
    departed: Mutex<Vec<UserId>>,
    logs: DashMap<LogId, Log>,
}

#[derive(Debug)]
struct User {
    sessions: Vec<u64>,
    share: Arc<UserShare>,
}

#[derive(Debug)]
struct Log {
    /// Everything up to here has come.
    have: i64,
    /// Which cores were asked to replay what is missing, and when: each whose event could not be delivered.
    asked: Vec<(u32, Instant)>,
    /// Which were asked to replay what only some subscribers lack, who came later.
    asked_for_some: Vec<(u32, Instant)>,
    subscribers: Vec<Subscriber>,
}

#[derive(Debug)]
struct Subscriber {
    peer: Arc<Peer>,
    have: i64,
}

/// What to do with an event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// It goes to the peers that were gathered.
    Deliver,
    /// It goes to the peers that were gathered, and others lack what comes after this seq: ask for it.
    Behind(i64),
    /// Nobody needs it.
    Ignore,
    /// Events before it are missing: ask for what comes after this seq.
    Gap(i64),
    /// Events before it are missing, and were asked for.
    Wait,
}

impl Registry {
    /// Adds a client that has just connected.
    pub(crate) fn add(&self, outlet: Arc<Outlet>, address: IpAddr, kind: &'static str, now: Instant) -> Arc<Peer> {
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let peer = Arc::new(Peer::new(id, address, kind, outlet, now));
        self.peers.insert(id, peer.clone());
        peer
    }

    /// Its user is known now: gives what the user's sessions share. `None`: the user has `most` sessions
    /// already.
    pub(crate) fn identify(&self, peer: &Peer, principal: Principal, most: usize) -> Option<Arc<UserShare>> {
        let logs = peer.subscriptions.lock();
        if logs.is_none() {
            return Some(Arc::new(UserShare::new(Instant::now())));
        }
        let mut user = self.users.entry(principal.user).or_insert_with(|| {
            let share = Arc::new(UserShare::new(Instant::now()));
            User { sessions: Vec::new(), share }
        });
        if !user.sessions.contains(&peer.id) {
            if user.sessions.len() >= most {
                return None;
            }
            user.sessions.push(peer.id);
        }
        Some(user.share.clone())
    }

    /// A client has gone. `last` is called for each log that nobody is subscribed to any more, in order
    /// with other changes of that log.
    pub(crate) fn remove(&self, peer: &Peer, principal: Option<Principal>, mut last: impl FnMut(LogId)) {
        self.peers.remove(&peer.id);
        // From here on nothing is added.
        let logs = peer.subscriptions.lock().take();
        if let Some(principal) = principal
            && let Entry::Occupied(mut entry) = self.users.entry(principal.user)
        {
            let user = entry.get_mut();
            user.sessions.retain(|id| *id != peer.id);
            if user.sessions.is_empty() {
                if user.share.is_idle() {
                    entry.remove();
                } else {
                    // Whoever comes again at once has no more calls under way by that.
                    self.departed.lock().push(principal.user);
                }
            }
        }
        for log in logs.into_iter().flatten() {
            self.drop_subscriber(peer, log, &mut last);
        }
    }

    /// Subscribes a client to a log, from after `from_seq`. `ask` is called when what comes after a seq has
    /// to be sent, in order with other changes of that log. `true`: it is the first subscriber here;
    /// `false`: the log is sent here already, and only this client lacks some of it.
    pub(crate) fn subscribe(&self, peer: &Arc<Peer>, log: LogId, from_seq: i64, ask: impl FnOnce(i64, bool)) {
        // Held to the end. The subscription is there when the client goes, and is taken away, or it is not
        // added any more.
        let mut logs = peer.subscriptions.lock();
        let Some(logs) = logs.as_mut() else { return };
        let Err(place) = logs.binary_search(&log) else { return };
        logs.insert(place, log);
        let subscriber = Subscriber { peer: peer.clone(), have: from_seq };
        match self.logs.entry(log) {
            Entry::Vacant(entry) => {
                let subscribers = vec![subscriber];
                let log = Log { have: from_seq, asked: Vec::new(), asked_for_some: Vec::new(), subscribers };
                ask(entry.insert(log).have, true);
            }
            Entry::Occupied(mut entry) => {
                // What came between is replayed, for this one alone.
                if from_seq < entry.get().have {
                    ask(from_seq, false);
                    // Whoever has an event that this one is not ready for is asked as well.
                    entry.get_mut().asked_for_some = Vec::new();
                }
                entry.get_mut().subscribers.push(subscriber);
            }
        }
    }

    /// Ends a client's subscription to a log; `last` as in [`Self::remove`].
    pub(crate) fn unsubscribe(&self, peer: &Peer, log: LogId, last: impl FnMut(LogId)) {
        {
            let mut logs = peer.subscriptions.lock();
            let Some(logs) = logs.as_mut() else { return };
            let Ok(place) = logs.binary_search(&log) else { return };
            logs.remove(place);
        }
        self.drop_subscriber(peer, log, last);
    }

    /// Decides about an event that came from a core, and gathers who gets it.
    pub(crate) fn deliver(&self, log: LogId, seq: i64, core: u32, now: Instant, to: &mut Vec<Arc<Peer>>) -> Delivery {
        to.clear();
        let Some(mut log) = self.logs.get_mut(&log) else { return Delivery::Ignore };
        let log = log.value_mut();
        if seq > log.have + 1 {
            // This event is dropped, and its core takes it as delivered. So that core is asked, even where
            // another is replaying already.
            return if ask(&mut log.asked, core, now) { Delivery::Gap(log.have) } else { Delivery::Wait };
        }
        if seq == log.have + 1 {
            log.have = seq;
            log.asked = Vec::new();
        }
        let mut behind = None;
        for subscriber in log.subscribers.iter_mut().filter(|subscriber| subscriber.have < seq) {
            if subscriber.have + 1 == seq {
                subscriber.have = seq;
                to.push(subscriber.peer.clone());
            } else {
                // It came later and lacks some before: this one comes again behind those.
                behind = Some(behind.map_or(subscriber.have, |have: i64| have.min(subscriber.have)));
            }
        }
        match behind {
            Some(have) if ask(&mut log.asked_for_some, core, now) => Delivery::Behind(have),
            _ if to.is_empty() => Delivery::Ignore,
            _ => Delivery::Deliver,
        }
    }

    /// Gathers who is subscribed to a log.
    pub(crate) fn subscribers(&self, log: LogId, to: &mut Vec<Arc<Peer>>) {
        to.clear();
        if let Some(log) = self.logs.get(&log) {
            to.extend(log.subscribers.iter().map(|subscriber| subscriber.peer.clone()));
        }
    }

    /// The session of this number.
    pub(crate) fn peer(&self, id: u64) -> Option<Arc<Peer>> {
        self.peers.get(&id).map(|peer| peer.clone())
    }

    /// Forgets users without a session whose calls have all ended. To be called now and then.
    pub(crate) fn forget_departed(&self) {
        // Not held meanwhile: who leaves holds a user's entry when they are added.
        let mut departed = std::mem::take(&mut *self.departed.lock());
        departed.retain(|user| {
            let Entry::Occupied(entry) = self.users.entry(*user) else { return false };
            let User { sessions, share } = entry.get();
            let calls = sessions.is_empty() && !share.is_idle();
            if sessions.is_empty() && !calls {
                entry.remove();
            }
            calls
        });
        self.departed.lock().append(&mut departed);
    }

    /// The sessions of a user.
    pub(crate) fn user(&self, user: UserId) -> Vec<Arc<Peer>> {
        let ids = self.users.get(&user).map(|user| user.sessions.clone()).unwrap_or_default();
        ids.into_iter().filter_map(|id| self.peer(id)).collect()
    }

    /// Everybody.
    pub(crate) fn all(&self) -> Vec<Arc<Peer>> {
        self.peers.iter().map(|peer| peer.clone()).collect()
    }

    /// How many are here.
    pub(crate) fn len(&self) -> usize {
        self.peers.len()
    }

    /// Every log that somebody is subscribed to.
    pub(crate) fn logs(&self) -> Vec<LogId> {
        self.logs.iter().map(|log| *log.key()).collect()
    }

    /// Every client.
    pub(crate) fn ids(&self) -> Vec<u64> {
        self.peers.iter().map(|peer| *peer.key()).collect()
    }

    /// Calls `send` with the seq up to which all subscribers of a log have it, if there are any, in order
    /// with other changes of that log.
    pub(crate) fn announce(&self, log: LogId, send: impl FnOnce(i64)) {
        if let Some(log) = self.logs.get(&log) {
            let least = log.subscribers.iter().map(|subscriber| subscriber.have).min().unwrap_or(log.have);
            send(least.min(log.have));
        }
    }

    /// Everything of a log up to here has come, if anybody is subscribed to it.
    pub(crate) fn have(&self, log: LogId) -> Option<i64> {
        self.logs.get(&log).map(|log| log.have)
    }

    fn drop_subscriber(&self, peer: &Peer, log: LogId, mut last: impl FnMut(LogId)) {
        let Entry::Occupied(mut entry) = self.logs.entry(log) else { return };
        let subscribers = &mut entry.get_mut().subscribers;
        if let Some(index) = subscribers.iter().position(|subscriber| subscriber.peer.id == peer.id) {
            subscribers.swap_remove(index);
        }
        if subscribers.is_empty() {
            last(log);
            entry.remove();
        }
    }
}

/// Whether a core is to be asked now; notes that it is.
fn ask(asked: &mut Vec<(u32, Instant)>, core: u32, now: Instant) -> bool {
    let recent = |at: Instant| now.saturating_duration_since(at) < ASK_AGAIN;
    if asked.iter().any(|(other, at)| *other == core && recent(*at)) {
        return false;
    }
    asked.retain(|(other, at)| *other != core && recent(*at));
    asked.push((core, now));
    true
}

/// A replay that has not come by then is asked for again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
