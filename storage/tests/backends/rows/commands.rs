//! Each command, and how many statements it takes.

use gogochat_proto::ids::{ClientMsgId, LogId};
use gogochat_storage::store::{
    Command, GroupAct, GroupChange, JoinBy, Joining, Logs as _, Origin, Role, Slice, SqlStore,
};

use super::{
    fill::{FRIENDS, device, direct, group, large, long, user},
    meter::Meter,
};
use crate::contract::store::{NOW, message};

fn origin(sender: usize) -> Origin {
    let client_msg_id = ClientMsgId::new_v7();
    Origin { sender: user(sender), device: device(sender), client_msg_id, request_hash: [1; 32], now: NOW }
}

/// As it stands in the enum.
fn name(command: &Command) -> String {
    format!("{command:?}").split(' ').next().unwrap_or_default().to_owned()
}

pub(super) async fn all(store: &SqlStore, meter: &mut Meter) {
    let payload = || message("hello");
    let append = |log: LogId, sender| Command::Append { log, origin: origin(sender), payload: payload() };
    let made = LogId::new_v7();
    let slice = |users: Vec<usize>, slice| {
        let users = users.into_iter().map(user).collect();
        Command::AddSlice { log: made, origin: origin(0), users, slice }
    };
    let remove = |users: Vec<usize>, slice| {
        let users = users.into_iter().map(user).collect();
        Command::RemoveSlice { log: made, origin: origin(0), users, slice }
    };
    let act = |act| Command::Group { log: made, origin: origin(0), act };
    let commands = vec![
        append(direct(1), 0),
        append(long(), 0),
        append(large(), 0),
        Command::Mark { log: direct(1), user: user(1), delivered: 2, read: 2 },
        Command::Mark { log: large(), user: user(2_000), delivered: 1, read: 1 },
        Command::RequestContact {
            origin: origin(0),
            to: user(9_000),
            note: "hi".into(),
            conversation: LogId::new_v7(),
        },
        Command::AcceptContact { origin: origin(9_000), from: user(0), conversation: LogId::new_v7() },
        Command::RemoveContact { origin: origin(0), peer: user(FRIENDS) },
        Command::CreateGroup {
            log: made,
            origin: origin(0),
            title: "New".into(),
            members: (1..100).map(user).collect(),
        },
        Command::AddMembers { log: made, origin: origin(0), users: (100..150).map(user).collect() },
        slice((150..160).collect(), Slice::Part { of: ClientMsgId::new_v7() }),
        slice((160..170).collect(), Slice::Last { done: 10 }),
        Command::RemoveMembers { log: made, origin: origin(0), users: (1..20).map(user).collect() },
        remove((20..30).collect(), Slice::Part { of: ClientMsgId::new_v7() }),
        remove((30..40).collect(), Slice::Last { done: 10 }),
        act(GroupAct::Change(GroupChange {
            notice: Some("Tea at five".into()),
            joining: Some(Joining::Open),
            ..GroupChange::default()
        })),
        act(GroupAct::SetRole { user: user(50), role: Role::Admin }),
        act(GroupAct::Mute { user: user(51), until_ms: NOW + 1 }),
        Command::LeaveGroup { log: group(1), origin: origin(1) },
        // Another of very many is the owner then.
        Command::LeaveGroup { log: large(), origin: origin(0) },
        Command::Join { origin: origin(500), by: JoinBy::Oneself(made) },
        Command::Block { origin: origin(0), peer: user(FRIENDS - 1) },
        Command::Unblock { origin: origin(0), peer: user(FRIENDS - 1) },
        act(GroupAct::Dismiss),
    ];
    for command in commands {
        let (name, rows) = (name(&command), command.rows());
        meter.call(&format!("foresee {name}"), store.foresee(&command), |_| rows).await;
        meter.call("foresee_here", store.foresee_here(&command), |_| rows).await;
        meter.call("contended", store.contended(std::slice::from_ref(&command)), |_| rows).await;
        let committed =
            meter.call_with(&name, Some(STATEMENTS), 0, store.commit(vec![command.clone()]), |_| rows).await;
        assert!(committed[0].is_ok(), "{command:?}: {committed:?}");
        // Its repeat, which is looked up among all that was ever sent.
        if !matches!(command, Command::Mark { .. }) {
            let name = format!("{name} again");
            let again = meter.call_with(&name, Some(STATEMENTS), 0, store.commit(vec![command]), |_| rows).await;
            assert!(again[0].is_ok(), "{name}: {again:?}");
        }
    }
    let batch: Vec<_> = (0..256).map(|n| append(direct(1 + n % (FRIENDS - 1)), 0)).collect();
    meter.call_with("commit a batch", Some(STATEMENTS), 0, store.commit(batch), |_| 256 * 8).await;
}

/// A transaction's two, one a table to load and to write, and those that cut a large one in parts.
const STATEMENTS: u64 = 32;
