//! The logs: events in, events out in their order, gaps fetched.

use std::time::Duration;

use gogochat_proto::{
    error::ErrorCode,
    ids::LogId,
    limits::{MAX_MEMBERS_WITH_MARKS, MAX_PAGE},
    v1::{self, event::Body},
};
use prost::Message;
use tokio::time::Instant;

use super::{
    super::{calls::Purpose, log::Log, update::Update},
    Output, RETRY, Replica, Timer,
};

impl Replica {
    pub(super) fn event(&mut self, now: Instant, event: v1::Event) {
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

    pub(super) fn page(&mut self, now: Instant, id: LogId, result: Result<v1::ListEventsResponse, v1::Error>) {
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

    /// Hands events out, and follows what the own log says.
    pub(super) fn hand_out(&mut self, now: Instant, id: LogId, events: Vec<v1::Event>) {
        if let Some(last) = events.iter().rfind(|event| event.sender_id != self.me) {
            self.mark_delivered(id, last.seq);
        }
        for event in events {
            self.mark_sent(id, &event);
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

    pub(super) fn leave(&mut self, id: LogId) {
        self.marks.forget(id);
        if self.logs.remove(&id).is_some() {
            self.update(Update::Gone { conversation_id: id.to_string() });
        }
    }

    /// Whoever sends a message has read what stands before it: the event alone tells of it.
    fn mark_sent(&mut self, id: LogId, event: &v1::Event) {
        let Some(log) = self.logs.get_mut(&id) else { return };
        if !matches!(event.body, Some(Body::Message(_))) {
            return;
        }
        let head = &mut log.head;
        if event.sender_id == self.me {
            head.delivered_seq = head.delivered_seq.max(event.seq);
            head.read_seq = head.read_seq.max(event.seq);
            head.unread = 0;
        } else if log.members == 2 {
            head.others_delivered_seq = head.others_delivered_seq.max(event.seq);
            head.others_read_seq = head.others_read_seq.max(event.seq);
        }
    }

    /// Marks have moved: one's own, by another device; or how far all others have got.
    pub(super) fn watermark(&mut self, watermark: &v1::Watermark) {
        let Ok(id) = watermark.conversation_id.parse::<LogId>() else { return };
        let Some(log) = self.logs.get_mut(&id) else { return };
        let head = &mut log.head;
        let (delivered, read) = (watermark.delivered_seq, watermark.read_seq);
        let (mut others_delivered, mut others_read) = (watermark.others_delivered_seq, watermark.others_read_seq);
        if watermark.user_id == self.me {
            head.delivered_seq = head.delivered_seq.max(delivered);
            head.read_seq = head.read_seq.max(read);
        } else if log.members == 2 {
            // A server of the release before tells of each member: of one, that is of all others.
            (others_delivered, others_read) = (others_delivered.max(delivered), others_read.max(read));
        }
        head.others_delivered_seq = head.others_delivered_seq.max(others_delivered);
        head.others_read_seq = head.others_read_seq.max(others_read);
    }

    pub(super) fn mark_delivered(&mut self, id: LogId, seq: i64) {
        if !self.settings.delivered || Some(id) == self.own {
            return;
        }
        // Large groups keep no delivered marks; while the size is unknown, none is sent.
        if self.logs.get(&id).is_some_and(|log| (1..=MAX_MEMBERS_WITH_MARKS as i32).contains(&log.members)) {
            self.marks.delivered(id, seq);
        }
    }

    /// Fetches what is missing, a few logs at a time.
    pub(super) fn fetch(&mut self, now: Instant) {
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
}

pub(super) const LIST_EVENTS: &str = "gogochat.v1.ChatService/ListEvents";
pub(super) const GET_CONVERSATION: &str = "gogochat.v1.ChatService/GetConversation";
/// Pages that are asked for at the same time.
const MAX_PAGES: usize = 8;
/// Events of one conversation that wait until it is known.
const MAX_EARLY: usize = 1_000;
