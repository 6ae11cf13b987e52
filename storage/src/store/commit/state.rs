//! The rows of a batch in memory: as they were loaded, and what the commands make of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use gogochat_proto::{
    ids::{ClientMsgId, DeviceId, LogId, UserId},
    v1,
};
use uuid::Uuid;

use super::{
    keys::{Pair, SentKey, sent_key},
    payload,
};
pub(super) use crate::store::entity::log::Kind;
use crate::store::{
    ContactState, Event, GroupInvite, Hash, Millis, Origin, Refusal, Role, Settings,
    entity::{event::MESSAGE, sent::Refused},
};

/// The rows of a batch.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) logs: HashMap<LogId, Cell<Log>>,
    pub(super) directs: HashMap<Pair, LogId>,
    pub(super) members: HashMap<(LogId, UserId), Cell<Member>>,
    pub(super) sent: HashMap<SentKey, Cell<Sent>>,
    pub(super) contacts: HashMap<(UserId, UserId), Cell<Contact>>,
    /// Who blocks whom, and since when.
    pub(super) blocks: HashMap<(UserId, UserId), Cell<Millis>>,
    pub(super) people: HashMap<UserId, v1::Person>,
    /// The notices of groups that have another now; empty: none.
    pub(super) notices: BTreeMap<LogId, String>,
    pub(super) invites: HashMap<Uuid, Cell<GroupInvite>>,
    /// New events.
    pub(super) events: Vec<Event>,
    /// Those of them that are no messages, with their numbers.
    pub(super) silent: Vec<(LogId, i64, i64)>,
    /// Logs to which another program has appended what is not in the feed.
    pub(super) unfed: BTreeSet<LogId>,
    /// Conversations of which all members see something new.
    pub(super) touched: BTreeSet<LogId>,
    /// Members who alone see something new of a conversation.
    pub(super) touched_members: BTreeSet<(LogId, UserId)>,
    /// Where the feed stands; `None` where no log was loaded.
    pub(super) feed: Option<FeedEnd>,
}

/// Where the feed stands while a commit holds its floor.
#[derive(Debug, Clone, Copy)]
pub(super) struct FeedEnd {
    pub(super) floor: i64,
    /// The last position that was given, where the database gives none by itself.
    pub(super) last: Option<i64>,
}

/// A row that may be there, or have been there.
#[derive(Debug)]
pub(super) struct Cell<T> {
    /// What it is now; `None` when it was deleted.
    pub(super) now: Option<T>,
    /// Whether the store has a row with this key.
    pub(super) stored: bool,
    /// Whether the store has to learn of it.
    pub(super) changed: bool,
}

/// A log's row.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) kind: Kind,
    pub(super) last_seq: i64,
    pub(super) last_ms: Millis,
    pub(super) member_count: i64,
    pub(super) writable: bool,
    pub(super) title: Option<String>,
    pub(super) pair: Option<Pair>,
    pub(super) silent_events: i64,
    pub(super) counted_seq: i64,
    pub(super) moved: i64,
    pub(super) marked: i64,
    pub(super) fed_seq: i64,
    pub(super) settings: Settings,
    /// Whether the store has to learn of the title and the settings.
    pub(super) settings_changed: bool,
}

/// A member's row.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) joined_ms: Millis,
    pub(super) from_seq: i64,
    pub(super) delivered: i64,
    pub(super) read: i64,
    pub(super) moved: i64,
    /// Of one who joined in this batch: whether the group is large.
    pub(super) large: bool,
    /// Joined in this batch.
    pub(super) fresh: bool,
    pub(super) role: Role,
    /// Until then they may not write.
    pub(super) muted_ms: Millis,
    /// When they last wrote, in slow mode.
    pub(super) said_ms: Millis,
    /// Whether the store has to learn of the three.
    pub(super) standing_changed: bool,
}

/// What was committed under a name.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) request_hash: Hash,
    pub(super) seq: i64,
    pub(super) time_ms: Millis,
    pub(super) added: i64,
    pub(super) target: Option<LogId>,
    /// It was not carried out, for this.
    pub(super) refused: Option<Refusal>,
}

/// One side of a contact.
#[derive(Debug)]
pub(super) struct Contact {
    pub(super) state: ContactState,
    pub(super) note: String,
    pub(super) since_ms: Millis,
    pub(super) conversation: Option<LogId>,
}

/// An event to be, without its place.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) sender: UserId,
    pub(super) name: Option<(DeviceId, ClientMsgId)>,
    pub(super) time_ms: Millis,
    pub(super) payload: Bytes,
}

impl Log {
    /// A conversation without events.
    pub(super) fn new(kind: Kind, made_ms: Millis, member_count: i64) -> Self {
        Self {
            kind,
            last_seq: 0,
            last_ms: made_ms,
            member_count,
            writable: true,
            title: None,
            pair: None,
            silent_events: 0,
            counted_seq: 0,
            moved: 0,
            marked: 0,
            fed_seq: 0,
            settings: Settings::default(),
            settings_changed: false,
        }
    }

    /// Takes the place of the next event. Its number, if it is to be numbered: it is no message.
    fn grow(&mut self, time_ms: Millis, is_message: bool) -> Option<i64> {
        // Behind what another program has left uncounted, what comes next is counted with it.
        let counts = self.kind != Kind::Own && self.counted_seq == self.last_seq;
        self.last_seq += 1;
        self.last_ms = time_ms;
        if !counts {
            return None;
        }
        self.counted_seq = self.last_seq;
        (!is_message).then(|| {
            self.silent_events += 1;
            self.silent_events
        })
    }
}

impl Entry {
    /// What a device sent.
    pub(super) fn sent(origin: &Origin, payload: Bytes) -> Self {
        let name = Some((origin.device, origin.client_msg_id));
        Self { sender: origin.sender, name, time_ms: origin.now, payload }
    }

    /// What the system writes because of what `sender` did.
    pub(super) fn system(sender: UserId, time_ms: Millis, payload: Bytes) -> Self {
        Self { sender, name: None, time_ms, payload }
    }
}

/// A refusal in a column; `None` for one that is not remembered.
pub(super) fn remembered(refusal: Refusal) -> Option<Refused> {
    match refusal {
        Refusal::NotFound => Some(Refused::NotFound),
        Refusal::AlreadyContact => Some(Refused::AlreadyContact),
        _ => None,
    }
}

/// The refusal in a column.
pub(super) fn refusal(refused: Refused) -> Option<Refusal> {
    match refused {
        Refused::No => None,
        Refused::NotFound => Some(Refusal::NotFound),
        Refused::AlreadyContact => Some(Refusal::AlreadyContact),
    }
}

impl<T> Cell<T> {
    /// As it was loaded.
    pub(super) fn stored(row: T) -> Self {
        Self { now: Some(row), stored: true, changed: false }
    }
}

impl<T> Default for Cell<T> {
    fn default() -> Self {
        Self { now: None, stored: false, changed: false }
    }
}

impl<T> Cell<T> {
    /// Puts a row there or takes it away.
    pub(super) fn set(&mut self, row: Option<T>) {
        self.now = row;
        self.changed = true;
    }

    /// The row, to be changed.
    fn change(&mut self) -> Option<&mut T> {
        self.changed |= self.now.is_some();
        self.now.as_mut()
    }
}

impl State {
    pub(super) fn log(&self, log: LogId) -> Option<&Log> {
        self.logs.get(&log)?.now.as_ref()
    }

    pub(super) fn change_log(&mut self, log: LogId) -> Option<&mut Log> {
        self.logs.get_mut(&log)?.change()
    }

    pub(super) fn member(&self, log: LogId, user: UserId) -> Option<&Member> {
        self.members.get(&(log, user))?.now.as_ref()
    }

    pub(super) fn change_member(&mut self, log: LogId, user: UserId) -> Option<&mut Member> {
        self.members.get_mut(&(log, user))?.change()
    }

    pub(super) fn contact(&self, user: UserId, peer: UserId) -> Option<&Contact> {
        self.contacts.get(&(user, peer))?.now.as_ref()
    }

    /// Whether a user blocks another.
    pub(super) fn blocks(&self, user: UserId, peer: UserId) -> bool {
        self.blocks.get(&(user, peer)).is_some_and(|cell| cell.now.is_some())
    }

    /// The log, if the user is a member.
    pub(super) fn log_of_member(&self, log: LogId, user: UserId) -> Result<&Log, Refusal> {
        self.member(log, user).ok_or(Refusal::NotAMember)?;
        self.log(log).ok_or(Refusal::NotAMember)
    }

    /// What was committed in `log` under the origin's name, if anything was.
    pub(super) fn sent_before(&self, log: LogId, origin: &Origin) -> Result<Option<&Sent>, Refusal> {
        match self.sent.get(&sent_key(log, origin)).and_then(|cell| cell.now.as_ref()) {
            Some(sent) if sent.request_hash != origin.request_hash => Err(Refusal::ClientMsgIdReused),
            sent => Ok(sent),
        }
    }

    /// Remembers a command for ever.
    pub(super) fn remember(&mut self, log: LogId, origin: &Origin, seq: i64, added: i64, target: Option<LogId>) {
        let sent = Sent { request_hash: origin.request_hash, seq, time_ms: origin.now, added, target, refused: None };
        self.sent.entry(sent_key(log, origin)).or_default().set(Some(sent));
    }

    /// Remembers that a command was refused, if that is one of the refusals that are.
    pub(super) fn remember_refusal(&mut self, log: LogId, origin: &Origin, refusal: Refusal) {
        if remembered(refusal).is_none() {
            return;
        }
        self.remember(log, origin, 0, 0, None);
        if let Some(sent) = self.sent.get_mut(&sent_key(log, origin)).and_then(|cell| cell.now.as_mut()) {
            sent.refused = Some(refusal);
        }
    }

    /// Makes somebody a member of a log, who may read it from `from_seq` on, with the event of seq `at`: the
    /// marks begin just below that.
    pub(super) fn join(&mut self, log: LogId, user: UserId, from_seq: i64, at: i64, joined_ms: Millis) {
        let member = Member {
            joined_ms,
            from_seq,
            delivered: at - 1,
            read: at - 1,
            moved: 0,
            large: false,
            fresh: true,
            role: Role::Member,
            muted_ms: 0,
            said_ms: 0,
            standing_changed: false,
        };
        self.members.entry((log, user)).or_default().set(Some(member));
    }

    /// A member, whose role or mute is to be changed.
    pub(super) fn change_standing(&mut self, log: LogId, user: UserId) -> Option<&mut Member> {
        let member = self.change_member(log, user)?;
        member.standing_changed = true;
        Some(member)
    }

    /// Whoever sends has seen what stands before.
    pub(super) fn mark_sent(&mut self, log: LogId, sender: UserId, seq: i64) {
        if let Some(member) = self.change_member(log, sender) {
            (member.delivered, member.read) = (seq, seq);
        }
    }

    /// Appends an event at the end of a log; `None` when there is no such log.
    pub(super) fn append(&mut self, log: LogId, entry: Entry) -> Option<Event> {
        let row = self.change_log(log)?;
        let number = row.grow(entry.time_ms, payload::body(&entry.payload) == MESSAGE);
        let (seq, kind) = (row.last_seq, row.kind);
        if kind != Kind::Own {
            self.touched.insert(log);
        }
        self.silent.extend(number.map(|number| (log, seq, number)));
        let event = Event {
            log,
            seq,
            time_ms: entry.time_ms,
            sender: entry.sender,
            device: entry.name.map(|name| name.0),
            client_msg_id: entry.name.map(|name| name.1),
            payload: entry.payload,
            subscription: None,
        };
        self.events.push(event.clone());
        Some(event)
    }
}
