//! Which rows a batch may touch.

use std::collections::BTreeSet;

use gogochat_proto::ids::{ClientMsgId, DeviceId, LogId, UserId};
use uuid::Uuid;

use crate::store::{Command, GroupAct, JoinBy, Origin, Role, Slice};

/// The keys of rows, sorted, so that transactions which lock rows lock them in one order.
#[derive(Debug, Default)]
pub(super) struct Keys {
    pub(super) logs: BTreeSet<LogId>,
    pub(super) pairs: BTreeSet<Pair>,
    pub(super) members: BTreeSet<(LogId, UserId)>,
    pub(super) sent: BTreeSet<SentKey>,
    pub(super) contacts: BTreeSet<(UserId, UserId)>,
    pub(super) blocks: BTreeSet<(UserId, UserId)>,
    pub(super) people: BTreeSet<UserId>,
    /// Codes by which somebody joins, and who.
    pub(super) codes: BTreeSet<(Uuid, UserId)>,
    /// Groups whose invites are changed.
    pub(super) inviting: BTreeSet<LogId>,
    /// Who needs a role in a group.
    pub(super) ruling: BTreeSet<(LogId, UserId)>,
    /// Who may be an owner who leaves.
    pub(super) leaving: BTreeSet<(LogId, UserId)>,
    /// Groups that get another owner.
    pub(super) crowned: BTreeSet<LogId>,
}

/// Two users, the lower id first.
pub(super) type Pair = (UserId, UserId);

/// What a device committed under a name.
pub(super) type SentKey = (LogId, UserId, DeviceId, ClientMsgId);

/// The pair of two users.
pub(super) fn pair(one: UserId, other: UserId) -> Pair {
    (one.min(other), one.max(other))
}

/// The key under which a command in a log is remembered.
pub(super) fn sent_key(log: LogId, origin: &Origin) -> SentKey {
    (log, origin.sender, origin.device, origin.client_msg_id)
}

impl Keys {
    /// The rows of a batch.
    pub(super) fn of(batch: &[Command]) -> Self {
        let mut keys = Self::default();
        batch.iter().for_each(|command| keys.add(command));
        keys
    }

    /// The rows that decide whether a command is refused.
    pub(super) fn of_decision(command: &Command) -> Self {
        let mut keys = Self::of(std::slice::from_ref(command));
        if let Command::CreateGroup { members: users, .. }
        | Command::AddMembers { users, .. }
        | Command::AddSlice { users, .. }
        | Command::RemoveMembers { users, .. }
        | Command::RemoveSlice { users, .. } = command
        {
            let own: BTreeSet<LogId> = users.iter().copied().map(LogId::from).collect();
            keys.logs.retain(|log| !own.contains(log));
        }
        keys
    }

    fn add(&mut self, command: &Command) {
        match command {
            Command::Append { log, origin, .. } => self.add_sent_by_member(*log, origin),
            Command::Mark { log, user, .. } => self.add_member(*log, *user),
            Command::RequestContact { origin, to: other, conversation, .. }
            | Command::AcceptContact { origin, from: other, conversation } => {
                self.add_contact(origin, *other, Some(*conversation));
            }
            Command::RemoveContact { origin, peer }
            | Command::Block { origin, peer }
            | Command::Unblock { origin, peer } => self.add_contact(origin, *peer, None),
            Command::CreateGroup { log, origin, members, .. } => {
                let own = LogId::from(origin.sender);
                self.logs.extend([*log, own]);
                self.sent.insert(sent_key(own, origin));
                self.add_contacts_of(origin.sender, members);
            }
            Command::AddMembers { log, origin, users } | Command::AddSlice { log, origin, users, .. } => {
                self.add_sent_by_member(*log, origin);
                if let Command::AddSlice { slice: Slice::Part { of }, .. } = command {
                    self.sent.insert(sent_key(*log, &Origin { client_msg_id: *of, ..*origin }));
                }
                self.members.extend(users.iter().map(|user| (*log, *user)));
                self.add_contacts_of(origin.sender, users);
            }
            Command::RemoveMembers { log, origin, users } | Command::RemoveSlice { log, origin, users, .. } => {
                self.add_sent_by_member(*log, origin);
                if let Command::RemoveSlice { slice: Slice::Part { of }, .. } = command {
                    self.sent.insert(sent_key(*log, &Origin { client_msg_id: *of, ..*origin }));
                }
                self.ruling.insert((*log, origin.sender));
                self.members.extend(users.iter().map(|user| (*log, *user)));
                self.logs.extend(users.iter().copied().map(LogId::from));
            }
            Command::Group { log, origin, act } => {
                self.add_sent_by_member(*log, origin);
                self.ruling.insert((*log, origin.sender));
                self.members.extend(act.user().map(|user| (*log, user)));
                if matches!(act, GroupAct::Invite { .. } | GroupAct::Revoke { .. }) {
                    self.inviting.insert(*log);
                }
                if matches!(act, GroupAct::SetRole { role: Role::Owner, .. }) {
                    self.crowned.insert(*log);
                }
            }
            Command::Join { origin, by } => {
                let own = LogId::from(origin.sender);
                self.logs.insert(own);
                match by {
                    JoinBy::Invite(code) => {
                        self.sent.insert(sent_key(own, origin));
                        self.codes.insert((*code, origin.sender));
                    }
                    JoinBy::Oneself(log) => self.add_sent_by_member(*log, origin),
                }
            }
            Command::LeaveGroup { log, origin } => {
                self.add_sent_by_member(*log, origin);
                self.leaving.insert((*log, origin.sender));
                self.logs.insert(origin.sender.into());
            }
        }
    }

    fn add_member(&mut self, log: LogId, user: UserId) {
        self.logs.insert(log);
        self.members.insert((log, user));
    }

    fn add_sent_by_member(&mut self, log: LogId, origin: &Origin) {
        self.add_member(log, origin.sender);
        self.sent.insert(sent_key(log, origin));
    }

    fn add_contact(&mut self, origin: &Origin, other: UserId, conversation: Option<LogId>) {
        let one = origin.sender;
        self.sent.insert(sent_key(one.into(), origin));
        self.contacts.extend([(one, other), (other, one)]);
        self.blocks.extend([(one, other), (other, one)]);
        self.pairs.insert(pair(one, other));
        self.logs.extend([LogId::from(one), other.into()]);
        self.logs.extend(conversation);
        self.people.extend([one, other]);
    }

    /// For telling contacts, in their own logs, of a group.
    fn add_contacts_of(&mut self, user: UserId, others: &[UserId]) {
        self.contacts.extend(others.iter().map(|other| (user, *other)));
        self.logs.extend(others.iter().copied().map(LogId::from));
    }
}
