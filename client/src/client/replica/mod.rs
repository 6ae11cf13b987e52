//! What a device knows and wants, as a state machine: commands and frames in, frames and updates
//! out. No clock and no I/O.

mod logs;
mod sending;
mod sync;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use gogochat_proto::{
    close::CloseCode,
    error::ErrorCode,
    ids::LogId,
    v1::{self, client_frame::Frame, server_frame},
};
use prost::Message;
use tokio::time::Instant;

use super::{
    calls::{Asked, Calls, Purpose},
    log::Log,
    marks::Marks,
    options::Cursors,
    outbox::Outbox,
    update::Update,
};
use crate::{CallError, Closed};

/// How a replica behaves.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// A device without cursors fetches all history, instead of beginning with what comes.
    pub(crate) backfill: bool,
    /// Delivered marks are sent for what is handed out.
    pub(crate) delivered: bool,
    /// How long a call may go without its reply.
    pub(crate) patience: Duration,
    /// In 0..1, drawn for each wait before a call is repeated.
    pub(crate) random: fn() -> f64,
}

/// What the replica wants done, in this order.
#[derive(Debug)]
pub(crate) enum Output {
    Frame(Frame),
    /// A call that may wait behind everything else.
    Low(v1::Call),
    Lossy(Frame),
    Update(Update),
}

/// A device's state.
#[derive(Debug)]
pub(crate) struct Replica {
    settings: Settings,
    online: bool,
    /// Nothing new is sent: another session is about to take this one's place.
    holding: bool,
    /// The user, and the user's own log.
    me: String,
    own: Option<LogId>,
    own_start: Option<i64>,
    /// How far the own log went as the session began.
    own_now: i64,
    logs: HashMap<LogId, Log>,
    /// The history that all this is of; empty: not known.
    epoch: String,
    /// What has moved up to here was handed out; 0: not known.
    position: i64,
    /// What the last Sync gave: all is handed out up to there once no log has a gap.
    told_position: i64,
    /// Events of conversations that are not followed yet: the own log or Sync is about to tell of them.
    early: HashMap<LogId, Vec<v1::Event>>,
    outbox: Outbox,
    marks: Marks,
    calls: Calls,
    /// The first page's request, which the next pages repeat.
    syncing: Option<v1::SyncRequest>,
    sync_again: bool,
    caught_up: bool,
    /// Logs with a gap, for which there was no room yet.
    gaps: VecDeque<LogId>,
    pages: usize,
    timers: BTreeMap<(Instant, u64), Timer>,
    timer_count: u64,
    out: VecDeque<Output>,
}

#[derive(Debug)]
enum Timer {
    /// A conversation's queue may go on.
    Wake(LogId),
    Page(LogId),
    Sync,
    Again(Asked),
}

impl Replica {
    pub(crate) fn new(settings: Settings, cursors: Cursors) -> Self {
        let logs = cursors.logs.into_iter().filter_map(|head| {
            let id = head.conversation_id.parse().ok()?;
            Some((id, Log::resumed(head)))
        });
        Self {
            calls: Calls::new(settings.patience),
            settings,
            online: false,
            holding: false,
            me: String::new(),
            own: None,
            own_start: cursors.own_seq,
            own_now: 0,
            logs: logs.collect(),
            epoch: cursors.epoch,
            position: cursors.position,
            told_position: cursors.position,
            early: HashMap::new(),
            outbox: Outbox::default(),
            marks: Marks::default(),
            syncing: None,
            sync_again: false,
            caught_up: false,
            gaps: VecDeque::new(),
            pages: 0,
            timers: BTreeMap::new(),
            timer_count: 0,
            out: VecDeque::new(),
        }
    }

    /// The next thing to do.
    pub(crate) fn output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// When [`Self::tick`] has something to do.
    pub(crate) fn due(&self, now: Instant) -> Option<Instant> {
        let timer = self.timers.first_key_value().map(|((at, _), _)| *at);
        let marks = self.online.then(|| self.marks.due(now)).flatten();
        [timer, marks, self.calls.due()].into_iter().flatten().min()
    }

    /// Where this device stands, for a later start.
    pub(crate) fn cursors(&self) -> Cursors {
        let own_seq = self.own.and_then(|own| self.logs.get(&own)).map(Log::have).or(self.own_start);
        Cursors { own_seq, logs: self.heads().collect(), epoch: self.epoch.clone(), position: self.position }
    }

    /// A session stands. Sends what waits, and asks for what was missed.
    pub(crate) fn opened(&mut self, now: Instant, welcome: &v1::Welcome) {
        self.online = true;
        if let Ok(own) = welcome.user_id.parse() {
            self.own_now = welcome.own_seq;
            self.own = Some(own);
            self.me.clone_from(&welcome.user_id);
            if self.is_another_history(&welcome.epoch) {
                self.begin_anew();
            }
            let start = self.own_start.unwrap_or_else(|| self.own_begin());
            self.logs.entry(own).or_insert_with(|| Log::new(start));
        }
        self.outbox.opened();
        self.send_waiting(now);
        self.sync(now);
    }

    /// The session is over.
    pub(crate) fn lost(&mut self, why: &Closed) {
        for asked in self.end() {
            asked.answer(Err(why.clone().into()));
        }
    }

    /// Another session takes this one's place in a moment: nothing new is sent here.
    pub(crate) fn hold(&mut self) {
        self.holding = true;
    }

    /// Whether everything that had an effect, or that the application waits for, is answered.
    pub(crate) fn is_settled(&self) -> bool {
        !self.calls.any(|purpose| matches!(purpose, Purpose::Send { .. } | Purpose::User(_)))
    }

    /// The session is over, and another stands, which [`Self::opened`] is about to tell of. What
    /// may come twice is sent again there.
    pub(crate) fn moved(&mut self, now: Instant) {
        for asked in self.end() {
            match asked.until {
                Some(_) => self.timer(now, Timer::Again(asked)),
                None => asked.answer(Err(Closed::from(CloseCode::Draining).into())),
            }
        }
    }

    /// Gives the calls of the application's that have no answer.
    fn end(&mut self) -> Vec<Asked> {
        self.online = false;
        self.holding = false;
        self.outbox.lost();
        let waiting = self.calls.abandon().into_iter().filter_map(|purpose| match purpose {
            Purpose::User(asked) => Some(asked),
            _ => None,
        });
        let again = std::mem::take(&mut self.timers).into_values().filter_map(|timer| match timer {
            Timer::Again(asked) => Some(asked),
            _ => None,
        });
        let asked = waiting.chain(again).collect();
        for log in self.logs.values_mut() {
            log.fetching = false;
        }
        self.gaps.clear();
        self.early.clear();
        self.pages = 0;
        self.syncing = None;
        self.sync_again = false;
        self.caught_up = false;
        asked
    }

    /// Asks what was missed, whether or not there is a sign of it.
    pub(crate) fn resync(&mut self, now: Instant) {
        if self.online {
            self.sync(now);
        }
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, now: Instant) {
        while let Some(entry) = self.timers.first_entry().filter(|entry| entry.key().0 <= now) {
            match entry.remove() {
                Timer::Wake(conversation) => self.outbox.wake(now, conversation),
                Timer::Page(id) => {
                    if let Some(log) = self.logs.get_mut(&id) {
                        log.fetching = false;
                        self.gaps.push_back(id);
                    }
                }
                Timer::Sync => self.sync(now),
                Timer::Again(asked) => self.make(now, asked),
            }
        }
        while let Some(purpose) = self.calls.lapsed(now) {
            self.lapsed(now, purpose);
        }
        self.send_waiting(now);
        self.fetch(now);
        self.send_marks(now);
    }

    /// The server sent a frame.
    pub(crate) fn frame(&mut self, now: Instant, frame: server_frame::Frame) {
        match frame {
            server_frame::Frame::Event(event) => self.event(now, event),
            server_frame::Frame::Reply(v1::Reply { id, body, error }) => {
                if let Some(purpose) = self.calls.answered(id) {
                    self.reply(now, purpose, error.map_or(Ok(body), Err));
                }
            }
            server_frame::Frame::Watermark(watermark) => {
                self.watermark(&watermark);
                self.update(Update::Watermark(watermark));
            }
            server_frame::Frame::Ephemeral(ephemeral) => self.update(Update::Ephemeral(ephemeral)),
            server_frame::Frame::Resync(_) => self.sync(now),
            server_frame::Frame::Ping(v1::Ping { nonce }) => {
                self.out.push_back(Output::Frame(Frame::Pong(v1::Pong { nonce })));
            }
            server_frame::Frame::Welcome(_)
            | server_frame::Frame::Pong(_)
            | server_frame::Frame::Drain(_)
            | server_frame::Frame::Close(_) => {}
        }
    }

    fn reply(&mut self, now: Instant, purpose: Purpose, result: Result<Bytes, v1::Error>) {
        match purpose {
            Purpose::User(asked) => self.answered(now, asked, result),
            Purpose::Send { conversation, client_msg_id } => {
                let outcome = result.and_then(decode::<v1::SendMessageResponse>);
                self.sent(now, conversation, client_msg_id, outcome);
            }
            Purpose::Page { log } => {
                self.pages = self.pages.saturating_sub(1);
                self.page(now, log, result.and_then(decode::<v1::ListEventsResponse>));
            }
            Purpose::Sync => self.synced(now, result.and_then(decode::<v1::SyncResponse>)),
            Purpose::Look { conversation } => {
                // Refused: it was left meanwhile, or the next Sync tells.
                if let Ok(found) = result.and_then(decode::<v1::Conversation>) {
                    self.conversation(now, conversation, found);
                }
            }
        }
        self.fetch(now);
        self.send_marks(now);
    }

    /// No reply in time: whether it took effect is unknown.
    fn lapsed(&mut self, now: Instant, purpose: Purpose) {
        match purpose {
            Purpose::User(asked) => asked.answer(Err(CallError::TimedOut)),
            other => self.reply(now, other, Err(ErrorCode::DeadlineExceeded.with("no reply in time"))),
        }
    }

    fn ask(&mut self, now: Instant, method: &str, request: &impl Message, purpose: Purpose) {
        let call = self.calls.make(now, method, String::new(), request.encode_to_vec().into(), purpose);
        self.out.push_back(Output::Frame(Frame::Call(call)));
    }

    fn timer(&mut self, at: Instant, timer: Timer) {
        self.timer_count += 1;
        self.timers.insert((at, self.timer_count), timer);
    }

    fn update(&mut self, update: Update) {
        self.out.push_back(Output::Update(update));
    }
}

fn decode<T: Message + Default>(body: Bytes) -> Result<T, v1::Error> {
    T::decode(body).map_err(|_| ErrorCode::Internal.with("the reply is not the method's response"))
}

/// After a failure that the server does not say how long to wait for.
const RETRY: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
