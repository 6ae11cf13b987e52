//! Replaying what an edge misses, from the store: one task for each attachment, a few logs at a time.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use gogochat_proto::{ids::UserId, node::core_item::Item};
use gogochat_storage::store::{Event, Range, Store, StoreError, SubscriptionChange};

use super::{Attachment, Hub, Wanted, fanout};
use crate::{
    log::{self, Hearing},
    seldom::Seldom,
};

/// Replays what the attachment's edge asks for, until the attachment ends.
pub(crate) async fn replay(hub: Arc<Hub>, store: Arc<dyn Store>, attachment: Arc<Attachment>) {
    let work = async {
        let mut running = FuturesUnordered::new();
        loop {
            tokio::select! {
                wanted = attachment.next_replay(), if running.len() < AT_ONCE => {
                    running.push(one(&hub, &*store, &attachment, wanted));
                }
                Some(()) = running.next() => {}
            }
        }
    };
    attachment.ended.run_until_cancelled(work).await;
}

/// One log, until the edge is up to date with it.
async fn one(hub: &Hub, store: &dyn Store, attachment: &Attachment, wanted: Wanted) {
    while let Some(from) = hub.replay_from(wanted) {
        match page(hub, store, attachment, wanted, from).await {
            Ok(Some((to, end))) => {
                if hub.replayed(wanted, from, to, end) {
                    return;
                }
            }
            // The attachment has ended.
            Ok(None) => return,
            Err(error) => {
                if let Some(times) = WAITS.due() {
                    tracing::warn!(log = %wanted.log, %error, times, "a replay waits for the store");
                }
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

static WAITS: Seldom = Seldom::new();

/// Sends what comes after `from`: up to where, and whether that was the end.
async fn page(
    hub: &Hub,
    store: &dyn Store,
    attachment: &Attachment,
    wanted: Wanted,
    from: i64,
) -> Result<Option<(i64, bool)>, StoreError> {
    let events = store.events(wanted.log, Range::After(from), PAGE, PAGE_BYTES).await?;
    let bytes: usize = events.iter().map(|event| event.payload.len()).sum();
    let end = events.len() < PAGE as usize && bytes < PAGE_BYTES / 2;
    // What was committed before these events and ends a subscription has to reach the edge before them.
    hub.progress.fence().await;
    if hub.replay_from(wanted) != Some(from) {
        // The edge has asked anew, for more.
        return Ok(Some((from, false)));
    }
    let mut to = from;
    for event in events {
        let change = change(store, &event).await?;
        if attachment.outbox.room().await.is_err() {
            return Ok(None);
        }
        attachment.push(Item::Fanout(fanout(&event, log::frame(&event), change)));
        hub.metrics.replayed.increment(1);
        to = event.seq;
    }
    Ok(Some((to, end)))
}

/// What an event of an own log says, now that it is read late: who is not in the conversation any more does not begin to hear it.
async fn change(store: &dyn Store, event: &Event) -> Result<Option<SubscriptionChange>, StoreError> {
    match log::hearing(event) {
        None => Ok(None),
        Some(Hearing::Ends(log)) => Ok(Some(SubscriptionChange::Unsubscribe { log })),
        Some(Hearing::Begins(log, from_seq)) => {
            let user = UserId::from(event.log.uuid());
            if store.member(log, user).await?.is_none() {
                return Ok(None);
            }
            // A client that hears of it late reads what is older from history.
            let end = store.last_seq(log).await?.unwrap_or(0);
            Ok(Some(SubscriptionChange::Subscribe { log, from_seq: (from_seq - 1).max(end - i64::from(PAGE)) }))
        }
    }
}

const AT_ONCE: usize = 8;
const PAGE: u32 = 256;
const PAGE_BYTES: usize = 256 * 1024;
const RETRY: Duration = Duration::from_millis(250);
