//! What concerns every session or every log, told to cores in slices as their streams take it: however many there are, they take up no queue.

use std::sync::Arc;

use gogochat_proto::ids::LogId;
use tokio_util::sync::CancellationToken;

use crate::{
    connection::Hub,
    fanout::opens,
    upstream::{self, CoreStream, Home, interest},
};

/// What a core has to know first on a new stream: its sessions, and what all sessions here hear. Until it is told it is kept as 8 bytes a session and 16 a log.
pub(crate) struct Announcement {
    hub: Arc<Hub>,
    core: Arc<CoreStream>,
    sessions: Vec<u64>,
    logs: Vec<LogId>,
}

impl Announcement {
    /// As it is now: what changes from here on is told by itself. Sessions without a home find it at this core.
    pub(crate) fn begin(hub: Arc<Hub>, core: Arc<CoreStream>) -> Self {
        let mut sessions = hub.registry.ids();
        sessions.retain(|id| {
            let Some(peer) = hub.registry.peer(*id) else { return false };
            let mut home = peer.home.lock();
            if home.is_none() && !opens(&peer).is_empty() {
                *home = Some(Home::at(&core));
            }
            home.as_ref().is_some_and(|home| home.core().id == core.id)
        });
        let logs = hub.registry.logs();
        Self { hub, core, sessions, logs }
    }

}

impl upstream::Announcement for Announcement {
    fn send_next(&mut self) -> bool {
        let Self { hub, core, sessions, logs } = self;
        if let Some(id) = sessions.pop() {
            if let Some(peer) = hub.registry.peer(id) {
                // Held while it is told, so that its end is told after it.
                let home = peer.home.lock();
                if home.as_ref().is_some_and(|home| home.core().id == core.id) {
                    for open in opens(&peer) {
                        core.tell(open);
                    }
                }
            }
            return true;
        }
        let Some(log) = logs.pop() else { return false };
        hub.registry.announce(log, |have| _ = core.tell(interest(log, have, false)));
        true
    }
}

/// Has cores look into the store for all logs, each time that the hub wants it; what is wanted meanwhile begins when that has ended.
pub(crate) async fn look(hub: Arc<Hub>, stop: CancellationToken) {
    let looking = async {
        loop {
            hub.look.notified().await;
            for log in hub.registry.logs() {
                if !hub.upstreams.room(log).await {
                    // Whoever attaches next is told of all logs.
                    break;
                }
                hub.registry.announce(log, |have| hub.upstreams.ask(log, have, true));
            }
        }
    };
    stop.run_until_cancelled(looking).await;
}
