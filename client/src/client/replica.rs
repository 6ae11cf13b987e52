//! What a device knows and wants, as a state machine: commands and frames in, frames and updates out. No clock and no I/O.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use gogochat_proto::{
    error::ErrorCode,
    ids::LogId,
    limits::{MAX_KNOWN, MAX_MEMBERS_WITH_MARKS, MAX_PAGE},
    v1::{self, client_frame::Frame, event::Body, server_frame},
};
use prost::Message;
use tokio::time::Instant;

use super::{
    Cursors, Update,
    calls::{Calls, Purpose},
    log::Log,
    marks::Marks,
    outbox::{Fate, Item, Outbox},
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
    /// The user, and the user's own log.
    me: String,
    own: Option<LogId>,
    own_start: Option<i64>,
    logs: HashMap<LogId, Log>,
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

#[derive(Debug, Clone, Copy)]
enum Timer {
    Lane(LogId),
    Page(LogId),
    Sync,
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
            me: String::new(),
            own: None,
            own_start: cursors.own_seq,
            logs: logs.collect(),
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
        Cursors { own_seq, logs: self.heads().collect() }
    }

    /// A session stands. Sends what waits, and asks for what was missed.
    pub(crate) fn opened(&mut self, now: Instant, welcome: &v1::Welcome) {
        self.online = true;
        if let Ok(own) = welcome.user_id.parse() {
            let start = self.own_start.unwrap_or(if self.settings.backfill { 0 } else { welcome.own_seq });
            self.own = Some(own);
            self.me.clone_from(&welcome.user_id);
            self.logs.entry(own).or_insert_with(|| Log::new(start));
        }
        self.outbox.opened();
        self.send_waiting(now);
        self.sync(now);
    }

    /// The session is over.
    pub(crate) fn lost(&mut self, why: &Closed) {
        self.online = false;
        self.outbox.lost();
        for purpose in self.calls.abandon() {
            if let Purpose::User(reply) = purpose {
                let _ = reply.send(Err(why.clone().into()));
            }
        }
        for log in self.logs.values_mut() {
            log.fetching = false;
        }
        self.gaps.clear();
        self.early.clear();
        self.timers.clear();
        self.pages = 0;
        self.syncing = None;
        self.sync_again = false;
        self.caught_up = false;
    }

    /// Queues a message.
    pub(crate) fn post(&mut self, now: Instant, conversation: LogId, client_msg_id: String, text: String) {
        let request = v1::SendMessageRequest {
            conversation_id: conversation.to_string(),
            client_msg_id: client_msg_id.clone(),
            text,
        };
        self.outbox.push(conversation, Item { client_msg_id, body: request.encode_to_vec().into() });
        self.send_waiting(now);
    }

    /// Makes a call of the application's. Off line it fails at once.
    pub(crate) fn call(
        &mut self,
        now: Instant,
        method: &str,
        key: String,
        body: Bytes,
        reply: tokio::sync::oneshot::Sender<Result<Bytes, CallError>>,
    ) {
        if self.online {
            let call = self.calls.make(now, method, key, body, Purpose::User(reply));
            self.out.push_back(Output::Frame(Frame::Call(call)));
        } else {
            let _ = reply.send(Err(Closed::broken("there is no session at the moment").into()));
        }
    }

    /// The user has seen everything up to `seq`.
    pub(crate) fn read(&mut self, now: Instant, conversation: LogId, seq: i64) {
        self.marks.read(conversation, seq);
        self.send_marks(now);
    }

    /// The user types, or has stopped.
    pub(crate) fn typing(&mut self, conversation: LogId, stopped: bool) {
        if self.online {
            self.out.push_back(Output::Lossy(crate::session::typing(&conversation.to_string(), stopped)));
        }
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
                Timer::Lane(conversation) => self.outbox.wake(now, conversation),
                Timer::Page(id) => {
                    if let Some(log) = self.logs.get_mut(&id) {
                        log.fetching = false;
                        self.gaps.push_back(id);
                    }
                }
                Timer::Sync => self.sync(now),
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
                if let Some(log) = watermark.conversation_id.parse().ok().and_then(|id: LogId| self.logs.get_mut(&id)) {
                    // Exact where there is one other; else Sync tells the lowest.
                    if log.members == 2 {
                        log.head.others_delivered_seq = log.head.others_delivered_seq.max(watermark.delivered_seq);
                        log.head.others_read_seq = log.head.others_read_seq.max(watermark.read_seq);
                    }
                }
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

    fn event(&mut self, now: Instant, event: v1::Event) {
        let Ok(id) = event.log_id.parse::<LogId>() else { return };
        let Some(log) = self.logs.get_mut(&id) else {
            let early = self.early.entry(id).or_default();
            if early.len() < MAX_EARLY {
                early.push(event);
            }
            if early.len() == 1 && self.caught_up {
                // Nobody else is about to tell of it.
                self.sync(now);
            }
            return;
        };
        let mut ready = Vec::new();
        log.event(event, &mut ready);
        let gap = log.gap().is_some();
        self.hand_out(now, id, ready);
        if gap {
            self.gaps.push_back(id);
            self.fetch(now);
        }
        self.send_marks(now);
    }

    fn reply(&mut self, now: Instant, purpose: Purpose, result: Result<Bytes, v1::Error>) {
        match purpose {
            Purpose::User(reply) => {
                let _ = reply.send(result.map_err(CallError::Refused));
            }
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
            Purpose::User(reply) => {
                let _ = reply.send(Err(CallError::TimedOut));
            }
            other => self.reply(now, other, Err(ErrorCode::DeadlineExceeded.with("no reply in time"))),
        }
    }

    fn sent(
        &mut self,
        now: Instant,
        conversation: LogId,
        client_msg_id: String,
        outcome: Result<v1::SendMessageResponse, v1::Error>,
    ) {
        let answered = match &outcome {
            Ok(_) => self.outbox.acknowledged(now, conversation, &client_msg_id),
            Err(error) => self.outbox.refused(now, conversation, &client_msg_id, error),
        };
        if let Some(at) = answered.wake {
            self.timer(at, Timer::Lane(conversation));
        }
        if answered.fate == Fate::Settled {
            self.update(Update::Sent { conversation_id: conversation.to_string(), client_msg_id, outcome });
        }
        self.send_waiting(now);
    }

    fn page(&mut self, now: Instant, id: LogId, result: Result<v1::ListEventsResponse, v1::Error>) {
        let Some(log) = self.logs.get_mut(&id) else { return };
        match result {
            Ok(page) => {
                let mut ready = Vec::new();
                let reset = log.page(page.events, page.more, page.last_seq, &mut ready);
                if log.gap().is_some() {
                    self.gaps.push_back(id);
                }
                if reset {
                    self.update(Update::Reset { log_id: id.to_string() });
                }
                self.hand_out(now, id, ready);
                self.note_caught_up();
            }
            Err(error) if error.retryable() => {
                // It counts as being fetched until its time has come.
                self.timer(now + Duration::from_millis(error.retry_after_ms.unsigned_abs()), Timer::Page(id));
            }
            Err(error) if ErrorCode::from_name(&error.code) == Some(ErrorCode::NotAMember) => self.leave(id),
            Err(error) => {
                tracing::warn!(log = %id, %error, "a gap cannot be fetched");
                self.timer(now + RETRY, Timer::Page(id));
            }
        }
    }

    fn synced(&mut self, now: Instant, result: Result<v1::SyncResponse, v1::Error>) {
        let request = self.syncing.take();
        let response = match result {
            Ok(response) => response,
            Err(error) if ErrorCode::from_name(&error.code) == Some(ErrorCode::CursorFromFuture) => {
                // The server has lost what this device has seen: from the beginning.
                if let Some(own) = self.own {
                    self.logs.insert(own, Log::new(0));
                    self.update(Update::Reset { log_id: own.to_string() });
                }
                return self.sync(now);
            }
            Err(error) => {
                let wait = Duration::from_millis(error.retry_after_ms.unsigned_abs());
                return self.timer(now + if wait.is_zero() { RETRY } else { wait }, Timer::Sync);
            }
        };
        if let Some(own) = self.own {
            let mut ready = Vec::new();
            if let Some(log) = self.logs.get_mut(&own) {
                for event in response.own_events {
                    log.event(event, &mut ready);
                }
                log.reaches(response.own_last_seq);
                if log.gap().is_some() && !response.own_more {
                    self.gaps.push_back(own);
                }
            }
            self.hand_out(now, own, ready);
        }
        for conversation in response.conversations {
            if let Ok(id) = conversation.id.parse() {
                self.conversation(now, id, conversation);
            }
        }
        for id in response.gone.iter().filter_map(|id| id.parse().ok()) {
            self.leave(id);
        }
        if let Some(request) = request.filter(|_| !response.next_page_token.is_empty()) {
            self.ask_sync(now, v1::SyncRequest { page_token: response.next_page_token, ..request });
        } else if response.own_more || std::mem::take(&mut self.sync_again) {
            self.sync(now);
        } else {
            // What nobody told of is none of this user's any more.
            self.early.clear();
            self.note_caught_up();
        }
    }

    /// The server tells of a conversation that is new to this device, or has moved.
    fn conversation(&mut self, now: Instant, id: LogId, conversation: v1::Conversation) {
        let head = conversation.head.clone().unwrap_or_default();
        let early = self.early.remove(&id).unwrap_or_default();
        let start = if self.settings.backfill {
            conversation.from_seq - 1
        } else {
            // What came since the session began is news, although the head is past it already.
            early.iter().map(|event| event.seq - 1).min().unwrap_or(head.last_seq).min(head.last_seq)
        };
        let mut ready = Vec::new();
        let log = self.logs.entry(id).or_insert_with(|| Log::new(start.max(0)));
        log.begins(conversation.from_seq, &mut ready);
        log.reaches(head.last_seq);
        for event in early {
            log.event(event, &mut ready);
        }
        log.members = conversation.member_count;
        log.head = head;
        let (behind, have) = (log.head.delivered_seq < log.have(), log.have());
        if log.gap().is_some() {
            self.gaps.push_back(id);
        }
        self.update(Update::Conversation(Box::new(conversation)));
        self.hand_out(now, id, ready);
        if behind {
            self.mark_delivered(id, have);
        }
    }

    /// Hands events out, and follows what the own log says.
    fn hand_out(&mut self, now: Instant, id: LogId, events: Vec<v1::Event>) {
        if let Some(last) = events.iter().rfind(|event| event.sender_id != self.me) {
            self.mark_delivered(id, last.seq);
        }
        for event in events {
            let body = if Some(id) == self.own { event.body.clone() } else { None };
            self.update(Update::Event(Box::new(event)));
            match body {
                Some(Body::ConversationJoined(joined)) => {
                    if let Ok(conversation) = joined.conversation_id.parse() {
                        self.join(now, conversation, joined.from_seq);
                    }
                }
                Some(Body::ConversationLeft(left)) => {
                    if let Ok(conversation) = left.conversation_id.parse() {
                        self.leave(conversation);
                    }
                }
                _ => {}
            }
        }
    }

    fn join(&mut self, now: Instant, id: LogId, from_seq: i64) {
        let mut ready = Vec::new();
        let log = self.logs.entry(id).or_insert_with(|| Log::new((from_seq - 1).max(0)));
        log.begins(from_seq, &mut ready);
        for event in self.early.remove(&id).unwrap_or_default() {
            log.event(event, &mut ready);
        }
        if log.gap().is_some() {
            self.gaps.push_back(id);
        }
        self.hand_out(now, id, ready);
        let request = v1::GetConversationRequest { conversation_id: id.to_string() };
        self.ask(now, GET_CONVERSATION, &request, Purpose::Look { conversation: id });
    }

    fn leave(&mut self, id: LogId) {
        self.marks.forget(id);
        if self.logs.remove(&id).is_some() {
            self.update(Update::Gone { conversation_id: id.to_string() });
        }
    }

    fn mark_delivered(&mut self, id: LogId, seq: i64) {
        if !self.settings.delivered || Some(id) == self.own {
            return;
        }
        // Large groups keep no delivered marks; while the size is unknown, none is sent.
        if self.logs.get(&id).is_some_and(|log| (1..=MAX_MEMBERS_WITH_MARKS as i32).contains(&log.members)) {
            self.marks.delivered(id, seq);
        }
    }

    fn sync(&mut self, now: Instant) {
        if self.syncing.is_some() {
            self.sync_again = true;
            return;
        }
        let own_seq = self.own.and_then(|own| self.logs.get(&own)).map_or(0, Log::have);
        let known = self.heads().take(MAX_KNOWN).collect();
        self.ask_sync(now, v1::SyncRequest { own_seq, known, page_token: String::new() });
    }

    fn ask_sync(&mut self, now: Instant, request: v1::SyncRequest) {
        self.ask(now, SYNC, &request, Purpose::Sync);
        self.syncing = Some(request);
    }

    /// What this device knows of its conversations.
    fn heads(&self) -> impl Iterator<Item = v1::Head> {
        self.logs.iter().filter(|(id, _)| Some(**id) != self.own).map(|(id, log)| v1::Head {
            conversation_id: id.to_string(),
            last_seq: log.have(),
            ..log.head.clone()
        })
    }

    /// Fetches what is missing, a few logs at a time.
    fn fetch(&mut self, now: Instant) {
        while self.pages < MAX_PAGES && self.online {
            let Some(id) = self.gaps.pop_front() else { break };
            let Some(log) = self.logs.get_mut(&id) else { continue };
            let Some(after) = log.gap() else { continue };
            log.fetching = true;
            self.pages += 1;
            let request = v1::ListEventsRequest {
                conversation_id: id.to_string(),
                limit: MAX_PAGE,
                from: Some(v1::list_events_request::From::AfterSeq(after)),
            };
            let body = request.encode_to_vec().into();
            let call = self.calls.make(now, LIST_EVENTS, String::new(), body, Purpose::Page { log: id });
            self.out.push_back(Output::Low(call));
        }
    }

    fn note_caught_up(&mut self) {
        if !self.caught_up && self.syncing.is_none() && self.logs.values().all(Log::is_whole) {
            self.caught_up = true;
            self.update(Update::CaughtUp);
        }
    }

    fn send_waiting(&mut self, now: Instant) {
        while self.online
            && let Some((conversation, Item { client_msg_id, body })) = self.outbox.next()
        {
            let purpose = Purpose::Send { conversation, client_msg_id };
            let call = self.calls.make(now, SEND_MESSAGE, conversation.to_string(), body, purpose);
            self.out.push_back(Output::Frame(Frame::Call(call)));
        }
    }

    fn send_marks(&mut self, now: Instant) {
        if self.online {
            let marks = self.marks.take(now);
            if !marks.is_empty() {
                self.out.push_back(Output::Frame(Frame::Marks(v1::Marks { marks })));
            }
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

const SEND_MESSAGE: &str = "gogochat.v1.ChatService/SendMessage";
const LIST_EVENTS: &str = "gogochat.v1.ChatService/ListEvents";
const GET_CONVERSATION: &str = "gogochat.v1.ChatService/GetConversation";
const SYNC: &str = "gogochat.v1.SyncService/Sync";
/// Pages that are asked for at the same time.
const MAX_PAGES: usize = 8;
/// Events of one conversation that wait until it is known.
const MAX_EARLY: usize = 1_000;
/// After a failure that the server does not say how long to wait for.
const RETRY: Duration = Duration::from_secs(5);

#[cfg(test)]
#[path = "replica_tests.rs"]
mod tests;
