//! The bounded queue of what a session has still to be sent, and what full means for each kind of
//! frame.

use std::collections::VecDeque;

use bytes::{Buf as _, Bytes};
use gogochat_proto::{
    ids::LogId,
    v1::{self, server_frame::Frame},
};

use super::wire::{self, Format};
use crate::config::Limits;

/// What may become of a frame when the queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Replies to ordered calls, answers to pings, the end: never dropped.
    Control,
    /// Replies to other calls, such as pages of history: never dropped, and behind all that is live.
    Reply,
    /// An event of a log: dropped, and the client told to resync that log.
    Event {
        /// The log.
        log: LogId,
        /// The event's seq.
        seq: i64,
    },
    /// Newer replaces older of the same log, subject and kind; dropped when full unless `keep`.
    Ephemeral {
        /// The log.
        log: LogId,
        /// The user it is about, or zeros.
        subject: [u8; 16],
        /// The kind's number.
        kind: i32,
        /// It coalesces and waits: a watermark.
        keep: bool,
    },
    /// A Resync that tells of events dropped from this log.
    Resync(Option<LogId>),
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It waits.
    Queued,
    /// It took the place of an older one.
    Replaced,
    /// It was dropped; `resync` when this drop was the first of its log.
    Dropped {
        /// Whether a Resync was queued for it.
        resync: bool,
    },
    /// Even what is never dropped has no room: the session has to end.
    Overflow,
}

/// The queue of one session.
#[derive(Debug)]
pub(crate) struct Queue {
    items: VecDeque<Item>,
    bytes: usize,
    /// Logs with dropped events, whose Resync has not left yet.
    lagging: Vec<LogId>,
    /// A Resync for any log waits.
    any_lagging: bool,
    /// The first frame is half written.
    partial: bool,
    /// So many frames at the end are replies before which what is live is put.
    replies: usize,
    /// Live frames that were put before the first of those.
    passed: usize,
    /// Bytes of all replies that wait.
    reply_bytes: usize,
    limits: Limits,
    format: Format,
}

#[derive(Debug)]
struct Item {
    bytes: Bytes,
    class: Class,
}

impl Queue {
    /// An empty queue.
    pub(crate) fn new(format: Format, limits: Limits) -> Self {
        Self {
            items: VecDeque::new(),
            bytes: 0,
            lagging: Vec::new(),
            any_lagging: false,
            partial: false,
            replies: 0,
            passed: 0,
            reply_bytes: 0,
            limits,
            format,
        }
    }

    /// Puts a frame's bytes at the end.
    pub(crate) fn push(&mut self, bytes: Bytes, class: Class) -> Pushed {
        match class {
            Class::Event { log, seq } => {
                if self.is_lagging(log) {
                    return Pushed::Dropped { resync: false };
                }
                if self.is_full(bytes.len()) {
                    return self.drop_event(log, seq);
                }
            }
            Class::Ephemeral { log, subject, kind, keep } => {
                let same = |other: &Item| matches!(other.class, Class::Ephemeral { log: l, subject: s, kind: k, .. } if l == log && s == subject && k == kind);
                if let Some(older) = self.items.iter_mut().skip(usize::from(self.partial)).find(|item| same(item)) {
                    self.bytes = self.bytes - older.bytes.len() + bytes.len();
                    older.bytes = bytes;
                    return Pushed::Replaced;
                }
                if !keep && self.is_full(bytes.len()) {
                    return Pushed::Dropped { resync: false };
                }
            }
            Class::Control | Class::Reply | Class::Resync(_) => {}
        }
        if self.bytes + bytes.len() > self.limits.queue_max_bytes {
            return Pushed::Overflow;
        }
        self.append(bytes, class);
        Pushed::Queued
    }

    /// The first frames' bytes, for one write.
    pub(crate) fn front(&self, most: usize) -> impl Iterator<Item = &Bytes> {
        self.items.iter().take(most).map(|item| &item.bytes)
    }

    /// Takes away `written` bytes from the front.
    pub(crate) fn advance(&mut self, mut written: usize) {
        self.bytes = self.bytes.saturating_sub(written);
        while let Some(first) = self.items.front_mut() {
            let taken = written.min(first.bytes.len());
            if first.class == Class::Reply {
                self.reply_bytes = self.reply_bytes.saturating_sub(taken);
            }
            if taken < first.bytes.len() {
                first.bytes.advance(taken);
                self.partial |= taken > 0;
                if self.partial {
                    // Nothing is put before it any more.
                    self.replies = self.replies.min(self.items.len() - 1);
                }
                return;
            }
            written -= taken;
            self.partial = false;
            self.replies = self.replies.min(self.items.len() - 1);
            if let Some(Item { class: Class::Resync(log), .. }) = self.items.pop_front() {
                match log {
                    Some(log) => self.lagging.retain(|other| *other != log),
                    None => {
                        self.any_lagging = false;
                        self.lagging.clear();
                    }
                }
            }
        }
        // The usual state: an idle session keeps no memory for it.
        self.items = VecDeque::new();
    }

    /// Drops everything that waits, but not a frame that is half written, so that the end can be told.
    pub(crate) fn clear(&mut self) {
        self.items.truncate(usize::from(self.partial));
        self.replies = 0;
        self.reply_bytes =
            self.items.iter().filter(|item| item.class == Class::Reply).map(|item| item.bytes.len()).sum();
        self.bytes = self.items.iter().map(|item| item.bytes.len()).sum();
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of replies among them that keep no order with what is live.
    pub(crate) fn reply_bytes(&self) -> usize {
        self.reply_bytes
    }

    /// Frames that wait.
    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    fn is_full(&self, more: usize) -> bool {
        // Replies do not count: the client has asked for them. An event that is larger than the whole queue
        // may still go into an empty one.
        let (bytes, frames) = (self.bytes - self.reply_bytes, self.items.len() - self.replies);
        frames > 0 && (bytes + more > self.limits.queue_bytes || frames >= self.limits.queue_frames)
    }

    fn is_lagging(&self, log: LogId) -> bool {
        self.any_lagging || self.lagging.contains(&log)
    }

    fn drop_event(&mut self, log: LogId, seq: i64) -> Pushed {
        let resync = if self.lagging.len() < MAX_LAGGING {
            self.lagging.push(log);
            (v1::Resync { log_id: log.to_string(), from_seq: seq - 1 }, Some(log))
        } else {
            self.any_lagging = true;
            (v1::Resync::default(), None)
        };
        let bytes = wire::encode(self.format, Frame::Resync(resync.0), None);
        self.append(bytes, Class::Resync(resync.1));
        Pushed::Dropped { resync: true }
    }

    fn append(&mut self, bytes: Bytes, class: Class) {
        self.bytes += bytes.len();
        if class == Class::Reply {
            self.reply_bytes += bytes.len();
            self.replies += 1;
            self.items.push_back(Item { bytes, class });
        } else if self.replies == 0 {
            self.items.push_back(Item { bytes, class });
        } else {
            self.items.insert(self.items.len() - self.replies, Item { bytes, class });
            self.passed += 1;
            if self.passed >= MAX_PASSED {
                // However much is live, a reply goes at last.
                self.passed = 0;
                self.replies -= 1;
            }
        }
    }
}

/// Live frames that are put before a reply.
const MAX_PASSED: usize = 64;
/// Logs that are told one by one; past that a single Resync stands for any.
const MAX_LAGGING: usize = 64;

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
