//! Whom to tell: which edges hear which logs, and how far each has been sent.

mod attachment;
mod interest;
mod outbox;
mod owed;
mod progress;
mod recent;
mod replay;
mod waiters;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use dashmap::{DashMap, Entry};
use gogochat_proto::{
    close::CloseCode,
    ids::{DeviceId, LogId, UserId},
    node::{self, EphemeralKind, core_item::Item},
    v1::{self, server_frame::Frame},
};
use gogochat_storage::{
    bus::ReplyTo,
    store::{Event, MovedMark, SubscriptionChange},
};
use prost::Message as _;
use tokio::sync::watch;

pub(crate) use self::{
    attachment::{Attachment, Entered, Session},
    outbox::{Batches, Outbox},
    recent::Moment,
    replay::replay,
    waiters::Waiting,
};
use self::{
    interest::{Published, Standing, Work},
    progress::Progress,
    recent::Recent,
    waiters::Waiters,
};
use crate::{log, metrics::Metrics};

/// The edges, and what each has been sent.
pub(crate) struct Hub {
    attachments: DashMap<u64, Arc<Attachment>>,
    attached: watch::Sender<usize>,
    logs: DashMap<LogId, Vec<Interest>>,
    interests: AtomicU64,
    waiters: Arc<Waiters>,
    metrics: Arc<Metrics>,
    recent: Recent,
    /// How far the workers have got.
    pub(crate) progress: Progress,
}

struct Interest {
    attachment: Arc<Attachment>,
    /// Work is for one interest: when the edge has gone and come back meanwhile, for none.
    number: u64,
    standing: Standing,
}

/// A log to be checked or replayed, for one interest in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    log: LogId,
    interest: u64,
}

impl Hub {
    /// `waiting_calls`: how many calls may wait in this core.
    pub(crate) fn new(waiting_calls: usize, metrics: Arc<Metrics>) -> Self {
        Self {
            attachments: DashMap::new(),
            attached: watch::Sender::new(0),
            logs: DashMap::new(),
            interests: AtomicU64::new(0),
            waiters: Arc::new(Waiters::new(waiting_calls)),
            metrics,
            recent: Recent::default(),
            progress: Progress::default(),
        }
    }

    /// An edge is there. One that it was before ends first, with all that is noted of it.
    pub(crate) async fn attach(&self, attachment: &Arc<Attachment>) {
        while let Some(before) = self.attach_or_meet(attachment) {
            before.ended.cancel();
            before.gone.cancelled().await;
        }
        self.count();
    }

    fn attach_or_meet(&self, attachment: &Arc<Attachment>) -> Option<Arc<Attachment>> {
        match self.attachments.entry(attachment.id) {
            Entry::Occupied(before) => Some(before.get().clone()),
            Entry::Vacant(place) => {
                place.insert(attachment.clone());
                None
            }
        }
    }

    /// An edge is gone, and with it all it was interested in.
    pub(crate) fn detach(&self, id: u64) {
        self.attachments.remove(&id);
        self.logs.retain(|_, interests| {
            interests.retain(|interest| interest.attachment.id != id);
            !interests.is_empty()
        });
        self.count();
    }

    fn count(&self) {
        self.attached.send_modify(|count| {
            *count = self.attachments.len();
            self.metrics.attachments.set(*count as f64);
        });
    }

    /// How many edges there are.
    pub(crate) fn attached(&self) -> watch::Receiver<usize> {
        self.attached.subscribe()
    }

    /// Every edge there is.
    pub(crate) fn attachments(&self) -> Vec<Arc<Attachment>> {
        self.attachments.iter().map(|entry| entry.value().clone()).collect()
    }

    /// The moment before a session's view is read.
    pub(crate) fn moment(&self) -> Moment {
        self.recent.moment()
    }

    /// Runs `open` if nothing was published in the own log since its end was read at `end`, after `then`: so the session's view is the
    /// latest, and every change of it comes after. `None`: something was, read again.
    pub(crate) fn enter<T>(
        &self,
        attachment: &Arc<Attachment>,
        own: LogId,
        end: i64,
        then: Moment,
        open: impl FnOnce() -> T,
    ) -> Option<T> {
        // Whoever publishes notes it first and then looks who hears it, so it is seen here, or comes to see what this adds.
        let mut interests = self.logs.entry(own).or_default();
        if !self.recent.is_quiet(own, end, then) {
            return None;
        }
        if !interests.iter().any(|interest| interest.attachment.id == attachment.id) {
            interests.push(self.interest(attachment, Standing::announced(end)));
        }
        Some(open())
    }

    /// The session that an own log was announced for will not ask.
    pub(crate) fn unannounce(&self, attachment: u64, own: LogId) {
        self.remove(own, |interest| interest.attachment.id == attachment && interest.standing.is_announced());
    }

    /// An edge has sessions that hear this log, and everything up to `have`; `verify`: see [`Standing::ask`].
    pub(crate) fn ask(&self, attachment: &Arc<Attachment>, log: LogId, have: i64, verify: bool) {
        let mut interests = self.logs.entry(log).or_default();
        match interests.iter_mut().find(|interest| interest.attachment.id == attachment.id) {
            Some(interest) => {
                let work = interest.standing.ask(have, verify);
                interest.owe(log, work);
            }
            None => {
                let (standing, work) = Standing::asked(have);
                let interest = self.interest(attachment, standing);
                interest.owe(log, Some(work));
                interests.push(interest);
            }
        }
    }

    /// Something may have been committed in a log that nobody was told of: every edge that hears it is sent what there is. `false`: none does.
    pub(crate) fn doubt(&self, log: LogId) -> bool {
        let Some(mut interests) = self.logs.get_mut(&log) else { return false };
        for interest in interests.iter_mut() {
            let work = interest.standing.doubt();
            interest.owe(log, work);
        }
        true
    }

    fn interest(&self, attachment: &Arc<Attachment>, standing: Standing) -> Interest {
        let number = self.interests.fetch_add(1, Ordering::Relaxed);
        Interest { attachment: attachment.clone(), number, standing }
    }

    /// An edge has no session any more that hears this log.
    pub(crate) fn unask(&self, attachment: u64, log: LogId) {
        self.remove(log, |interest| interest.attachment.id == attachment);
    }

    fn remove(&self, log: LogId, which: impl Fn(&Interest) -> bool) {
        if let Entry::Occupied(mut entry) = self.logs.entry(log) {
            entry.get_mut().retain(|interest| !which(interest));
            if entry.get().is_empty() {
                entry.remove();
            }
        }
    }

    /// Whether any edge hears this log.
    pub(crate) fn is_heard(&self, log: LogId) -> bool {
        self.logs.contains_key(&log)
    }

    /// Whether any edge that hears this log may not have been sent the event of this seq.
    pub(crate) fn is_lacking(&self, log: LogId, seq: i64) -> bool {
        self.logs.get(&log).is_some_and(|interests| interests.iter().any(|interest| interest.standing.lacks(seq)))
    }

    /// A committed event, on to every edge that hears its log and is not being sent what comes before it from the store.
    pub(crate) fn publish(&self, event: &Event) {
        if event.device.is_none() {
            // Of the system's events some are in users' own logs, and all are few.
            self.recent.note(event.log, event.seq);
        }
        let Some(mut interests) = self.logs.get_mut(&event.log) else { return };
        let mut item = None;
        for interest in interests.iter_mut() {
            match interest.standing.publish(event.seq) {
                Published::Send => {
                    let item = item.get_or_insert_with(|| fanout(event, log::frame(event), event.subscription));
                    interest.attachment.push(Item::Fanout(item.clone()));
                    self.metrics.fanout.increment(1);
                }
                Published::Skip => {}
            }
        }
    }

    /// Marks that moved: on to the members, or to the user's own sessions alone.
    pub(crate) fn publish_mark(&self, mark: &MovedMark) {
        let log = if mark.shared { mark.log } else { LogId::from(mark.user) };
        if !self.is_heard(log) {
            return;
        }
        let frame = Frame::Watermark(v1::Watermark {
            conversation_id: mark.log.to_string(),
            user_id: mark.user.to_string(),
            delivered_seq: mark.delivered,
            read_seq: mark.read,
        });
        self.ephemeral(log, mark.user, false, EphemeralKind::Watermark, frame);
    }

    /// Something that is not kept, to all who hear a log, the user it is about perhaps left out.
    pub(crate) fn ephemeral(&self, log: LogId, subject: UserId, skip_subject: bool, kind: EphemeralKind, frame: Frame) {
        let Some(interests) = self.logs.get(&log) else { return };
        let item = node::EphemeralDown {
            log_id: log.to_bytes(),
            subject: subject.to_bytes(),
            skip_subject,
            kind: kind.into(),
            frame: v1::ServerFrame::from(frame).encode_to_vec().into(),
        };
        for interest in interests.iter().filter(|interest| !interest.standing.is_announced()) {
            let item = Item::Ephemeral(item.clone());
            if kind == EphemeralKind::Watermark {
                interest.attachment.push(item);
            } else if !interest.attachment.outbox.push_or_shed(item) {
                self.metrics.shed.increment(1);
            }
        }
    }

    /// Signs a device out: the edges close its sessions, and what still comes from them is refused.
    pub(crate) fn revoke(&self, user: UserId, device: DeviceId) {
        for attachment in self.attachments() {
            attachment.revoke(|caller| (caller.user, caller.device) == (user, device));
            attachment.push(Item::Revoke(revoked(user, device)));
        }
    }

    /// A call that waits in this core.
    ///
    /// # Errors
    /// `overloaded` when too many do.
    pub(crate) fn wait(&self) -> Result<Waiting, v1::Error> {
        self.waiters.wait()
    }

    /// Answers a command at its return address, if anyone is still there.
    pub(crate) fn answer(&self, to: &ReplyTo, answer: Result<Bytes, v1::Error>) {
        if let Err(error) = &answer {
            self.metrics.refused(&error.code);
        }
        if to.attachment == 0 {
            self.waiters.answer(to.session, answer);
        } else if to.call_id != 0
            && let Some(attachment) = self.attachments.get(&to.attachment)
        {
            attachment.push(result(to.session, to.call_id, answer));
        }
    }

    /// Whether a session is still open.
    pub(crate) fn is_open(&self, attachment: u64, session: u64) -> bool {
        self.attachments.get(&attachment).is_some_and(|a| matches!(a.session(session), Some(Session::Open { .. })))
    }

    /// The ends of these logs are about to be read: those that are still heard.
    fn check(&self, wanted: &[Wanted]) -> Vec<Wanted> {
        wanted.iter().copied().filter(|wanted| self.with(*wanted, |standing| standing.check()).is_some()).collect()
    }

    /// A log's end was read: what is behind that is replayed.
    fn checked(&self, wanted: Wanted, end: i64) {
        let Some(mut interests) = self.logs.get_mut(&wanted.log) else { return };
        if let Some(interest) = interests.iter_mut().find(|interest| interest.number == wanted.interest) {
            let work = interest.standing.checked(end);
            interest.owe(wanted.log, work);
        }
    }

    /// Where a replay reads on; `None`: there is nothing to replay.
    fn replay_from(&self, wanted: Wanted) -> Option<i64> {
        self.with(wanted, |standing| standing.replay_from()).flatten()
    }

    /// Sends an event that was read. `false`: it is not wanted any more, or not yet.
    fn replay(&self, wanted: Wanted, seq: i64, item: Item) -> bool {
        let Some(mut interests) = self.logs.get_mut(&wanted.log) else { return false };
        let Some(interest) = interests.iter_mut().find(|interest| interest.number == wanted.interest) else {
            return false;
        };
        let is_next = interest.standing.replay(seq);
        if is_next {
            interest.attachment.push(item);
            self.metrics.replayed.increment(1);
        }
        is_next
    }

    /// `true`: there is nothing more to replay.
    fn replayed(&self, wanted: Wanted, to: i64) -> bool {
        self.with(wanted, |standing| standing.replayed(to)).unwrap_or(true)
    }

    /// `None`: there is no such interest any more.
    fn with<T>(&self, wanted: Wanted, act: impl FnOnce(&mut Standing) -> T) -> Option<T> {
        let mut interests = self.logs.get_mut(&wanted.log)?;
        let interest = interests.iter_mut().find(|interest| interest.number == wanted.interest)?;
        Some(act(&mut interest.standing))
    }
}

impl Interest {
    fn owe(&self, log: LogId, work: Option<Work>) {
        if let Some(work) = work {
            self.attachment.owed.add(work, Wanted { log, interest: self.number });
        }
    }
}

/// What edges are told of a device that was signed out.
pub(crate) fn revoked(user: UserId, device: DeviceId) -> node::Revoke {
    node::Revoke {
        user_id: user.to_bytes(),
        device_id: device.to_bytes(),
        except_device_id: Bytes::new(),
        close_code: u32::from(CloseCode::SignedOut.code()),
        reason: CloseCode::SignedOut.reason().to_owned(),
    }
}

/// The answer to a session's command.
pub(crate) fn result(session: u64, call_id: u32, answer: Result<Bytes, v1::Error>) -> Item {
    let (body, error) = match answer {
        Ok(body) => (body, None),
        Err(error) => (Bytes::new(), Some(error)),
    };
    Item::Result(node::Result { session, call_id, body, error })
}

fn fanout(event: &Event, frame: Bytes, change: Option<SubscriptionChange>) -> node::Fanout {
    let (subscribe, unsubscribe) = match change {
        Some(SubscriptionChange::Subscribe { log, from_seq }) => {
            (Some(node::Subscription { log_id: log.to_bytes(), from_seq }), Bytes::new())
        }
        Some(SubscriptionChange::Unsubscribe { log }) => (None, log.to_bytes()),
        None => (None, Bytes::new()),
    };
    let departed = log::departed(event).map(UserId::to_bytes).unwrap_or_default();
    node::Fanout { log_id: event.log.to_bytes(), seq: event.seq, frame, subscribe, unsubscribe, departed }
}
