//! Follows the sign-outs that the store has noted. The transaction that deletes a device notes its
//! sign-out. So every core learns of it within seconds, even if the core that signed the device out
//! was lost, or never had the store's answer.

use std::{sync::Arc, time::Duration};

use gogochat_storage::{
    log_throttle::LogThrottle,
    store::{Devices, StoreError},
};

use super::sign_out::SignOuts;

/// Follows the sign-outs that the store notes.
pub(crate) struct Follower {
    store: Arc<dyn Devices>,
    sign_outs: Arc<SignOuts>,
    /// The number of the last one that was seen.
    seen: i64,
}

impl Follower {
    /// From here on. To be called before any session opens: whoever was signed out before opens none.
    ///
    /// # Errors
    /// The store does not answer.
    pub(crate) async fn begin(store: Arc<dyn Devices>, sign_outs: Arc<SignOuts>) -> Result<Self, StoreError> {
        let seen = store.last_sign_out().await?;
        Ok(Self { store, sign_outs, seen })
    }

    /// Looks again and again. What cannot be read now is found later, as the notes stay for longer
    /// than sessions.
    pub(crate) async fn run(mut self) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            if let Err(error) = self.look().await
                && let Some(times) = FAILED.due()
            {
                tracing::warn!(%error, times, "who was signed out cannot be read: sessions may go on until it can");
            }
        }
    }

    async fn look(&mut self) -> Result<(), StoreError> {
        loop {
            let found = self.store.sign_outs(self.seen, PAGE).await?;
            for sign_out in &found {
                self.sign_outs.found(sign_out.user, sign_out.device);
                self.seen = sign_out.number;
            }
            if found.len() < PAGE as usize {
                return Ok(());
            }
        }
    }
}

static FAILED: LogThrottle = LogThrottle::each_second();
/// How long a session may outlive its device where nothing is sent. Where nothing is new, the look is a
/// search in an index that ends at once.
const LOOK_EVERY: Duration = Duration::from_secs(2);
const PAGE: u32 = 1_000;
