//! Messages that wait for their acknowledgement: in order within each conversation, under the same
//! id until they are acknowledged or refused for good. No clock and no I/O.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use gogochat_proto::{ids::LogId, v1};
use tokio::time::Instant;

/// The messages of one device.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queues: HashMap<LogId, ConversationQueue>,
    /// Queues that may have something to send now.
    runnable: VecDeque<LogId>,
    in_flight: usize,
    online: bool,
}

/// A message to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) client_msg_id: String,
    /// The encoded SendMessageRequest.
    pub(crate) body: Bytes,
}

/// The messages to one conversation.
#[derive(Debug, Default)]
struct ConversationQueue {
    /// While the queue is open, those in flight come first.
    items: VecDeque<Item>,
    in_flight: usize,
    flow: Flow,
    refusals: u32,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Flow {
    #[default]
    Open,
    /// One was refused for now, and others may be on their way still. Sent again while those are
    /// unanswered, it could arrive behind one of them; so all answers are awaited first.
    Refused(Duration),
    /// Nothing before then.
    Waiting(Instant),
}

/// What an answer meant.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) fate: Fate,
    /// When the queue is to be woken.
    pub(crate) wake: Option<Instant>,
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It has left the outbox.
    Settled,
    /// It will be sent again.
    Again,
    /// It is not in the outbox: this answers an earlier sending.
    Unknown,
}

impl Outbox {
    /// Adds a message at the end of its conversation's queue.
    pub(crate) fn push(&mut self, conversation: LogId, item: Item) {
        let queue = self.queues.entry(conversation).or_default();
        queue.items.push_back(item);
        if queue.flow == Flow::Open && self.online {
            self.runnable.push_back(conversation);
        }
    }

    /// A session stands: everything unacknowledged is sent again.
    pub(crate) fn opened(&mut self) {
        self.online = true;
        self.runnable = self.queues.keys().copied().collect();
    }

    /// The session is over: whether what was in flight has arrived is unknown.
    pub(crate) fn lost(&mut self) {
        self.online = false;
        self.in_flight = 0;
        for queue in self.queues.values_mut() {
            queue.in_flight = 0;
            queue.flow = Flow::Open;
        }
    }

    /// The next message to send; it counts as in flight.
    pub(crate) fn next(&mut self) -> Option<(LogId, Item)> {
        while self.in_flight < MAX_IN_FLIGHT {
            let conversation = *self.runnable.front()?;
            let queue = self.queues.get_mut(&conversation).filter(|queue| queue.flow == Flow::Open);
            if let Some(queue) = queue
                && queue.in_flight < MAX_IN_FLIGHT_PER_CONVERSATION
                && let Some(item) = queue.items.get(queue.in_flight)
            {
                queue.in_flight += 1;
                self.in_flight += 1;
                return Some((conversation, item.clone()));
            }
            self.runnable.pop_front();
        }
        None
    }

    /// A message was acknowledged.
    pub(crate) fn acknowledged(&mut self, now: Instant, conversation: LogId, client_msg_id: &str) -> Answered {
        self.settled(now, conversation, client_msg_id, true)
    }

    /// A message was refused; one not answered in time counts as refused by a retryable error.
    pub(crate) fn refused(
        &mut self,
        now: Instant,
        conversation: LogId,
        client_msg_id: &str,
        error: &v1::Error,
    ) -> Answered {
        if !error.retryable() {
            return self.settled(now, conversation, client_msg_id, false);
        }
        let Some(queue) = self.queues.get_mut(&conversation).filter(|queue| queue.has(client_msg_id)) else {
            return Answered { fate: Fate::Unknown, wake: None };
        };
        self.in_flight = self.in_flight.saturating_sub(1);
        queue.in_flight = queue.in_flight.saturating_sub(1);
        let asked = Duration::from_millis(error.retry_after_ms.unsigned_abs());
        let delay = match queue.flow {
            Flow::Refused(delay) => delay.max(asked),
            Flow::Open | Flow::Waiting(_) => asked,
        };
        queue.flow = Flow::Refused(delay);
        Answered { fate: Fate::Again, wake: queue.settle(now) }
    }

    /// A queue's time has come.
    pub(crate) fn wake(&mut self, now: Instant, conversation: LogId) {
        if let Some(queue) = self.queues.get_mut(&conversation)
            && matches!(queue.flow, Flow::Waiting(until) if until <= now)
        {
            queue.flow = Flow::Open;
            if self.online {
                self.runnable.push_back(conversation);
            }
        }
    }

    /// How many messages wait for their acknowledgement.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.queues.values().map(|queue| queue.items.len()).sum()
    }

    fn settled(&mut self, now: Instant, conversation: LogId, client_msg_id: &str, success: bool) -> Answered {
        let unknown = Answered { fate: Fate::Unknown, wake: None };
        let Some(queue) = self.queues.get_mut(&conversation) else { return unknown };
        if queue.take(client_msg_id).is_none() {
            return unknown;
        }
        self.in_flight = self.in_flight.saturating_sub(1);
        if success {
            queue.refusals = 0;
        }
        let wake = queue.settle(now);
        if queue.items.is_empty() {
            self.queues.remove(&conversation);
        } else if queue.flow == Flow::Open && queue.items.len() > queue.in_flight {
            // What waited for room may go now.
            self.runnable.push_back(conversation);
        }
        Answered { fate: Fate::Settled, wake }
    }
}

impl ConversationQueue {
    fn has(&self, client_msg_id: &str) -> bool {
        self.items.iter().any(|item| item.client_msg_id == client_msg_id)
    }

    fn take(&mut self, client_msg_id: &str) -> Option<Item> {
        let index = self.items.iter().position(|item| item.client_msg_id == client_msg_id)?;
        self.in_flight = self.in_flight.saturating_sub(1);
        self.items.remove(index)
    }

    /// When all that was in flight has been answered, what was refused gets its time.
    fn settle(&mut self, now: Instant) -> Option<Instant> {
        let Flow::Refused(delay) = self.flow else { return None };
        if self.in_flight > 0 {
            return None;
        }
        let until = now + (delay * 2_u32.pow(self.refusals.min(5))).min(MAX_DELAY);
        self.refusals += 1;
        self.flow = Flow::Waiting(until);
        Some(until)
    }
}

/// Calls in flight are limited by the server (256 a session); others need some too.
const MAX_IN_FLIGHT: usize = 128;
const MAX_IN_FLIGHT_PER_CONVERSATION: usize = 64;
const MAX_DELAY: Duration = Duration::from_secs(10);

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
