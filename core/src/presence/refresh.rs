//! Keeps the sessions that are open at this core from lapsing.
//!
//! All are told to the directory again once in a third of their time to live, some hundred in a
//! round trip, evenly spread. When the directory has not taken them, or has lost what it had, all
//! are told again without a pause.

use std::{sync::Arc, time::Duration};

use gogochat_proto::ids::UserId;
use gogochat_storage::presence::{SessionKey, Status};
use tokio::time::{Instant, sleep, sleep_until};

use super::Presence;
use crate::clock::now_ms;

impl Presence {
    /// Does so. Ends with its future.
    pub(super) async fn keep_fresh(self: &Arc<Self>) {
        let mut emptied = self.directory.emptied();
        let mut hurry = false;
        loop {
            let (began, round) = (Instant::now(), self.ttl / 3);
            emptied.mark_unchanged();
            let open: Vec<(UserId, SessionKey)> =
                self.open.lock().iter().map(|(session, (user, _))| (*user, *session)).collect();
            let parts = u32::try_from(open.len().div_ceil(PART)).unwrap_or(u32::MAX);
            let mut told = true;
            for (nth, part) in (0..).zip(open.chunks(PART)) {
                if !hurry {
                    tokio::select! {
                        () = sleep_until(began + round / parts * nth) => {}
                        Ok(()) = emptied.changed() => {
                            told = false;
                            break;
                        }
                    }
                }
                if let Err(error) = self.refresh(part).await {
                    tracing::debug!(%error, "presence was not refreshed");
                    sleep(AGAIN).await;
                    told = false;
                    break;
                }
            }
            if !told {
                hurry = true;
                continue;
            }
            hurry = false;
            self.metrics.presence_refresh.record(began.elapsed());
            tokio::select! {
                () = sleep_until(began + round) => {}
                Ok(()) = emptied.changed() => hurry = true,
            }
        }
    }

    /// Tells of these once more, if they are open still.
    async fn refresh(
        &self,
        sessions: &[(UserId, SessionKey)],
    ) -> Result<(), gogochat_storage::presence::PresenceError> {
        let open: Vec<_> = {
            let open = self.open.lock();
            sessions.iter().filter(|(_, session)| open.contains_key(session)).copied().collect()
        };
        if open.is_empty() {
            return Ok(());
        }
        let now = now_ms();
        let were_offline = self.directory.arrive(&open, now, self.ttl_ms()).await?;
        for ((user, _), was_offline) in open.iter().zip(were_offline) {
            let untold = self.untold.lock().remove(user);
            if let Some(directs) = untold.filter(|_| was_offline) {
                self.tell(*user, &directs, Status { online: true, last_seen_ms: now }).await;
            }
        }
        Ok(())
    }
}

/// Sessions in one round trip.
const PART: usize = 512;
/// How soon it is tried again after a failure.
const AGAIN: Duration = Duration::from_secs(1);
