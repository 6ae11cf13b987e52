//! Presence: who is connected. It is told to contacts, in their direct conversations, and never
//! stored.

mod lapses;
mod refresh;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use gogochat_proto::{
    error::{ErrorCode, violation},
    ids::{DeviceId, LogId, UserId},
    node::EphemeralKind,
    v1::{self, ephemeral::Kind, server_frame::Frame},
};
use gogochat_storage::{
    presence::{Presence as Directory, SessionKey, Status},
    store::Store,
};
use parking_lot::Mutex;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, MissedTickBehavior},
};

use self::lapses::Lapses;
use crate::{
    authorize::Caller,
    clock::now_ms,
    config::CoreConfig,
    failure::{self, id},
    fanout::Fanout,
    metrics::Metrics,
};

/// The presence service.
pub(crate) struct Presence {
    store: Arc<dyn Store>,
    directory: Arc<dyn Directory>,
    fanout: Arc<Fanout>,
    metrics: Arc<Metrics>,
    notes: mpsc::Sender<Note>,
    /// Sessions open at this core, whose presence it keeps fresh.
    open: Mutex<HashMap<SessionKey, (UserId, Instant)>>,
    /// Users whose coming the directory did not take, and where it is told: the refresh tells them.
    untold: Mutex<HashMap<UserId, Vec<(LogId, UserId)>>>,
    grace: Duration,
    ttl: Duration,
}

/// What [`Presence::run`] is told.
pub(crate) enum Note {
    /// A session came or went.
    Moved(Move),
    /// All who are leaving are to be seen off now, and then the sender to be told.
    Hurry(oneshot::Sender<()>),
}

/// A session came or went.
pub(crate) struct Move {
    user: UserId,
    session: SessionKey,
    /// Where a coming is told: the user's direct conversations, with the other in each.
    came: Option<Vec<(LogId, UserId)>>,
    /// To be noted as seen.
    device: Option<DeviceId>,
}

/// A session that came.
struct Came {
    user: UserId,
    session: SessionKey,
    /// Where it is told.
    directs: Vec<(LogId, UserId)>,
}

impl Presence {
    /// The service, and the receiver that [`Self::run`] works off.
    pub(crate) fn new(
        store: Arc<dyn Store>,
        directory: Arc<dyn Directory>,
        fanout: Arc<Fanout>,
        metrics: Arc<Metrics>,
        config: &CoreConfig,
    ) -> (Self, mpsc::Receiver<Note>) {
        let (notes, received) = mpsc::channel(MOVES);
        let (grace, ttl) = (config.presence_grace, config.presence_ttl);
        (
            Self {
                store,
                directory,
                fanout,
                metrics,
                notes,
                open: Mutex::default(),
                untold: Mutex::default(),
                grace,
                ttl,
            },
            received,
        )
    }

    /// A session was opened.
    pub(crate) fn came(
        &self,
        caller: Caller,
        session: SessionKey,
        directs: Vec<(LogId, UserId)>,
        seen: Option<DeviceId>,
    ) {
        self.count(|open| open.insert(session, (caller.user, Instant::now())));
        self.note(Move { user: caller.user, session, came: Some(directs), device: seen });
    }

    /// A session is gone.
    pub(crate) fn went(&self, caller: Caller, session: SessionKey) {
        if let Some((user, since)) = self.count(|open| open.remove(&session)) {
            // What was noted as it came is recent enough for a short session.
            let device = (since.elapsed() > SHORT).then_some(caller.device);
            self.note(Move { user, session, came: None, device });
        }
    }

    fn count<T>(&self, change: impl FnOnce(&mut HashMap<SessionKey, (UserId, Instant)>) -> T) -> T {
        let mut open = self.open.lock();
        let changed = change(&mut open);
        self.metrics.sessions.set(open.len() as f64);
        changed
    }

    fn note(&self, change: Move) {
        // Presence may lose everything: the refresh brings sessions back, and the time to live ends them.
        if self.notes.try_send(Note::Moved(change)).is_err() {
            self.metrics.presence_lost.increment(1);
        }
    }

    /// Sees off at once those whose sessions have ended here: there will be no later, for this core
    /// goes away.
    pub(crate) async fn see_off(&self) {
        let (done, seen_off) = oneshot::channel();
        if self.notes.send(Note::Hurry(done)).await.is_ok() {
            // It ends without an answer where presence has ended before.
            let _ = seen_off.await;
        }
    }

    /// The presence of contacts.
    pub(crate) async fn get(
        &self,
        caller: Caller,
        request: v1::GetPresenceRequest,
    ) -> Result<v1::GetPresenceResponse, v1::Error> {
        if request.user_ids.len() > MAX_ASKED {
            return Err(violation("userIds", format!("at most {MAX_ASKED}")));
        }
        let asked = request.user_ids.iter().map(|text| id("userIds", text)).collect::<Result<Vec<UserId>, _>>()?;
        let contacts = self.store.accepted_contacts(caller.user, &asked).await.map_err(failure::store)?;
        let statuses = self.directory.get(&contacts, now_ms()).await.map_err(|error| {
            tracing::warn!(%error, "presence is unknown");
            ErrorCode::Unavailable.with("presence is unknown at the moment")
        })?;
        let presences = contacts.iter().zip(statuses).map(|(user, status)| v1::UserPresence {
            user_id: user.to_string(),
            presence: Some(v1::Presence { online: status.online, last_seen_ms: status.last_seen_ms }),
        });
        Ok(v1::GetPresenceResponse { presences: presences.collect() })
    }

    /// Works off what came and went, and keeps what is there fresh. Ends with its future.
    pub(crate) async fn run(self: Arc<Self>, notes: mpsc::Receiver<Note>) {
        tokio::select! {
            () = self.follow(notes) => {}
            () = self.keep_fresh() => {}
        }
    }

    /// Works off what came and went: what waits goes in one round trip.
    async fn follow(&self, mut notes: mpsc::Receiver<Note>) {
        // All wait equally long, so they come due in the order in which they went.
        let mut leaving: VecDeque<(Instant, UserId, SessionKey)> = VecDeque::new();
        let mut lapses = Lapses::default();
        let mut seen: HashSet<DeviceId> = HashSet::new();
        let mut flush = tokio::time::interval(SEEN_EVERY);
        flush.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut waiting = Vec::with_capacity(AT_ONCE);
        loop {
            let due = leaving.front().map(|(due, ..)| *due);
            tokio::select! {
                count = notes.recv_many(&mut waiting, AT_ONCE) => {
                    if count == 0 {
                        return;
                    }
                    let mut came = Vec::new();
                    for note in waiting.drain(..) {
                        let change = match note {
                            Note::Moved(change) => change,
                            Note::Hurry(done) => {
                                self.came_all(std::mem::take(&mut came)).await;
                                while !leaving.is_empty() {
                                    self.went_all(&take(&mut leaving, None), &mut lapses).await;
                                }
                                // Whoever asked may have given up.
                                let _ = done.send(());
                                continue;
                            }
                        };
                        if let Some(device) = change.device && seen.len() < MOVES {
                            seen.insert(device);
                        }
                        match change.came {
                            Some(directs) => came.push(Came { user: change.user, session: change.session, directs }),
                            None => leaving.push_back((Instant::now() + self.grace, change.user, change.session)),
                        }
                    }
                    self.came_all(came).await;
                }
                () = until(due) => self.went_all(&take(&mut leaving, Some(Instant::now())), &mut lapses).await,
                () = until(lapses.next()) => {
                    let users = lapses.take();
                    self.look_again(&users, &mut lapses).await;
                }
                _ = flush.tick(), if !seen.is_empty() => self.note_seen(seen.drain().collect()).await,
            }
        }
    }

    /// Notes when devices were seen, some at a time: others write to the store as well.
    async fn note_seen(&self, devices: Vec<DeviceId>) {
        let now = now_ms();
        for part in devices.chunks(SEEN_AT_ONCE) {
            if let Err(error) = self.store.touch_devices(part, now).await {
                tracing::debug!(%error, "when devices were seen was not noted");
                return;
            }
        }
    }

    async fn came_all(&self, came: Vec<Came>) {
        let came: Vec<_> = {
            let open = self.open.lock();
            came.into_iter().filter(|one| open.contains_key(&one.session)).collect()
        };
        if came.is_empty() {
            return;
        }
        let now = now_ms();
        let sessions: Vec<_> = came.iter().map(|one| (one.user, one.session)).collect();
        match self.directory.arrive(&sessions, now, self.ttl_ms()).await {
            Ok(were_offline) => {
                for (one, _) in came.iter().zip(were_offline).filter(|(_, was_offline)| *was_offline) {
                    self.tell(one.user, &one.directs, Status { online: true, last_seen_ms: now }).await;
                }
            }
            Err(error) => {
                tracing::debug!(%error, "comings were not noted");
                let mut untold = self.untold.lock();
                for one in came {
                    if untold.len() < MOVES || untold.contains_key(&one.user) {
                        untold.insert(one.user, one.directs);
                    }
                }
            }
        }
    }

    /// Their sessions ended a while ago. Until now they counted, so that a reload was no departure.
    async fn went_all(&self, went: &[(UserId, SessionKey)], lapses: &mut Lapses) {
        let now = now_ms();
        match self.directory.leave(went, now).await {
            Ok(were_last) => {
                for ((user, _), was_last) in went.iter().zip(were_last) {
                    if was_last {
                        lapses.forget(*user);
                        self.tell_offline(*user, now).await;
                    } else {
                        lapses.watch(*user, self.ttl + LAPSED);
                    }
                }
            }
            Err(error) => {
                // The directory goes by their time to live, and so do those who look again after it.
                tracing::debug!(%error, "departures were not noted");
                went.iter().for_each(|(user, _)| lapses.watch(*user, self.ttl + LAPSED));
            }
        }
    }

    /// Sessions that were left have lapsed meanwhile, if nobody keeps them fresh.
    async fn look_again(&self, users: &[UserId], lapses: &mut Lapses) {
        match self.directory.get(users, now_ms()).await {
            Ok(statuses) => {
                for (user, status) in users.iter().zip(statuses).filter(|(_, status)| !status.online) {
                    self.tell_offline(*user, status.last_seen_ms).await;
                }
            }
            Err(error) => {
                tracing::debug!(%error, "whether sessions have lapsed is unknown");
                users.iter().for_each(|user| lapses.watch(*user, AGAIN));
            }
        }
    }

    async fn tell_offline(&self, user: UserId, last_seen_ms: i64) {
        let memberships = self.store.memberships(user).await.unwrap_or_default();
        let directs: Vec<_> = memberships.into_iter().filter_map(|m| Some((m.log, m.peer?))).collect();
        self.tell(user, &directs, Status { online: false, last_seen_ms }).await;
    }

    /// Tells the contacts of a user in those direct conversations that anyone hears.
    async fn tell(&self, user: UserId, directs: &[(LogId, UserId)], status: Status) {
        let heard: Vec<_> = directs.iter().filter(|(log, _)| self.fanout.is_heard(*log)).collect();
        if heard.is_empty() {
            return;
        }
        let peers: Vec<UserId> = heard.iter().map(|(_, peer)| *peer).collect();
        let contacts = self.store.accepted_contacts(user, &peers).await.unwrap_or_default();
        for (log, _) in heard.into_iter().filter(|(_, peer)| contacts.contains(peer)) {
            let frame = Frame::Ephemeral(v1::Ephemeral {
                conversation_id: log.to_string(),
                user_id: user.to_string(),
                kind: Some(Kind::Presence(v1::Presence { online: status.online, last_seen_ms: status.last_seen_ms })),
            });
            self.fanout.ephemeral(*log, user, true, EphemeralKind::Presence, frame);
        }
    }

    fn ttl_ms(&self) -> i64 {
        i64::try_from(self.ttl.as_millis()).unwrap_or(i64::MAX)
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// Those who are leaving, some at a time; with `now`, those that are due by then.
fn take(leaving: &mut VecDeque<(Instant, UserId, SessionKey)>, now: Option<Instant>) -> Vec<(UserId, SessionKey)> {
    let mut taken = Vec::new();
    while taken.len() < AT_ONCE
        && let Some((_, user, session)) = leaving.pop_front_if(|(due, ..)| now.is_none_or(|now| *due <= now))
    {
        taken.push((user, session));
    }
    taken
}

const MOVES: usize = 65_536;
/// Comings and departures in one round trip.
const AT_ONCE: usize = 256;
/// Devices in one transaction.
const SEEN_AT_ONCE: usize = 1_024;
/// Longer than the clocks of cores differ.
const LAPSED: Duration = Duration::from_secs(1);
/// When one is looked at again where the directory did not answer.
const AGAIN: Duration = Duration::from_secs(2);
/// A session that is over before it is worth a write.
const SHORT: Duration = Duration::from_secs(60);
const MAX_ASKED: usize = 200;
/// How often what was seen is written.
const SEEN_EVERY: Duration = Duration::from_secs(10);
