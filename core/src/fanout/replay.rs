//! Replay: sends an edge what it lacks, from the store. One task for each attachment looks where
//! logs end, many at once, and replays those that have more, a few at a time.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use gogochat_proto::{ids::UserId, node::core_item::Item};
use gogochat_storage::{
    log_throttle::LogThrottle,
    store::{ChatStore, Event, Range, StoreError, SubscriptionChange},
};

use super::{
    Fanout,
    attachment::Attachment,
    items,
    replay_queue::{InterestId, Next},
};
use crate::log::{self, Hearing};

/// Sends the attachment's edge what it lacks, until the attachment ends.
pub(crate) async fn run(fanout: Arc<Fanout>, store: Arc<dyn ChatStore>, attachment: Arc<Attachment>) {
    let work = async {
        let (mut replays, mut checks) = (FuturesUnordered::new(), FuturesUnordered::new());
        loop {
            let (replay_room, check_room) = (replays.len() < AT_ONCE, checks.is_empty());
            tokio::select! {
                next = attachment.replays.next(replay_room, check_room), if replay_room || check_room => match next {
                    Next::Replay(interest) => replays.push(replay(&fanout, &*store, &attachment, interest)),
                    Next::Check(interests) => checks.push(check(&fanout, &*store, interests)),
                },
                Some(()) = replays.next() => attachment.replays.done(),
                Some(()) = checks.next() => attachment.replays.done(),
            }
        }
    };
    attachment.ended.run_until_cancelled(work).await;
}

/// Looks where logs end: those that have more than the edge was sent are to be replayed.
async fn check(fanout: &Fanout, store: &dyn ChatStore, interests: Vec<InterestId>) {
    let interests = fanout.interests.check(&interests);
    let logs: Vec<_> = interests.iter().map(|interest| interest.log).collect();
    loop {
        match store.last_seqs(&logs).await {
            Ok(ends) => {
                // What this core has committed and is about to send is not missing.
                fanout.progress.fence().await;
                let ends: HashMap<_, _> = ends.into_iter().collect();
                for interest in interests {
                    fanout.interests.checked(interest, ends.get(&interest.log).copied().unwrap_or(0));
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
async fn replay(fanout: &Fanout, store: &dyn ChatStore, attachment: &Attachment, interest: InterestId) {
    while let Some(from) = fanout.interests.replay_from(interest) {
        match page(fanout, store, attachment, interest, from).await {
            Ok(Page::End(end)) if fanout.interests.replayed(interest, end) => return,
            Ok(_) if attachment.ended.is_cancelled() => return,
            // A later event is known than the store has: a replica has taken over that lacks the
            // last commits.
            Ok(Page::End(end)) if end == from => tokio::time::sleep(RETRY).await,
            Ok(Page::End(_) | Page::More | Page::Unwanted) => {}
            Err(error) => {
                if let Some(times) = WAITS.due() {
                    tracing::warn!(log = %interest.log, %error, times, "a replay waits for the store");
                }
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// What became of a page.
enum Page {
    /// It was sent, up to this seq, and the store had no more.
    End(i64),
    /// It was sent, and the store may have more.
    More,
    /// The edge has asked anew meanwhile, or is gone.
    Unwanted,
}

static WAITS: LogThrottle = LogThrottle::each_second();

/// Sends what comes after `from`, as long as it is wanted.
async fn page(
    fanout: &Fanout,
    store: &dyn ChatStore,
    attachment: &Attachment,
    interest: InterestId,
    from: i64,
) -> Result<Page, StoreError> {
    let events = store.events(interest.log, Range::After(from), PAGE, PAGE_BYTES).await?;
    let bytes: usize = events.iter().map(|event| event.payload.len()).sum();
    let is_end = events.len() < PAGE as usize && bytes < PAGE_BYTES / 2;
    let to = events.last().map_or(from, |event| event.seq);
    // What was committed before these events and ends a subscription has to reach the edge before them.
    fanout.progress.fence().await;
    for event in events {
        let change = change(store, &event).await?;
        let item = Item::Fanout(items::fanout(&event, log::frame(&event), change));
        if attachment.queue.room().await.is_err() || !fanout.interests.replay(interest, event.seq, item) {
            return Ok(Page::Unwanted);
        }
        fanout.metrics.replayed.increment(1);
    }
    Ok(if is_end { Page::End(to) } else { Page::More })
}

/// What an event of an own log says, now that it is read late. A user who is not in the conversation any
/// more does not begin to hear it.
async fn change(store: &dyn ChatStore, event: &Event) -> Result<Option<SubscriptionChange>, StoreError> {
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
