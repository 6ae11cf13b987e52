//! What an edge misses, from the store: one task for each attachment, which looks where logs end, many at once, and replays those that have more, a
//! few at a time.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use gogochat_proto::{ids::UserId, node::core_item::Item};
use gogochat_storage::store::{Event, Range, Store, StoreError, SubscriptionChange};

use super::{Attachment, Hub, Wanted, fanout, owed::Next};
use crate::{
    log::{self, Hearing},
    seldom::Seldom,
};

/// Sends the attachment's edge what it is owed, until the attachment ends.
pub(crate) async fn replay(hub: Arc<Hub>, store: Arc<dyn Store>, attachment: Arc<Attachment>) {
    let work = async {
        let (mut replays, mut checks) = (FuturesUnordered::new(), FuturesUnordered::new());
        loop {
            let room = (replays.len() < AT_ONCE, checks.is_empty());
            tokio::select! {
                next = attachment.owed.next(room.0, room.1), if room.0 || room.1 => match next {
                    Next::Replay(wanted) => replays.push(one(&hub, &*store, &attachment, wanted)),
                    Next::Check(wanted) => checks.push(check(&hub, &*store, wanted)),
                },
                Some(()) = replays.next() => attachment.owed.done(),
                Some(()) = checks.next() => attachment.owed.done(),
            }
        }
    };
    attachment.ended.run_until_cancelled(work).await;
}

/// Looks where logs end: those that have more than the edge was sent are to be replayed.
async fn check(hub: &Hub, store: &dyn Store, wanted: Vec<Wanted>) {
    let wanted = hub.check(&wanted);
    let logs: Vec<_> = wanted.iter().map(|wanted| wanted.log).collect();
    loop {
        match store.last_seqs(&logs).await {
            Ok(ends) => {
                // What this core has committed and is about to tell is not missing.
                hub.progress.fence().await;
                let ends: HashMap<_, _> = ends.into_iter().collect();
                for wanted in wanted {
                    hub.checked(wanted, ends.get(&wanted.log).copied().unwrap_or(0));
                }
                return;
            }
            Err(error) => {
                if let Some(times) = WAITS.due() {
                    tracing::warn!(logs = logs.len(), %error, times, "a check of logs waits for the store");
                }
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// One log, until the edge is up to date with it.
async fn one(hub: &Hub, store: &dyn Store, attachment: &Attachment, wanted: Wanted) {
    while let Some(from) = hub.replay_from(wanted) {
        match page(hub, store, attachment, wanted, from).await {
            Ok(Some(end)) if hub.replayed(wanted, end) => return,
            Ok(_) if attachment.ended.is_cancelled() => return,
            // More was told of than the store has: a replica has taken over that lacks the last commits.
            Ok(Some(end)) if end == from => tokio::time::sleep(RETRY).await,
            Ok(_) => {}
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

/// Sends what comes after `from`, as long as it is wanted. The last, if the store had no more.
async fn page(
    hub: &Hub,
    store: &dyn Store,
    attachment: &Attachment,
    wanted: Wanted,
    from: i64,
) -> Result<Option<i64>, StoreError> {
    let events = store.events(wanted.log, Range::After(from), PAGE, PAGE_BYTES).await?;
    let bytes: usize = events.iter().map(|event| event.payload.len()).sum();
    let is_end = events.len() < PAGE as usize && bytes < PAGE_BYTES / 2;
    let to = events.last().map_or(from, |event| event.seq);
    // What was committed before these events and ends a subscription has to reach the edge before them.
    hub.progress.fence().await;
    for event in events {
        let change = change(store, &event).await?;
        let item = Item::Fanout(fanout(&event, log::frame(&event), change));
        if attachment.outbox.room().await.is_err() || !hub.replay(wanted, event.seq, item) {
            return Ok(None);
        }
    }
    Ok(is_end.then_some(to))
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
