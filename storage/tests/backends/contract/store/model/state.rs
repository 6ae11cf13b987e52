//! What the model remembers, and its comparison with what a store gives.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use gogochat_proto::ids::{ClientMsgId, DeviceId, LogId, UserId};
use gogochat_storage::store::{ContactState, Done, Hash, Refusal, Role, Store};

use super::{LOGS, NOW, USERS, all, log, rules::kind, user};
use crate::contract::store::{body, list};

/// Everything there is, in the plainest form.
#[derive(Debug, Default)]
pub(super) struct Model {
    /// Each log's entries, in order.
    pub(super) logs: BTreeMap<LogId, Vec<Entry>>,
    pub(super) groups: BTreeSet<LogId>,
    pub(super) dismissed: BTreeSet<LogId>,
    /// Groups in which admins alone write.
    pub(super) quiet: BTreeSet<LogId>,
    /// By the two users, the lower id first.
    pub(super) directs: BTreeMap<(UserId, UserId), LogId>,
    pub(super) members: BTreeMap<(LogId, UserId), Member>,
    /// Who blocks whom.
    pub(super) blocks: BTreeSet<(UserId, UserId)>,
    pub(super) contacts: BTreeMap<(UserId, UserId), ContactState>,
    pub(super) sent: BTreeMap<(LogId, UserId, DeviceId, ClientMsgId), (Hash, Done)>,
    /// To contact commands, whose names are the server's.
    pub(super) answers: BTreeMap<ClientMsgId, Result<Done, Refusal>>,
}

#[derive(Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) kind: &'static str,
    pub(super) sender: UserId,
    pub(super) name: Option<(DeviceId, ClientMsgId)>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Member {
    pub(super) from_seq: i64,
    pub(super) delivered: i64,
    pub(super) read: i64,
    pub(super) role: Role,
    pub(super) muted: bool,
}

impl Model {
    pub(super) fn last_seq(&self, log: LogId) -> i64 {
        self.logs.get(&log).map_or(0, |entries| entries.len() as i64)
    }

    pub(super) fn members_of(&self, log: LogId) -> Vec<(UserId, Member)> {
        self.members.iter().filter(|(key, _)| key.0 == log).map(|(key, member)| (key.1, *member)).collect()
    }

    pub(super) fn are_contacts(&self, one: UserId, other: UserId) -> bool {
        self.contacts.get(&(one, other)) == Some(&ContactState::Accepted)
    }

    /// Everything that the store gives is what the model has.
    pub(super) async fn compare(&self, store: &Arc<dyn Store>) {
        for log in (0..LOGS).map(log).chain((0..USERS).map(|n| user(n).into())) {
            let events = all(store, log).await;
            let seqs: Vec<_> = events.iter().map(|event| event.seq).collect();
            assert_eq!(seqs, (1..=self.last_seq(log)).collect::<Vec<_>>(), "gaps");
            let entries: Vec<_> = events
                .iter()
                .map(|event| Entry {
                    kind: kind(&body(event)),
                    sender: event.sender,
                    name: event.device.zip(event.client_msg_id),
                })
                .collect();
            assert_eq!(&entries, self.logs.get(&log).unwrap_or(&Vec::new()));
            let members = store.members(log, None, 1_000).await.unwrap();
            assert_eq!(members.len(), self.members_of(log).len());
        }
        for one in (0..USERS).map(user) {
            self.compare_contacts(store, one).await;
            self.compare_conversations(store, one).await;
        }
    }

    async fn compare_contacts(&self, store: &Arc<dyn Store>, one: UserId) {
        let found = store.contacts(one, None, 1_000).await.unwrap();
        let found: Vec<_> =
            found.iter().map(|contact| (contact.peer.id, contact.state, contact.conversation)).collect();
        let expected: Vec<_> = self
            .contacts
            .iter()
            .filter(|(key, _)| key.0 == one)
            .map(|((_, peer), state)| {
                let conversation = self.directs.get(&(one.min(*peer), one.max(*peer)));
                (*peer, *state, conversation.filter(|_| *state == ContactState::Accepted).copied())
            })
            .collect();
        assert_eq!(found, expected);
    }

    async fn compare_conversations(&self, store: &Arc<dyn Store>, one: UserId) {
        let found = list(&**store, one).await;
        let mine: BTreeSet<_> = self.members.keys().filter(|key| key.1 == one).map(|key| key.0).collect();
        assert_eq!(found.iter().map(|seen| seen.log).collect::<BTreeSet<_>>(), mine);
        let subscribed = store.memberships(one).await.unwrap();
        assert_eq!(subscribed.iter().map(|membership| membership.log).collect::<BTreeSet<_>>(), mine);

        for seen in found {
            let member = self.members[&(seen.log, one)];
            let others: Vec<_> = self.members_of(seen.log).into_iter().filter(|(user, _)| *user != one).collect();
            let entries = &self.logs[&seen.log];
            let unread = entries
                .iter()
                .zip(1..)
                .filter(|(entry, seq)| *seq > member.read && entry.kind == "message" && entry.sender != one);
            assert_eq!(seen.last_seq, self.last_seq(seen.log));
            assert_eq!((seen.from_seq, seen.delivered, seen.read), (member.from_seq, member.delivered, member.read));
            assert!(seen.read <= seen.delivered && seen.delivered <= seen.last_seq);
            assert_eq!(seen.unread as usize, unread.count());
            assert_eq!(seen.member_count as usize, others.len() + 1);
            let lowest = |mark: fn(&Member) -> i64| others.iter().map(|(_, member)| mark(member)).min().unwrap_or(0);
            assert_eq!(seen.others_delivered, lowest(|member| member.delivered));
            assert_eq!(seen.others_read, lowest(|member| member.read));
            assert_eq!(seen.last_event.unwrap().seq, seen.last_seq);
            assert_eq!(seen.title.is_some(), self.groups.contains(&seen.log));
            if let Some(peer) = &seen.peer {
                assert_eq!(seen.writable, self.are_contacts(one, peer.id));
                assert_eq!(self.directs[&(one.min(peer.id), one.max(peer.id))], seen.log);
            } else {
                assert!(self.groups.contains(&seen.log));
                assert_eq!(seen.writable, !self.dismissed.contains(&seen.log));
                assert_eq!((seen.role, seen.muted_ms > NOW), (member.role, member.muted));
                let owners = self.members_of(seen.log).into_iter().filter(|(_, other)| other.role == Role::Owner);
                assert_eq!(owners.count(), 1);
            }
        }
    }
}
