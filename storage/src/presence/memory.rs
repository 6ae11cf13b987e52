//! Presence in this process's memory.

use std::collections::HashMap;

use async_trait::async_trait;
use gogochat_proto::ids::UserId;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{Presence, PresenceError, SessionKey, Status};

/// Presence in this process's memory.
#[derive(Debug, Default)]
pub struct MemoryPresence {
    users: Mutex<Users>,
    /// What is lost is lost with the process.
    emptied: watch::Sender<u64>,
}

#[async_trait]
impl Presence for MemoryPresence {
    async fn arrive(
        &self,
        sessions: &[(UserId, SessionKey)],
        now: i64,
        ttl_ms: i64,
    ) -> Result<Vec<bool>, PresenceError> {
        let mut users = self.users.lock();
        Ok(sessions.iter().map(|(user, session)| users.arrive(*user, *session, now, ttl_ms)).collect())
    }

    async fn leave(&self, sessions: &[(UserId, SessionKey)], now: i64) -> Result<Vec<bool>, PresenceError> {
        let mut users = self.users.lock();
        Ok(sessions.iter().map(|(user, session)| users.leave(*user, *session, now)).collect())
    }

    async fn get(&self, asked: &[UserId], now: i64) -> Result<Vec<Status>, PresenceError> {
        let users = self.users.lock();
        let status = |user| {
            users.entries.get(user).map_or_else(Status::default, |entry| Status {
                online: entry.sessions.values().any(|until| *until > now),
                last_seen_ms: entry.last_seen,
            })
        };
        Ok(asked.iter().map(status).collect())
    }

    /// It is where the process is.
    async fn check(&self) -> Result<(), PresenceError> {
        Ok(())
    }

    fn emptied(&self) -> watch::Receiver<u64> {
        self.emptied.subscribe()
    }
}

#[derive(Debug, Default)]
struct Users {
    entries: HashMap<UserId, Entry>,
    /// At how many entries those of users who are offline were last forgotten.
    swept_at: usize,
}

#[derive(Debug, Default)]
struct Entry {
    /// Until when each session counts.
    sessions: HashMap<SessionKey, i64>,
    last_seen: i64,
}

impl Users {
    fn arrive(&mut self, user: UserId, session: SessionKey, now: i64, ttl_ms: i64) -> bool {
        self.make_room(now);
        let entry = self.entries.entry(user).or_default();
        let was_offline = !entry.live(now);
        entry.sessions.insert(session, now.saturating_add(ttl_ms));
        entry.last_seen = entry.last_seen.max(now);
        was_offline
    }

    fn leave(&mut self, user: UserId, session: SessionKey, now: i64) -> bool {
        let Some(entry) = self.entries.get_mut(&user) else { return false };
        let known = entry.live(now) && entry.sessions.remove(&session).is_some();
        if known {
            entry.last_seen = entry.last_seen.max(now);
        }
        known && entry.sessions.is_empty()
    }

    /// Forgets users who are offline where there are very many: they are offline all the same, only no
    /// longer seen at some time.
    fn make_room(&mut self, now: i64) {
        if self.entries.len() >= MAX_USERS.max(2 * self.swept_at) {
            self.entries.retain(|_, entry| entry.live(now));
            self.swept_at = self.entries.len();
        }
    }
}

impl Entry {
    /// Whether a session counts still; forgets those that do not.
    fn live(&mut self, now: i64) -> bool {
        self.sessions.retain(|_, until| *until > now);
        !self.sessions.is_empty()
    }
}

/// Users known before those who are offline are forgotten.
const MAX_USERS: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn forgets_the_offline_when_there_are_very_many() {
        let presence = MemoryPresence::default();
        let stays = UserId::new_v7();
        presence.online(stays, (1, 1), 0, 1_000).await.unwrap();
        for n in 1..MAX_USERS {
            let user = UserId::from(uuid::Uuid::from_u128(n as u128));
            presence.online(user, (1, 1), 0, 10).await.unwrap();
        }
        assert_eq!(presence.users.lock().entries.len(), MAX_USERS);
        presence.online(UserId::new_v7(), (1, 1), 100, 1_000).await.unwrap();
        assert_eq!(presence.users.lock().entries.len(), 2);
        assert!(presence.get(&[stays], 100).await.unwrap()[0].online);
    }
}
