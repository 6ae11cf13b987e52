//! Typing on its way to the others. What is said in a conversation that takes no messages, because two are
//! no contacts any more or a group was dismissed, goes no further.
//!
//! Cores keep nothing about conversations, so the store is asked: about all that waits, in one statement.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use gogochat_proto::{
    ids::{LogId, UserId},
    node::EphemeralKind,
    v1::server_frame::Frame,
};
use gogochat_storage::store::{Conversations, Store};
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::fanout::Fanout;

/// Where typing waits. When it is full, typing is dropped: it is said again soon.
pub(super) struct Typing(mpsc::Sender<Said>);

/// A user types in a conversation, or has stopped.
struct Said {
    log: LogId,
    user: UserId,
    frame: Frame,
}

impl Typing {
    /// Starts the task, which ends with `stop`.
    pub(super) fn start(
        tasks: &TaskTracker,
        stop: &CancellationToken,
        store: Arc<dyn Store>,
        fanout: Arc<Fanout>,
    ) -> Self {
        let (sender, waiting) = mpsc::channel(WAITING);
        let stop = stop.clone();
        tasks.spawn(async move {
            stop.run_until_cancelled(pass_on(store, fanout, waiting)).await;
        });
        Self(sender)
    }

    /// Passes it on, if there is room.
    pub(super) fn say(&self, log: LogId, user: UserId, frame: Frame) {
        let _ = self.0.try_send(Said { log, user, frame });
    }
}

async fn pass_on(store: Arc<dyn Store>, fanout: Arc<Fanout>, mut waiting: mpsc::Receiver<Said>) {
    let mut said = Vec::with_capacity(AT_ONCE);
    while waiting.recv_many(&mut said, AT_ONCE).await > 0 {
        let logs: BTreeSet<LogId> = said.iter().map(|one| one.log).filter(|log| fanout.is_heard(*log)).collect();
        let logs: Vec<_> = logs.into_iter().collect();
        let Ok(closed) = Conversations::closed(&*store, &logs).await else {
            said.clear();
            continue;
        };
        let closed: HashSet<LogId> = closed.into_iter().collect();
        for Said { log, user, frame } in said.drain(..).filter(|one| !closed.contains(&one.log)) {
            fanout.ephemeral(log, user, true, EphemeralKind::Typing, frame);
        }
    }
}

const WAITING: usize = 4_096;
const AT_ONCE: usize = 256;
