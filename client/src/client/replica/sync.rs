//! Catching up: what Sync tells.

use std::{collections::BTreeSet, time::Duration};

use gogochat_proto::{error::ErrorCode, ids::LogId, limits::MAX_KNOWN, v1};
use tokio::time::Instant;

use super::{
    super::{calls::Purpose, log::Log, update::Update},
    RETRY, Replica, Timer,
};

impl Replica {
    pub(super) fn synced(&mut self, now: Instant, result: Result<v1::SyncResponse, v1::Error>) {
        let request = self.syncing.take();
        let response = match result {
            Ok(response) => response,
            Err(error)
                if ErrorCode::from_name(&error.code) == Some(ErrorCode::CursorFromFuture)
                    && request
                        .as_ref()
                        .is_some_and(|asked| asked.own_seq > 0 || !asked.known.is_empty() || asked.position > 0) =>
            {
                // Welcome told where the own log ends: what it told was of another history.
                if request.is_some_and(|asked| asked.own_seq <= self.own_begin()) {
                    self.own_now = 0;
                }
                self.begin_anew();
                return self.sync(now);
            }
            Err(error) => {
                let wait = Duration::from_millis(error.retry_after_ms.unsigned_abs());
                return self.timer(now + if wait.is_zero() { RETRY } else { wait }, Timer::Sync);
            }
        };
        if self.is_another_history(&response.epoch) {
            self.begin_anew();
            return self.sync(now);
        }
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
            return;
        }
        self.told_position = response.position;
        if response.own_more || std::mem::take(&mut self.sync_again) {
            self.sync(now);
        } else {
            // What nobody told of is none of this user's any more.
            self.early.clear();
            self.note_caught_up();
        }
    }

    /// The server tells of a conversation that is new to this device, or has moved.
    pub(super) fn conversation(&mut self, now: Instant, id: LogId, conversation: v1::Conversation) {
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

    pub(super) fn sync(&mut self, now: Instant) {
        if self.syncing.is_some() {
            self.sync_again = true;
            return;
        }
        let own_seq = self.own.and_then(|own| self.logs.get(&own)).map_or(0, Log::have);
        // A position says it shorter than heads do.
        let known = if self.position > 0 { Vec::new() } else { self.heads().take(MAX_KNOWN).collect() };
        self.ask_sync(now, v1::SyncRequest { own_seq, known, page_token: String::new(), position: self.position });
    }

    /// Whether the server tells another history than the one that this device knows: the server's store
    /// was restored from a backup. From here on the device knows this one.
    pub(super) fn is_another_history(&mut self, epoch: &str) -> bool {
        if epoch.is_empty() || self.epoch == epoch {
            return false;
        }
        let before = std::mem::replace(&mut self.epoch, epoch.to_owned());
        !before.is_empty()
    }

    /// Where a new device begins in the own log.
    pub(super) fn own_begin(&self) -> i64 {
        if self.settings.backfill { 0 } else { self.own_now }
    }

    /// The server's history is not the one that this device knows (it was restored from a backup): begins
    /// as a new device. The outbox stays.
    pub(super) fn begin_anew(&mut self) {
        self.calls.forget(|purpose| matches!(purpose, Purpose::Page { .. }));
        self.timers.retain(|_, timer| !matches!(timer, Timer::Page(_)));
        self.gaps.clear();
        self.pages = 0;
        self.caught_up = false;
        (self.position, self.told_position) = (0, 0);
        // Before the first session the own log is a cursor alone.
        let own = self.own_start.take().and(self.own);
        let logs: BTreeSet<_> = std::mem::take(&mut self.logs).into_keys().chain(own).collect();
        for id in logs {
            self.marks.forget(id);
            self.update(Update::Reset { log_id: id.to_string() });
        }
        if let Some(own) = self.own {
            self.logs.insert(own, Log::new(self.own_begin()));
        }
    }

    fn ask_sync(&mut self, now: Instant, request: v1::SyncRequest) {
        self.ask(now, SYNC, &request, Purpose::Sync);
        self.syncing = Some(request);
    }

    /// What this device knows of its conversations.
    pub(super) fn heads(&self) -> impl Iterator<Item = v1::Head> {
        self.logs.iter().filter(|(id, _)| Some(**id) != self.own).map(|(id, log)| v1::Head {
            conversation_id: id.to_string(),
            last_seq: log.have(),
            ..log.head.clone()
        })
    }

    pub(super) fn note_caught_up(&mut self) {
        if self.syncing.is_some() || !self.logs.values().all(Log::is_whole) {
            return;
        }
        self.position = self.told_position;
        if !self.caught_up {
            self.caught_up = true;
            self.update(Update::CaughtUp);
        }
    }
}

pub(super) const SYNC: &str = "gogochat.v1.SyncService/Sync";
