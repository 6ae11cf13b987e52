//! Random commands over few users, logs and names, so that they meet.

use gogochat_proto::ids::{ClientMsgId, LogId, UserId};
use gogochat_storage::store::{Command, GroupAct, GroupChange, Origin, Posting, Role};
use proptest::{prelude::*, sample::Index};
use uuid::Uuid;

use super::{LOGS, NAMES, NOW, USERS, device, log, user};
use crate::contract::store::message;

/// Batches of commands: first a few that make contacts and groups, so that the others find some.
pub(super) fn batches() -> impl Strategy<Value = Vec<Vec<Command>>> {
    let repeat = proptest::option::weighted(0.15, any::<Index>());
    let batch = proptest::collection::vec((command(), repeat), 1..25);
    proptest::collection::vec(batch, 1..12).prop_map(|drawn| {
        let mut before = beginning();
        let mut batches = vec![before.clone()];
        for batch in drawn {
            // Some are sent again, in the same batch or in a later one.
            let batch = batch.into_iter().map(|(command, repeat)| {
                let command = repeat.map_or(command, |repeat| repeat.get(&before).clone());
                before.push(command.clone());
                command
            });
            batches.push(batch.collect());
        }
        batches
    })
}

fn beginning() -> Vec<Command> {
    let mut commands = Vec::new();
    for (n, (one, other)) in [(0, 1), (0, 2), (1, 2), (3, 0)].into_iter().enumerate() {
        let (from, to, conversation) = (user(one), user(other), log(n));
        let origin = |user, kind| unnamed(user, 0xB000 + 2 * n as u128 + kind);
        commands.push(Command::RequestContact { origin: origin(from, 0), to, note: String::new(), conversation });
        commands.push(Command::AcceptContact { origin: origin(to, 1), from, conversation });
    }
    for (n, members) in [(4, vec![user(1), user(2), user(3)]), (5, vec![user(2)])] {
        let client_msg_id = ClientMsgId::from(Uuid::from_u128(0xE000 + n as u128));
        let origin = Origin { sender: user(0), device: device(0), client_msg_id, request_hash: [2; 32], now: NOW };
        commands.push(Command::CreateGroup { log: log(n), origin, title: "t".into(), members });
    }
    commands
}

fn command() -> impl Strategy<Value = Command> {
    let note = || "hi".to_string();
    let some_users = || proptest::collection::vec(0..USERS, 0..4).prop_map(|all| all.into_iter().map(user).collect());
    prop_oneof![
        10 => (any_log(), origin(0), "[a-z]{0,3}").prop_map(|(log, origin, text)| {
            Command::Append { log, origin, payload: message(&text) }
        }),
        6 => (any_log(), 0..USERS, 0_i64..6, 0_i64..6).prop_map(|(log, who, delivered, read)| {
            Command::Mark { log, user: user(who), delivered, read }
        }),
        4 => (any_unnamed(), 0..USERS, 0..LOGS).prop_map(move |(origin, to, conversation)| Command::RequestContact {
            origin, to: user(to), note: note(), conversation: log(conversation)
        }),
        4 => (any_unnamed(), 0..USERS, 0..LOGS).prop_map(|(origin, from, conversation)| Command::AcceptContact {
            origin, from: user(from), conversation: log(conversation)
        }),
        2 => (any_unnamed(), 0..USERS).prop_map(|(origin, peer)| {
            Command::RemoveContact { origin, peer: user(peer) }
        }),
        2 => (any_unnamed(), 0..USERS).prop_map(|(origin, peer)| Command::Block { origin, peer: user(peer) }),
        2 => (any_unnamed(), 0..USERS).prop_map(|(origin, peer)| Command::Unblock { origin, peer: user(peer) }),
        2 => (0..LOGS, origin(1), some_users()).prop_map(|(n, origin, members)| {
            Command::CreateGroup { log: log(n), origin, title: "t".into(), members }
        }),
        3 => (any_log(), origin(2), some_users()).prop_map(|(log, origin, users)| {
            Command::AddMembers { log, origin, users }
        }),
        2 => (any_log(), origin(3)).prop_map(|(log, origin)| Command::LeaveGroup { log, origin }),
        2 => (any_log(), origin(4), some_users()).prop_map(|(log, origin, users): (_, _, Vec<_>)| {
            Command::RemoveMembers { log, origin, users }
        }),
        5 => (any_log(), origin(5), act()).prop_map(|(log, origin, act)| Command::Group { log, origin, act }),
    ]
}

fn act() -> impl Strategy<Value = GroupAct> {
    let change = |posting| GroupChange { title: Some("u".into()), posting: Some(posting), ..Default::default() };
    let roles = proptest::sample::select(vec![Role::Member, Role::Admin, Role::Admin, Role::Owner]);
    prop_oneof![
        6 => (0..USERS, roles).prop_map(|(who, role)| GroupAct::SetRole { user: user(who), role }),
        3 => (0..USERS, 0..2_i64).prop_map(|(who, on)| GroupAct::Mute { user: user(who), until_ms: on * (NOW + 1) }),
        1 => Just(GroupAct::Change(change(Posting::Members))),
        1 => Just(GroupAct::Change(change(Posting::Admins))),
        1 => Just(GroupAct::Dismiss),
    ]
}

/// A conversation mostly, one of the first groups often, some user's own log rarely.
fn any_log() -> impl Strategy<Value = LogId> {
    prop_oneof![12 => (0..LOGS).prop_map(log), 12 => (4..6_usize).prop_map(log), 1 => (0..USERS).prop_map(|n| user(n).into())]
}

/// Of a command under a name of the server's: no two have the same.
fn any_unnamed() -> impl Strategy<Value = Origin> {
    (0..USERS, any::<u128>()).prop_map(|(who, name)| unnamed(user(who), name))
}

fn unnamed(sender: UserId, name: u128) -> Origin {
    let client_msg_id = ClientMsgId::from(Uuid::from_u128(name));
    Origin { sender, device: device(0), client_msg_id, request_hash: [8; 32], now: NOW }
}

/// The request's hash differs between kinds of commands, as it does where it is one.
fn origin(kind: u8) -> impl Strategy<Value = Origin> {
    (0..USERS, 0..2_usize, 0..NAMES, proptest::bool::weighted(0.1)).prop_map(move |(who, which, name, other)| Origin {
        sender: user(who),
        device: device(which),
        client_msg_id: ClientMsgId::from(Uuid::from_u128(0xF000 + name as u128)),
        request_hash: [2 * kind + u8::from(other); 32],
        now: NOW,
    })
}
