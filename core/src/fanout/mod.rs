//! Fan-out: which edges are attached, which logs each has interest in, and what each is sent.

mod attachment;
mod commit_progress;
mod edge_queue;
mod interests;
mod items;
mod marks;
mod recent;
pub(crate) mod replay;
mod replay_progress;
mod replay_queue;
mod waiters;

use std::sync::Arc;

use bytes::Bytes;
use dashmap::{DashMap, Entry};
use gogochat_proto::{
    ids::{DeviceId, LogId, UserId},
    node::{self, EphemeralKind, core_item::Item},
    v1::{self, server_frame::Frame},
};
use gogochat_storage::{bus::ReplyTo, store::Event};
use prost::Message as _;
use tokio::sync::watch;

pub(crate) use self::{
    attachment::{Attachment, Entered, Session},
    edge_queue::{Batches, EdgeQueue},
    items::{result, revoked},
    marks::MarkMoved,
    recent::Moment,
    waiters::Waiting,
};
use self::{commit_progress::CommitProgress, interests::Interests, recent::Recent, waiters::Waiters};
use crate::{log, metrics::Metrics};

/// The edges, and what each has been sent.
pub(crate) struct Fanout {
    attachments: DashMap<u64, Arc<Attachment>>,
    attached: watch::Sender<usize>,
    interests: Interests,
    waiters: Arc<Waiters>,
    metrics: Arc<Metrics>,
    recent: Recent,
    /// How far the workers have got.
    pub(crate) progress: CommitProgress,
}

impl Fanout {
    /// `waiting_calls`: how many calls may wait in this core.
    pub(crate) fn new(waiting_calls: usize, metrics: Arc<Metrics>) -> Self {
        Self {
            attachments: DashMap::new(),
            attached: watch::Sender::new(0),
            interests: Interests::default(),
            waiters: Arc::new(Waiters::new(waiting_calls)),
            metrics,
            recent: Recent::default(),
            progress: CommitProgress::default(),
        }
    }

    // Edges

    /// An edge attaches. An attachment that it had before ends first, with all that is noted of it.
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
        self.interests.detach(id);
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

    /// Whether a session is still open.
    pub(crate) fn is_open(&self, attachment: u64, session: u64) -> bool {
        self.attachments.get(&attachment).is_some_and(|a| matches!(a.session(session), Some(Session::Open { .. })))
    }

    /// Signs a device out: the edges close its sessions, and what still comes from them is refused.
    pub(crate) fn revoke(&self, user: UserId, device: DeviceId) {
        for attachment in self.attachments() {
            attachment.revoke(|caller| (caller.user, caller.device) == (user, device));
            attachment.push(Item::Revoke(revoked(user, device)));
        }
    }

    // Interests

    /// The moment before a session's view is read.
    pub(crate) fn moment(&self) -> Moment {
        self.recent.moment()
    }

    /// Runs `open` if nothing was published in the own log after `then` and since its end was read at
    /// `end`: so the session's view is the latest, and every change of it comes after. `None`: something
    /// was published; read again.
    pub(crate) fn enter<T>(
        &self,
        attachment: &Arc<Attachment>,
        own: LogId,
        end: i64,
        then: Moment,
        open: impl FnOnce() -> T,
    ) -> Option<T> {
        self.interests.announce(attachment, own, end, || self.recent.is_quiet(own, end, then), open)
    }

    /// The session that an own log was announced for will not ask.
    pub(crate) fn unannounce(&self, attachment: u64, own: LogId) {
        self.interests.unannounce(attachment, own);
    }

    /// An edge has sessions that hear this log, and everything up to `have`. `verify`: something may be
    /// missing of which nothing is known here.
    pub(crate) fn ask(&self, attachment: &Arc<Attachment>, log: LogId, have: i64, verify: bool) {
        self.interests.ask(attachment, log, have, verify);
    }

    /// An edge has no session any more that hears this log.
    pub(crate) fn unask(&self, attachment: u64, log: LogId) {
        self.interests.unask(attachment, log);
    }

    /// An event may have been committed in a log that was sent to nobody: every edge that hears the log is
    /// sent what there is. `false`: none does.
    pub(crate) fn resync(&self, log: LogId) -> bool {
        self.interests.resync(log)
    }

    /// Whether any edge hears this log.
    pub(crate) fn is_heard(&self, log: LogId) -> bool {
        self.interests.is_heard(log)
    }

    /// Whether any edge that hears this log may not have been sent the event of this seq.
    pub(crate) fn is_lacking(&self, log: LogId, seq: i64) -> bool {
        self.interests.is_lacking(log, seq)
    }

    // Sending

    /// Sends a committed event to every edge that hears its log, unless the edge is being sent what comes
    /// before it from the store.
    pub(crate) fn publish(&self, event: &Event) {
        if event.device.is_none() {
            // Of the system's events some are in users' own logs, and all are few.
            self.recent.note(event.log, event.seq);
        }
        let mut item = None;
        self.interests.publish(event.log, event.seq, |attachment| {
            let item = item.get_or_insert_with(|| items::fanout(event, log::frame(event), event.subscription));
            attachment.push(Item::Fanout(item.clone()));
            self.metrics.fanout.increment(1);
        });
    }

    /// Sends what is not kept to all who hear a log, perhaps without the user that it is about.
    pub(crate) fn ephemeral(&self, log: LogId, subject: UserId, skip_subject: bool, kind: EphemeralKind, frame: Frame) {
        let mut item = None;
        self.interests.each_asked(log, |attachment| {
            let item = item.get_or_insert_with(|| node::EphemeralDown {
                log_id: log.to_bytes(),
                subject: subject.to_bytes(),
                skip_subject,
                kind: kind.into(),
                frame: v1::ServerFrame::from(frame.clone()).encode_to_vec().into(),
            });
            let item = Item::Ephemeral(item.clone());
            if matches!(kind, EphemeralKind::Watermark | EphemeralKind::Person) {
                attachment.push(item);
            } else if !attachment.queue.push_or_shed(item) {
                self.metrics.shed.increment(1);
            }
        });
    }

    // Answers

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
}
