//! What each command does to the model.

use std::cmp::Reverse;

use gogochat_proto::{
    ids::{LogId, UserId},
    v1::event::Body,
};
use gogochat_storage::store::{
    Command, ContactState, Done, GroupAct, Origin, Posting, Refusal, Role, SubscriptionChange,
};

use super::{
    NOW,
    state::{Entry, Member, Model},
};

/// What the command is answered with, which events it adds (log, seq, kind, subscription), which mark moves.
pub(super) type Expected = Result<(Done, Vec<Added>, Option<(LogId, UserId, i64, i64)>), Refusal>;

type Added = (LogId, i64, &'static str, Option<SubscriptionChange>);

impl Model {
    pub(super) fn apply(&mut self, command: &Command) -> Expected {
        match command {
            Command::Append { log, origin, .. } => self.once(*log, origin, |model| {
                let member = model.member(*log, origin.sender)?;
                if model.dismissed.contains(log) {
                    return Err(Refusal::Dismissed);
                }
                if member.muted {
                    return Err(Refusal::Muted { until_ms: NOW + 1 });
                }
                if model.quiet.contains(log) && member.role == Role::Member {
                    return Err(Refusal::Muted { until_ms: 0 });
                }
                let pair = model.directs.iter().find(|(_, direct)| *direct == log).map(|(pair, _)| *pair);
                if let Some((one, other)) = pair
                    && !model.are_contacts(one, other)
                {
                    return Err(Refusal::NotAContact(if one == origin.sender { other } else { one }));
                }
                let added = model.add(*log, "message", origin.sender, Some(origin), None);
                if let Some(member) = model.members.get_mut(&(*log, origin.sender)) {
                    (member.delivered, member.read) = (added.1, added.1);
                }
                Ok((Done::Appended { seq: added.1, time_ms: NOW, duplicate: false }, vec![added], None))
            }),
            Command::Mark { log, user, delivered, read } => self.mark(*log, *user, *delivered, *read),
            Command::RequestContact { origin, to, conversation, .. } => {
                self.answered(origin, |model| model.request(origin.sender, *to, *conversation))
            }
            Command::AcceptContact { origin, from, conversation } => self.answered(origin, |model| {
                let user = origin.sender;
                match model.contacts.get(&(user, *from)) {
                    Some(ContactState::Incoming) => model.befriend(user, *from, *conversation),
                    Some(ContactState::Accepted) => {
                        let conversation = model.directs[&(user.min(*from), user.max(*from))];
                        Ok((Done::Accepted { conversation }, vec![], None))
                    }
                    _ => Err(Refusal::NotFound),
                }
            }),
            Command::RemoveContact { origin, peer } => self.answered(origin, |model| {
                let user = origin.sender;
                model.contacts.get(&(user, *peer)).ok_or(Refusal::NotFound)?;
                Ok((Done::Nothing, model.part(user, *peer), None))
            }),
            Command::Block { origin, peer } => self.answered(origin, |model| {
                let user = origin.sender;
                let mut added = Vec::new();
                if model.blocks.insert((user, *peer)) {
                    added = model.part(user, *peer);
                    added.push(model.add(user.into(), "blocked", user, None, None));
                }
                Ok((Done::Nothing, added, None))
            }),
            Command::Unblock { origin, peer } => self.answered(origin, |model| {
                let user = origin.sender;
                let was = model.blocks.remove(&(user, *peer));
                let added = was.then(|| model.add(user.into(), "unblocked", user, None, None));
                Ok((Done::Nothing, added.into_iter().collect(), None))
            }),
            Command::CreateGroup { log, origin, members, .. } => {
                self.once(origin.sender.into(), origin, |model| model.create(*log, origin, members))
            }
            Command::AddMembers { log, origin, users } => {
                self.once(*log, origin, |model| model.bring_in(*log, origin, users))
            }
            // `joining` has its tests.
            Command::Join { .. } => panic!("no part of the model"),
            // A slice is what a core makes of an AddMembers: `groups` has its tests.
            Command::AddSlice { .. } | Command::RemoveSlice { .. } => panic!("no part of the model"),
            Command::RemoveMembers { log, origin, users } => {
                self.once(*log, origin, |model| model.remove(*log, origin, users))
            }
            Command::Group { log, origin, act } => self.once(*log, origin, |model| {
                let added = model.govern(*log, origin.sender, act)?;
                let added = added.map(|kind| model.add(*log, kind, origin.sender, Some(origin), None));
                Ok((Done::Nothing, added.into_iter().collect(), None))
            }),
            Command::LeaveGroup { log, origin } => self.once(*log, origin, |model| {
                model.group_member(*log, origin.sender)?;
                let left = model.members.remove(&(*log, origin.sender)).unwrap();
                let mut added = vec![model.add(*log, "left", origin.sender, Some(origin), None)];
                added.push(model.gone(*log, origin.sender, origin.sender));
                // All have joined at the same time.
                let heir = model.members_of(*log).into_iter().max_by_key(|(user, one)| (one.role, Reverse(*user)));
                if left.role == Role::Owner
                    && let Some((heir, _)) = heir
                {
                    model.members.get_mut(&(*log, heir)).unwrap().role = Role::Owner;
                    added.push(model.add(*log, "role", origin.sender, None, None));
                }
                Ok((Done::Nothing, added, None))
            }),
        }
    }

    /// Carries it out unless it was carried out before under its name.
    fn once(&mut self, log: LogId, origin: &Origin, command: impl FnOnce(&mut Self) -> Expected) -> Expected {
        let key = (log, origin.sender, origin.device, origin.client_msg_id);
        if let Some((hash, done)) = self.sent.get(&key) {
            if *hash != origin.request_hash {
                return Err(Refusal::ClientMsgIdReused);
            }
            return self.repeat(log, done.clone());
        }
        let expected = command(self)?;
        self.sent.insert(key, (origin.request_hash, expected.0.clone()));
        Ok(expected)
    }

    /// Carries it out unless it was given before: then its answer is the first one's, be that a refusal. (But for one that a conversation's id was in the way of.)
    fn answered(&mut self, origin: &Origin, command: impl FnOnce(&mut Self) -> Expected) -> Expected {
        if let Some(first) = self.answers.get(&origin.client_msg_id) {
            return first.clone().map(|done| (done, vec![], None));
        }
        let expected = command(self);
        if expected != Err(Refusal::ClientMsgIdReused) {
            let answer = expected.as_ref().map(|expected| expected.0.clone()).map_err(|refusal| *refusal);
            self.answers.insert(origin.client_msg_id, answer);
        }
        expected
    }

    fn repeat(&self, log: LogId, first: Done) -> Expected {
        let done = match first {
            Done::Appended { seq, time_ms, .. } => Done::Appended { seq, time_ms, duplicate: true },
            Done::Removed { removed, .. } => Done::Removed { removed, member_count: self.members_of(log).len() },
            Done::Added { added, .. } => Done::Added { added, member_count: self.members_of(log).len() },
            other => other,
        };
        Ok((done, vec![], None))
    }

    fn add(
        &mut self,
        log: LogId,
        kind: &'static str,
        sender: UserId,
        origin: Option<&Origin>,
        change: Option<SubscriptionChange>,
    ) -> Added {
        let name = origin.map(|origin| (origin.device, origin.client_msg_id));
        let entries = self.logs.entry(log).or_default();
        entries.push(Entry { kind, sender, name });
        (log, entries.len() as i64, kind, change)
    }

    fn join(&mut self, log: LogId, user: UserId, from_seq: i64, sender: UserId) -> Added {
        let (delivered, read) = (from_seq - 1, from_seq - 1);
        self.members.insert((log, user), Member { from_seq, delivered, read, role: Role::Member, muted: false });
        let change = Some(SubscriptionChange::Subscribe { log, from_seq: from_seq - 1 });
        self.add(user.into(), "joined", sender, None, change)
    }

    fn member(&self, log: LogId, user: UserId) -> Result<Member, Refusal> {
        self.members.get(&(log, user)).copied().ok_or(Refusal::NotAMember)
    }

    fn group_member(&self, log: LogId, user: UserId) -> Result<(), Refusal> {
        self.member(log, user)?;
        if self.groups.contains(&log) { Ok(()) } else { Err(Refusal::NotAGroup) }
    }

    fn mark(&mut self, log: LogId, user: UserId, delivered: i64, read: i64) -> Expected {
        let before = self.member(log, user)?;
        if delivered > self.last_seq(log) || read > self.last_seq(log) {
            return Err(Refusal::SeqFromFuture);
        }
        let read = read.max(before.read);
        let delivered = delivered.max(before.delivered).max(read);
        self.members.insert((log, user), Member { delivered, read, ..before });
        let moved = (delivered, read) != (before.delivered, before.read);
        Ok((Done::Marked { delivered, read }, vec![], moved.then_some((log, user, delivered, read))))
    }

    fn part(&mut self, user: UserId, peer: UserId) -> Vec<Added> {
        let mut added = Vec::new();
        let sides = if user == peer { vec![(user, peer)] } else { vec![(user, peer), (peer, user)] };
        for (one, other) in sides {
            if self.contacts.remove(&(one, other)).is_some() {
                added.push(self.add(one.into(), "removed", user, None, None));
            }
        }
        added
    }

    fn request(&mut self, from: UserId, to: UserId, conversation: LogId) -> Expected {
        if self.blocks.contains(&(from, to)) {
            return Err(Refusal::Blocked);
        }
        let kept = !self.blocks.contains(&(to, from));
        let (mine, theirs) = (self.contacts.get(&(from, to)).copied(), self.contacts.get(&(to, from)).copied());
        match (mine, theirs) {
            (Some(ContactState::Accepted), _) => return Err(Refusal::AlreadyContact),
            (Some(ContactState::Incoming), _) => return self.befriend(from, to, conversation),
            (Some(ContactState::Requested), None) if kept => {}
            (Some(ContactState::Requested), _) => return Ok((Done::Requested, vec![], None)),
            (None, Some(ContactState::Requested)) if kept => return self.befriend(from, to, conversation),
            (None, _) if from == to => return Err(Refusal::NotFound),
            (None, _) => {}
        }
        let mut added = Vec::new();
        if mine.is_none() {
            self.contacts.insert((from, to), ContactState::Requested);
            added.push(self.add(from.into(), "requested", from, None, None));
        }
        if kept {
            self.contacts.insert((to, from), ContactState::Incoming);
            added.push(self.add(to.into(), "requested", from, None, None));
        }
        Ok((Done::Requested, added, None))
    }

    fn befriend(&mut self, user: UserId, peer: UserId, new: LogId) -> Expected {
        let pair = (user.min(peer), user.max(peer));
        let had = self.directs.get(&pair).copied();
        if had.is_none() && self.logs.contains_key(&new) {
            return Err(Refusal::ClientMsgIdReused);
        }
        let conversation = had.unwrap_or(new);
        self.directs.insert(pair, conversation);
        let mut added = Vec::new();
        if had.is_none() {
            added.push(self.add(conversation, "created", user, None, None));
        }
        for (one, other) in [(user, peer), (peer, user)] {
            self.contacts.insert((one, other), ContactState::Accepted);
            added.push(self.add(one.into(), "accepted", user, None, None));
            if had.is_none() {
                added.push(self.join(conversation, one, 1, user));
            }
        }
        Ok((Done::Accepted { conversation }, added, None))
    }

    fn create(&mut self, log: LogId, origin: &Origin, members: &[UserId]) -> Expected {
        if self.logs.contains_key(&log) {
            return Err(Refusal::ClientMsgIdReused);
        }
        let mut all = vec![origin.sender];
        for user in members {
            if !all.contains(user) {
                self.need_contact(origin.sender, *user)?;
                all.push(*user);
            }
        }
        self.groups.insert(log);
        let founder = origin.sender;
        let mut added = vec![self.add(log, "created", origin.sender, Some(origin), None)];
        for user in all {
            added.push(self.join(log, user, 1, origin.sender));
        }
        self.members.get_mut(&(log, founder)).unwrap().role = Role::Owner;
        Ok((Done::Created { conversation: log }, added, None))
    }

    fn bring_in(&mut self, log: LogId, origin: &Origin, users: &[UserId]) -> Expected {
        self.group_member(log, origin.sender)?;
        if self.dismissed.contains(&log) {
            return Err(Refusal::Dismissed);
        }
        let mut new = Vec::new();
        for user in users {
            if !new.contains(user) && self.member(log, *user).is_err() {
                self.need_contact(origin.sender, *user)?;
                new.push(*user);
            }
        }
        let mut added = Vec::new();
        if !new.is_empty() {
            added.push(self.add(log, "added", origin.sender, Some(origin), None));
        }
        let from_seq = self.last_seq(log);
        for user in &new {
            added.push(self.join(log, *user, from_seq, origin.sender));
        }
        Ok((Done::Added { added: new.len(), member_count: self.members_of(log).len() }, added, None))
    }

    fn gone(&mut self, log: LogId, user: UserId, by: UserId) -> Added {
        let change = Some(SubscriptionChange::Unsubscribe { log });
        self.add(user.into(), "own left", by, None, change)
    }

    fn ruler(&self, log: LogId, user: UserId) -> Result<Role, Refusal> {
        self.group_member(log, user)?;
        if self.dismissed.contains(&log) {
            return Err(Refusal::Dismissed);
        }
        let role = self.member(log, user)?.role;
        if role == Role::Member { Err(Refusal::NotPermitted) } else { Ok(role) }
    }

    fn remove(&mut self, log: LogId, origin: &Origin, users: &[UserId]) -> Expected {
        let role = self.ruler(log, origin.sender)?;
        let mut gone = Vec::new();
        for user in users {
            if let Ok(member) = self.member(log, *user)
                && !gone.contains(user)
            {
                if member.role >= role {
                    return Err(Refusal::NotPermitted);
                }
                gone.push(*user);
            }
        }
        let mut added = Vec::new();
        if !gone.is_empty() {
            added.push(self.add(log, "members removed", origin.sender, Some(origin), None));
        }
        for user in &gone {
            self.members.remove(&(log, *user));
            added.push(self.gone(log, *user, origin.sender));
        }
        Ok((Done::Removed { removed: gone.len(), member_count: self.members_of(log).len() }, added, None))
    }

    /// What it adds to the log, if anything.
    fn govern(&mut self, log: LogId, sender: UserId, act: &GroupAct) -> Result<Option<&'static str>, Refusal> {
        if *act == GroupAct::Dismiss {
            self.group_member(log, sender)?;
            if self.member(log, sender)?.role != Role::Owner {
                return Err(Refusal::NotPermitted);
            }
            return Ok(self.dismissed.insert(log).then_some("dismissed"));
        }
        let role = self.ruler(log, sender)?;
        match act {
            GroupAct::Change(change) => {
                match change.posting {
                    Some(Posting::Admins) => drop(self.quiet.insert(log)),
                    _ => drop(self.quiet.remove(&log)),
                }
                Ok(Some("changed"))
            }
            GroupAct::SetRole { user, role: given } => {
                if role != Role::Owner {
                    return Err(Refusal::NotPermitted);
                }
                let before = self.member(log, *user).map_err(|_| Refusal::NotFound)?.role;
                if before == *given {
                    return Ok(None);
                }
                if *user == sender {
                    return Err(Refusal::NotPermitted);
                }
                if *given == Role::Owner {
                    self.members.get_mut(&(log, sender)).unwrap().role = Role::Admin;
                }
                self.members.get_mut(&(log, *user)).unwrap().role = *given;
                Ok(Some("role"))
            }
            GroupAct::Mute { user, until_ms } => {
                let member = self.members.get_mut(&(log, *user)).ok_or(Refusal::NotFound)?;
                if member.role >= role {
                    return Err(Refusal::NotPermitted);
                }
                let before = std::mem::replace(&mut member.muted, *until_ms > NOW);
                Ok((before || member.muted).then_some("muted"))
            }
            GroupAct::Invite { .. } | GroupAct::Revoke { .. } | GroupAct::Dismiss => unreachable!(),
        }
    }

    fn need_contact(&self, user: UserId, other: UserId) -> Result<(), Refusal> {
        if self.are_contacts(user, other) { Ok(()) } else { Err(Refusal::NotAContact(other)) }
    }
}

/// An event's kind as the model names it.
pub(super) fn kind(body: &Body) -> &'static str {
    match body {
        Body::Message(_) => "message",
        Body::ConversationCreated(_) => "created",
        Body::MembersAdded(_) => "added",
        Body::MemberLeft(_) => "left",
        Body::MembersRemoved(_) => "members removed",
        Body::GroupChanged(_) => "changed",
        Body::RoleChanged(_) => "role",
        Body::MemberMuted(_) => "muted",
        Body::GroupDismissed(_) => "dismissed",
        Body::MemberJoined(_) => "member joined",
        Body::ContactRequested(_) => "requested",
        Body::ContactAccepted(_) => "accepted",
        Body::ContactRemoved(_) => "removed",
        Body::PersonBlocked(_) => "blocked",
        Body::PersonUnblocked(_) => "unblocked",
        Body::ConversationJoined(_) => "joined",
        Body::ConversationLeft(_) => "own left",
    }
}
