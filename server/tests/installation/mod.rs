//! A store with something of everything, and what is seen of it.

#![allow(dead_code, reason = "each test program uses a part")]

use std::path::Path;

use gogochat_proto::ids::{ClientMsgId, DeviceId, LogId, UserId};
use gogochat_storage::store::{
    ALL, Command, Contacts, Conversations, Devices, Done, Event, Logs, NewDevice, Origin, Range, Refusal, Rotation,
    SqlStore, Store, Tokens, User, Users, sqlite,
};

/// What was there before.
pub(crate) struct Installation {
    pub(crate) users: [UserId; 2],
    device: DeviceId,
    /// Conversations of the two, by id.
    pub(crate) logs: Vec<LogId>,
    last: Command,
    refused: Command,
    pub(crate) events: usize,
    /// Those of the first conversation.
    pub(crate) events_of_first: usize,
}

impl Installation {
    pub(crate) async fn fill(path: &Path) -> Self {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let store = sqlite::open(path).await.unwrap();
        let users = [UserId::new_v7(), UserId::new_v7()];
        let devices = [DeviceId::new_v7(), DeviceId::new_v7()];
        for (n, id) in users.into_iter().enumerate() {
            let name = format!("user{n}");
            // Names in any script, with what only a byte-wise comparison keeps apart.
            let display_name = format!("Ünïcode 🦆 {n} ");
            let user = User::new(id, name, display_name, "hash".into(), 1);
            let device = NewDevice {
                id: devices[n],
                user: id,
                name: "Phone".into(),
                tokens: tokens(n as u8),
                created_ms: 2,
                address: String::new(),
            };
            assert!(store.create_user(user, device).await.unwrap());
        }
        // A token that was exchanged, so that its copy is known.
        let rotated = store.rotate_tokens(&[0; 32], tokens(10), 5, 1).await.unwrap();
        assert!(matches!(rotated, Rotation::Rotated(_)), "{rotated:?}");
        let [from, to] = users;
        let conversation = LogId::new_v7();
        // A device that was signed out, so that cores know where they are.
        let gone = NewDevice {
            id: DeviceId::new_v7(),
            user: to,
            name: "Old".into(),
            tokens: tokens(20),
            created_ms: 3,
            address: String::new(),
        };
        assert!(store.create_device(gone.clone(), "hash").await.unwrap());
        assert!(store.revoke_device(to, gone.id, 4).await.unwrap());
        let origin_of = |n: usize, now| {
            let client_msg_id = ClientMsgId::new_v7();
            Origin { sender: users[n], device: devices[n], client_msg_id, request_hash: [9; 32], now }
        };
        let origin = |now| origin_of(0, now);
        store
            .commit(vec![
                Command::RequestContact { origin: origin(3), to, note: "hi".into(), conversation },
                Command::AcceptContact { origin: origin_of(1, 4), from, conversation },
            ])
            .await
            .unwrap();
        let mut logs = vec![conversation];
        for n in 1..LOGS {
            let log = LogId::new_v7();
            logs.push(log);
            let group = Command::CreateGroup { log, origin: origin(5), title: format!("Group {n}"), members: vec![to] };
            store.commit(vec![group]).await.unwrap().remove(0).unwrap();
        }
        logs.sort();
        let mut last = None;
        for n in 0..messages() / BATCH {
            let batch: Vec<_> = (0..BATCH)
                .map(|m| {
                    let payload = format!("message {n} {m}").into_bytes().into();
                    Command::Append { log: logs[m % LOGS], origin: origin(10 + n as i64), payload }
                })
                .collect();
            last = batch.last().cloned();
            assert!(store.commit(batch).await.unwrap().iter().all(Result::is_ok));
        }
        let refused = Command::RequestContact { origin: origin(6), to, note: String::new(), conversation };
        assert_eq!(store.commit(vec![refused.clone()]).await.unwrap(), [Err(Refusal::AlreadyContact)]);
        let mark = Command::Mark { log: logs[3], user: to, delivered: 20, read: 10 };
        store.commit(vec![mark]).await.unwrap().remove(0).unwrap();
        let mut events = 0;
        for log in logs.iter().copied().chain(users.map(LogId::from)) {
            events += all(&store, log).await.len();
        }
        let events_of_first = all(&store, logs[0]).await.len();
        store.close().await;
        Self { users, device: devices[0], logs, last: last.unwrap(), refused, events, events_of_first }
    }

    /// The next message that one of the two sends in a conversation.
    pub(crate) fn message(&self, log: LogId, text: String) -> Command {
        let Command::Append { origin, .. } = named_anew(&self.last) else { panic!("no append") };
        Command::Append { log, origin, payload: text.into_bytes().into() }
    }

    /// Every log, and what each user sees, is the same in both.
    pub(crate) async fn compare(&self, source: &SqlStore, target: &SqlStore) {
        for log in self.logs.iter().copied().chain(self.users.map(LogId::from)) {
            assert_eq!(all(source, log).await, all(target, log).await, "{log}");
        }
        for user in self.users {
            let [seen, kept] = [target, source].map(|store| async move {
                let walked = store.walk(user, ALL, None, 1_000).await.unwrap().conversations;
                let conversations: Vec<_> = walked.into_iter().map(|(found, _)| found).collect();
                let contacts = store.contacts(user, None, 10).await.unwrap();
                let devices = store.devices(user).await.unwrap();
                (conversations, contacts, devices, store.users(&[user]).await.unwrap())
            });
            assert_eq!(seen.await, kept.await);
        }
    }

    /// Tokens, cursors and the names of what was sent hold.
    pub(crate) async fn go_on(&self, target: &SqlStore) {
        let device = target.device_by_access(&tokens(10).access).await.unwrap().unwrap();
        assert_eq!(device.id, self.device);
        let repeated = target.commit(vec![self.last.clone()]).await.unwrap().remove(0).unwrap();
        assert!(matches!(repeated.done, Done::Appended { duplicate: true, .. }), "{repeated:?}");
        let Command::Append { log, origin, .. } = self.last else { panic!("no append") };
        let cursor = target.last_seq(log).await.unwrap().unwrap();
        let next = named_anew(&self.last);
        target.commit(vec![next]).await.unwrap().remove(0).unwrap();
        let new = target.events(log, Range::After(cursor), 10, usize::MAX).await.unwrap();
        assert_eq!(new.iter().map(|event| event.seq).collect::<Vec<_>>(), [cursor + 1]);
        // What was refused stays so, though it has become possible; sign-outs are counted on.
        let origin = Origin { client_msg_id: ClientMsgId::new_v7(), ..origin };
        let remove = Command::RemoveContact { origin, peer: self.users[1] };
        let outcomes = target.commit(vec![remove, self.refused.clone()]).await.unwrap();
        assert!(outcomes[0].is_ok() && outcomes[1] == Err(Refusal::AlreadyContact), "{outcomes:?}");
        assert_eq!(target.last_sign_out().await.unwrap(), 1);
        // A copy of the spent token is seen as one.
        let reused = target.rotate_tokens(&tokens(0).refresh, tokens(11), 1_000, 1).await.unwrap();
        assert!(matches!(reused, Rotation::Reused { .. }), "{reused:?}");
        assert_eq!(target.last_sign_out().await.unwrap(), 2);
    }
}

/// A message like another, as one that was not sent yet.
pub(crate) fn named_anew(message: &Command) -> Command {
    let Command::Append { log, origin, payload } = message.clone() else { panic!("no append") };
    Command::Append { log, origin: Origin { client_msg_id: ClientMsgId::new_v7(), ..origin }, payload }
}

fn tokens(n: u8) -> Tokens {
    Tokens { access: [n; 32], access_expires_ms: 1 << 50, refresh: [n; 32], refresh_expires_ms: 1 << 50 }
}

pub(crate) async fn all(store: &SqlStore, log: LogId) -> Vec<Event> {
    store.events(log, Range::After(0), 1_000_000, usize::MAX).await.unwrap()
}

/// `GOGOCHAT_MOVE_MESSAGES=1000000` for a long run.
fn messages() -> usize {
    std::env::var("GOGOCHAT_MOVE_MESSAGES").map_or(20_000, |messages| messages.parse().unwrap())
}

/// Conversations.
pub(crate) const LOGS: usize = 25;
const BATCH: usize = 500;
