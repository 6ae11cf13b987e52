//! What a core is told first on a new stream: the sessions and the logs of this edge. It is sent
//! piece by piece as the stream takes it, so it needs no queue however much there is.

use std::sync::Arc;

use gogochat_proto::ids::LogId;

use super::{Hub, session_open};
use crate::upstream::{self, CoreStream, interest};

/// The sessions of a core and the logs that somebody here is subscribed to. Until it is sent it is
/// kept as 8 bytes a session and 16 a log.
pub(crate) struct Announcement {
    hub: Arc<Hub>,
    core: Arc<CoreStream>,
    sessions: Vec<u64>,
    logs: Vec<LogId>,
}

impl Announcement {
    /// As it is now. What changes from here on is sent by itself. Sessions without a home find it at
    /// this core.
    pub(super) fn begin(hub: Arc<Hub>, core: Arc<CoreStream>) -> Self {
        let mut sessions = hub.registry.ids();
        sessions.retain(|id| {
            let Some(peer) = hub.registry.peer(*id) else { return false };
            let mut session = peer.session.lock();
            if session.home().is_none() && !session_open::requests(&peer, &session).is_empty() {
                session.set_home(&core);
            }
            session.is_home(&core)
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
                // Held while it is sent, so that the session's end is sent after it.
                let session = peer.session.lock();
                if session.is_home(core) {
                    for request in session_open::requests(&peer, &session) {
                        core.send(request);
                    }
                }
            }
            return true;
        }
        let Some(log) = logs.pop() else { return false };
        hub.registry.announce(log, |have| _ = core.send(interest(log, have, false)));
        true
    }
}
