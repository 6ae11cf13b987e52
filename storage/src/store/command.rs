//! Commands: what a commit is asked to do, and the outcome of each.

use bytes::Bytes;
use gogochat_proto::ids::{ClientMsgId, DeviceId, LogId, UserId};
use uuid::Uuid;

use super::{Event, GroupAct, Hash, JoinBy, Millis};

/// A change to a log or a mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Appends an event by a member. In a direct conversation the two have to be contacts.
    Append {
        /// The conversation.
        log: LogId,
        /// Who, and for dedupe from where and under which name.
        origin: Origin,
        /// The event: an encoded `gogochat.v1.Event` with nothing but its body.
        payload: Bytes,
    },
    /// Moves a member's marks up, in their log's order: as a core of the release before this one has it
    /// on the bus. [`super::Marks::mark`] does the same beside it.
    Mark {
        /// The conversation.
        log: LogId,
        /// Whose marks.
        user: UserId,
        /// Everything up to here is on a device.
        delivered: i64,
        /// Everything up to here was seen; implies delivered.
        read: i64,
    },
    /// Asks `to` to be a contact of the sender; accepts when `to` has asked already. An event in both
    /// users' own logs.
    RequestContact {
        /// Who asks, from where, under which name.
        origin: Origin,
        /// Who is asked.
        to: UserId,
        /// Why.
        note: String,
        /// The direct conversation's id, if it comes to one and there is none yet.
        conversation: LogId,
    },
    /// Accepts a request of `from`: both are contacts and members of a direct conversation, the one they
    /// had or a new one.
    AcceptContact {
        /// Who accepts, from where, under which name.
        origin: Origin,
        /// Who had asked.
        from: UserId,
        /// The direct conversation's id, if there is none yet.
        conversation: LogId,
    },
    /// Ends a contact, or refuses or withdraws a request. An event in both users' own logs.
    RemoveContact {
        /// Who ends it, from where, under which name.
        origin: Origin,
        /// With whom.
        peer: UserId,
    },
    /// Blocks somebody: PersonBlocked in the sender's own log. The contact or request that there is ends as
    /// [`Command::RemoveContact`] ends it.
    Block {
        /// Who blocks, from where, under which name.
        origin: Origin,
        /// Whom.
        peer: UserId,
    },
    /// Ends a block: PersonUnblocked in the sender's own log. It restores nothing.
    Unblock {
        /// Who, from where, under which name.
        origin: Origin,
        /// Whom.
        peer: UserId,
    },
    /// Makes a group of the sender and contacts of theirs: ConversationCreated in it, ConversationJoined
    /// in each member's own log.
    CreateGroup {
        /// The group's id, if this is no repeat.
        log: LogId,
        /// Who, from where, under which name.
        origin: Origin,
        /// The title, valid.
        title: String,
        /// The other members.
        members: Vec<UserId>,
    },
    /// Adds contacts of the sender to a group they are in; passes over members. MembersAdded in it,
    /// ConversationJoined in each new member's own log.
    AddMembers {
        /// The group.
        log: LogId,
        /// Who, from where, under which name.
        origin: Origin,
        /// Whom to add.
        users: Vec<UserId>,
    },
    /// A slice of an AddMembers of very many: a command of its own, carried out once under its own name.
    /// The last bears the name of the whole.
    AddSlice {
        /// The group.
        log: LogId,
        /// Who, from where, under which name.
        origin: Origin,
        /// Whom to add.
        users: Vec<UserId>,
        /// Which slice.
        slice: Slice,
    },
    /// Removes members from a group; passes over who is none. MembersRemoved in it, ConversationLeft in the
    /// own log of each. The owner may remove anybody, admins those who are neither.
    RemoveMembers {
        /// The group.
        log: LogId,
        /// Who, from where, under which name.
        origin: Origin,
        /// Whom, not the sender.
        users: Vec<UserId>,
    },
    /// A slice of a RemoveMembers of very many, as [`Command::AddSlice`] is of an AddMembers.
    RemoveSlice {
        /// The group.
        log: LogId,
        /// Who, from where, under which name.
        origin: Origin,
        /// Whom.
        users: Vec<UserId>,
        /// Which slice.
        slice: Slice,
    },
    /// An owner or an admin changes something of a group: an event in it.
    Group {
        /// The group.
        log: LogId,
        /// Who, from where, under which name.
        origin: Origin,
        /// What.
        act: GroupAct,
    },
    /// The sender joins a group: MemberJoined in it, ConversationJoined in their own log. Whoever is a member
    /// stays one.
    Join {
        /// Who, from where, under which name.
        origin: Origin,
        /// How.
        by: JoinBy,
    },
    /// The sender leaves a group: MemberLeft in it, ConversationLeft in their own log. Where the owner
    /// leaves, RoleChanged follows: the admin who joined first is the owner then, else the member.
    LeaveGroup {
        /// The group.
        log: LogId,
        /// Who, from where, under which name.
        origin: Origin,
    },
}

impl Command {
    /// Rows that it may load and write: its share of a batch.
    #[must_use]
    pub fn rows(&self) -> usize {
        match self {
            Self::Append { .. } => 8,
            Self::Mark { .. } => 4,
            Self::RequestContact { .. }
            | Self::AcceptContact { .. }
            | Self::RemoveContact { .. }
            | Self::Block { .. }
            | Self::Unblock { .. } => 24,
            Self::CreateGroup { members: users, .. }
            | Self::AddMembers { users, .. }
            | Self::AddSlice { users, .. }
            | Self::RemoveMembers { users, .. }
            | Self::RemoveSlice { users, .. } => Self::rows_of(users.len()),
            Self::LeaveGroup { .. } | Self::Group { .. } => 12,
            Self::Join { .. } => 16,
        }
    }

    /// Rows of a command that adds or removes so many members: of each the contact, the membership, the own log and an
    /// event in it.
    #[must_use]
    pub fn rows_of(users: usize) -> usize {
        8 + 6 * users
    }

    /// Bytes that it brings.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Append { payload, .. } => payload.len(),
            Self::RequestContact { note: text, .. } | Self::CreateGroup { title: text, .. } => text.len(),
            Self::Group { act: GroupAct::Change(change), .. } => {
                [&change.title, &change.notice].into_iter().flatten().map(String::len).sum()
            }
            _ => 0,
        }
    }

    /// The log in which it has its order: a conversation, or the sender's own.
    #[must_use]
    pub fn home(&self) -> LogId {
        match self {
            Self::Append { log, .. }
            | Self::Mark { log, .. }
            | Self::AddMembers { log, .. }
            | Self::AddSlice { log, .. }
            | Self::RemoveMembers { log, .. }
            | Self::RemoveSlice { log, .. }
            | Self::Group { log, .. }
            | Self::Join { by: JoinBy::Oneself(log), .. }
            | Self::LeaveGroup { log, .. } => *log,
            Self::RequestContact { origin, .. }
            | Self::AcceptContact { origin, .. }
            | Self::RemoveContact { origin, .. }
            | Self::Block { origin, .. }
            | Self::Unblock { origin, .. }
            | Self::Join { origin, by: JoinBy::Invite(_) }
            | Self::CreateGroup { origin, .. } => origin.sender.into(),
        }
    }
}

/// A slice of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slice {
    /// One before the last, of the command of this name. Where that was carried out as a whole, the slice
    /// is answered as that was, and changes nothing.
    Part {
        /// The name of the whole.
        of: ClientMsgId,
    },
    /// The last: with it the whole has been carried out.
    Last {
        /// How many the slices before it have added or removed.
        done: usize,
    },
}

/// Who sent a command. (log, sender, device, client_msg_id) is unique for ever; for CreateGroup and the
/// contact commands the log is the sender's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The user.
    pub sender: UserId,
    /// The user's device.
    pub device: DeviceId,
    /// The device's name for the command; for contact commands, which devices give none, the server's.
    pub client_msg_id: ClientMsgId,
    /// Of the request: the same id with another hash is refused.
    pub request_hash: Hash,
    /// When the command reached the committer.
    pub now: Millis,
}

/// What became of a command.
pub type Outcome = Result<Committed, Refusal>;

/// A command that was carried out, now or before.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Committed {
    /// What the reply says.
    pub done: Done,
    /// What is new in the logs, in the order of commit: for fan-out. Empty for a repeat.
    pub events: Vec<Event>,
    /// The member's marks that moved: for fan-out.
    pub mark: Option<MovedMark>,
}

/// The result of a command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Done {
    /// It moved nothing, or there is nothing to say.
    #[default]
    Nothing,
    /// `Append` stands here; `duplicate`: it had been committed before.
    Appended {
        /// The event's seq.
        seq: i64,
        /// When it was committed.
        time_ms: Millis,
        /// A repeat.
        duplicate: bool,
    },
    /// The member's marks stand here now.
    Marked {
        /// Delivered.
        delivered: i64,
        /// Read.
        read: i64,
    },
    /// The request waits for the other.
    Requested,
    /// The two are contacts, and this is their conversation.
    Accepted {
        /// The direct conversation.
        conversation: LogId,
    },
    /// The group, new or from the first commit of a repeat.
    Created {
        /// The group.
        conversation: LogId,
    },
    /// The invite, new or from the first commit of a repeat.
    Invited {
        /// Its code.
        code: Uuid,
        /// Until when it is good; of a repeat, until when a new one would be.
        until_ms: Millis,
    },
    /// The sender is a member of this group.
    Joined {
        /// The group.
        conversation: LogId,
    },
    /// Members were removed.
    Removed {
        /// How many were members.
        removed: usize,
        /// How many there are now.
        member_count: usize,
    },
    /// Members were added.
    Added {
        /// How many were new.
        added: usize,
        /// How many there are now.
        member_count: usize,
    },
}

/// Marks that moved; `last_seq` bounds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MovedMark {
    /// The conversation.
    pub log: LogId,
    /// Whose.
    pub user: UserId,
    /// Delivered.
    pub delivered: i64,
    /// Read.
    pub read: i64,
    /// Whether the other members are told (not in groups past `MAX_MEMBERS_WITH_MARKS`); the user's own
    /// other devices always are.
    pub shared: bool,
    /// The read mark moved, and there is more to read: what is unread is to be counted anew.
    pub partly_read: bool,
}

/// Why a command was not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such conversation, or the sender is not in it.
    #[error("not a member")]
    NotAMember,
    /// It is not a group.
    #[error("not a group")]
    NotAGroup,
    /// The two, or the first of those to be added, are not contacts.
    #[error("not a contact: {0}")]
    NotAContact(UserId),
    /// The sender blocks the other.
    #[error("you block this user")]
    Blocked,
    /// They are contacts already.
    #[error("a contact already")]
    AlreadyContact,
    /// There is no such user, request or contact.
    #[error("not found")]
    NotFound,
    /// The group would grow past `MAX_MEMBERS`.
    #[error("too many members")]
    TooManyMembers,
    /// The sender's role does not permit it.
    #[error("your role in the group does not permit it")]
    NotPermitted,
    /// The sender may not write in the group, until then (0: until its owner or admins permit it to all).
    #[error("muted")]
    Muted {
        /// When they may write again.
        until_ms: Millis,
    },
    /// The sender may write again in so many ms.
    #[error("slow mode: write again in {} s", (*wait_ms + 999) / 1_000)]
    SlowMode {
        /// How long.
        wait_ms: Millis,
    },
    /// The group would have more than `MAX_INVITES` that are good.
    #[error("too many invites")]
    TooManyInvites,
    /// The group was dismissed.
    #[error("the group was dismissed")]
    Dismissed,
    /// The client_msg_id was committed with another request.
    #[error("client_msg_id used for another request")]
    ClientMsgIdReused,
    /// The mark is past the end of the log.
    #[error("past the end of the log")]
    SeqFromFuture,
}
