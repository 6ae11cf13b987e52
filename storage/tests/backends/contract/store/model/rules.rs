//! What each command does to the model.

use gogochat_proto::{
    ids::{LogId, UserId},
    v1::event::Body,
};
use gogochat_storage::store::{Command, ContactState, Done, Origin, Refusal, SubscriptionChange};

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
                model.member(*log, origin.sender)?;
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
                model.contacts.remove(&(user, *peer)).ok_or(Refusal::NotFound)?;
                model.contacts.remove(&(*peer, user));
                let added = [user, *peer].map(|owner| model.add(owner.into(), "removed", user, None, None));
                Ok((Done::Nothing, added.to_vec(), None))
            }),
            Command::CreateGroup { log, origin, members, .. } => {
                self.once(origin.sender.into(), origin, |model| model.create(*log, origin, members))
            }
            Command::AddMembers { log, origin, users } => {
                self.once(*log, origin, |model| model.bring_in(*log, origin, users))
            }
            // A slice is what a core makes of an AddMembers: `groups` has its tests.
            Command::AddSlice { .. } => panic!("no part of the model"),
            Command::LeaveGroup { log, origin } => self.once(*log, origin, |model| {
                model.group_member(*log, origin.sender)?;
                model.members.remove(&(*log, origin.sender));
                let left = model.add(*log, "left", origin.sender, Some(origin), None);
                let change = Some(SubscriptionChange::Unsubscribe { log: *log });
                let own = model.add(origin.sender.into(), "own left", origin.sender, None, change);
                Ok((Done::Nothing, vec![left, own], None))
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
        self.members.insert((log, user), Member { from_seq, delivered: from_seq - 1, read: from_seq - 1 });
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

    fn request(&mut self, from: UserId, to: UserId, conversation: LogId) -> Expected {
        match self.contacts.get(&(from, to)) {
            Some(ContactState::Accepted) => Err(Refusal::AlreadyContact),
            Some(ContactState::Incoming) => self.befriend(from, to, conversation),
            Some(ContactState::Requested) => Ok((Done::Requested, vec![], None)),
            None if from == to => Err(Refusal::NotFound),
            None => {
                self.contacts.insert((from, to), ContactState::Requested);
                self.contacts.insert((to, from), ContactState::Incoming);
                let added = [from, to].map(|owner| self.add(owner.into(), "requested", from, None, None));
                Ok((Done::Requested, added.to_vec(), None))
            }
        }
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
        let mut added = vec![self.add(log, "created", origin.sender, Some(origin), None)];
        for user in all {
            added.push(self.join(log, user, 1, origin.sender));
        }
        Ok((Done::Created { conversation: log }, added, None))
    }

    fn bring_in(&mut self, log: LogId, origin: &Origin, users: &[UserId]) -> Expected {
        self.group_member(log, origin.sender)?;
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
        Body::ContactRequested(_) => "requested",
        Body::ContactAccepted(_) => "accepted",
        Body::ContactRemoved(_) => "removed",
        Body::ConversationJoined(_) => "joined",
        Body::ConversationLeft(_) => "own left",
    }
}
