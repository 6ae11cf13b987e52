//! Users, their sessions and conversations: what has to stand before a scenario begins.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use gogochat_client::{Account, CallError, Client, Dialer, Options, Rest, RestError, Target, Update};
use gogochat_proto::{
    error::ErrorCode,
    ids::{ClientMsgId, LogId},
    limits::MAX_MEMBERS_PER_CALL,
    v1::{self, event::Body},
};
use parking_lot::Mutex;
use prost::Message;

use crate::{
    progress,
    tally::{Ack, Receipt, Run, Seen},
};

/// Registers users with names of this run.
pub(crate) async fn register(
    dialer: &Dialer,
    target: &Target,
    run: &Run,
    count: usize,
) -> anyhow::Result<Vec<Arc<Account>>> {
    let rest = Arc::new(Rest::new(dialer.clone(), target.clone()));
    let bar = progress::bar("registering", count as u64);
    let accounts = stream::iter(0..count)
        .map(|n| {
            let (rest, name, bar) = (Arc::clone(&rest), format!("lt-{}-{n}", run.name()), bar.clone());
            async move {
                let account = loop {
                    match Account::register(Arc::clone(&rest), &name, PASSWORD, "gogochat-loadtest").await {
                        Err(RestError::Refused(error)) if error.retryable() => {
                            tokio::time::sleep(Duration::from_millis(error.retry_after_ms.unsigned_abs())).await;
                        }
                        other => break other,
                    }
                };
                bar.inc(1);
                account.map(Arc::new).with_context(|| format!("registering {name}"))
            }
        })
        // The server hashes as many passwords at a time as it has cores.
        .buffered(8)
        .try_collect()
        .await;
    bar.finish_and_clear();
    accounts
}

/// Users with a client each, and what each was handed.
pub(crate) struct Crew {
    pub(crate) run: Run,
    pub(crate) accounts: Vec<Arc<Account>>,
    pub(crate) clients: Vec<Client>,
    pub(crate) seen: Vec<Arc<Mutex<Seen>>>,
    pub(crate) counts: Arc<Counts>,
}

/// Totals over all users, for waiting.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Messages acknowledged.
    pub(crate) acked: AtomicU64,
    /// Messages refused for good.
    pub(crate) refused: AtomicU64,
    /// Messages handed to members other than the sender.
    pub(crate) received: AtomicU64,
    /// Everything that clients were told.
    pub(crate) told: AtomicU64,
}

impl Crew {
    /// Starts a client for each account, as `options` says for each, and waits until all are on line.
    pub(crate) async fn start(
        dialer: &Dialer,
        run: Run,
        accounts: Vec<Arc<Account>>,
        options: impl Fn(usize) -> anyhow::Result<Options>,
    ) -> anyhow::Result<Self> {
        let counts = Arc::new(Counts::default());
        let mut crew = Self { run, accounts, clients: Vec::new(), seen: Vec::new(), counts };
        let bar = progress::bar("connecting", crew.accounts.len() as u64);
        for (user, account) in crew.accounts.iter().enumerate() {
            let seen = Arc::new(Mutex::new(Seen::default()));
            let (sink, run, counts) = (Arc::clone(&seen), crew.run.clone(), Arc::clone(&crew.counts));
            let me = account.user().id.clone();
            let client = Client::start_with(dialer, Arc::clone(account), options(user)?, move |update| {
                note(&run, &me, &counts, &mut sink.lock(), update);
            });
            crew.clients.push(client);
            crew.seen.push(seen);
            // Some at a time: a driver is no connect storm.
            if let Some(earlier) = user.checked_sub(CONNECTING).and_then(|earlier| crew.clients.get(earlier)) {
                online(earlier).await?;
            }
            bar.inc(1);
        }
        for client in &crew.clients {
            online(client).await?;
        }
        bar.finish_and_clear();
        Ok(crew)
    }

    /// Makes contacts of each pair: their conversations, in the same order.
    pub(crate) async fn befriend(&self, pairs: &[(usize, usize)]) -> anyhow::Result<Vec<LogId>> {
        let bar = progress::bar("befriending", pairs.len() as u64);
        let conversations = stream::iter(pairs)
            .map(|&(asking, asked)| {
                let bar = bar.clone();
                async move {
                    let request = v1::RequestContactRequest { user_id: self.id(asked)?, note: String::new() };
                    self.call::<_, v1::RequestContactResponse>(asking, "SocialService/RequestContact", "", &request)
                        .await?;
                    let accept = v1::AcceptContactRequest { user_id: self.id(asking)? };
                    let accepted: v1::AcceptContactResponse =
                        self.call(asked, "SocialService/AcceptContact", "", &accept).await?;
                    bar.inc(1);
                    Ok::<LogId, anyhow::Error>(accepted.conversation_id.parse()?)
                }
            })
            .buffered(32)
            .try_collect()
            .await;
        bar.finish_and_clear();
        conversations
    }

    /// Makes a group of an owner and contacts of theirs.
    pub(crate) async fn group(&self, owner: usize, others: &[usize]) -> anyhow::Result<LogId> {
        let ids = others.iter().map(|user| self.id(*user)).collect::<Result<Vec<_>, _>>()?;
        let mut portions = ids.chunks(MAX_MEMBERS_PER_CALL);
        let create = v1::CreateGroupRequest {
            client_msg_id: ClientMsgId::new_v7().to_string(),
            title: format!("load test {}", self.run.name()),
            member_ids: portions.next().unwrap_or_default().to_vec(),
        };
        let created: v1::CreateGroupResponse = self.call(owner, "ChatService/CreateGroup", "", &create).await?;
        for portion in portions {
            let add = v1::AddMembersRequest {
                conversation_id: created.conversation_id.clone(),
                client_msg_id: ClientMsgId::new_v7().to_string(),
                user_ids: portion.to_vec(),
            };
            self.call::<_, v1::AddMembersResponse>(owner, "ChatService/AddMembers", &created.conversation_id, &add)
                .await?;
        }
        Ok(created.conversation_id.parse()?)
    }

    /// Waits until each of these users' clients knows the conversation.
    pub(crate) async fn await_known(&self, users: &[usize], conversation: LogId) -> anyhow::Result<()> {
        let begin = Instant::now();
        for user in users {
            while !self.seen.get(*user).is_some_and(|seen| seen.lock().known.contains(&conversation)) {
                ensure!(
                    begin.elapsed() < SETTING_UP,
                    "user {user} was not told of its conversation within {SETTING_UP:?}"
                );
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        Ok(())
    }

    /// Calls a method of `gogochat.v1` as this user, again while that may help.
    pub(crate) async fn call<Req: Message, Resp: Message + Default>(
        &self,
        user: usize,
        method: &str,
        key: &str,
        request: &Req,
    ) -> anyhow::Result<Resp> {
        let client = self.clients.get(user).context("no such user")?;
        let begin = Instant::now();
        loop {
            let error = match client.call(&format!("gogochat.v1.{method}"), key, request).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            let wait = match &error {
                CallError::Refused(refused) if refused.retryable() => refused.retry_after_ms.unsigned_abs(),
                CallError::Closed(_) | CallError::TimedOut => 200,
                CallError::Refused(_) | CallError::Malformed => bail!("{method} as user {user}: {error}"),
            };
            ensure!(begin.elapsed() < SETTING_UP, "{method} as user {user}: {error}");
            if error.code() != Some(ErrorCode::OutOfOrder) {
                online(client).await?;
            }
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
    }

    fn id(&self, user: usize) -> anyhow::Result<String> {
        Ok(self.accounts.get(user).context("no such user")?.user().id.clone())
    }
}

/// Writes down what a client tells; called on the client's task, so it is short.
fn note(run: &Run, me: &str, counts: &Counts, seen: &mut Seen, update: Update) {
    counts.told.fetch_add(1, Ordering::Relaxed);
    match update {
        Update::Event(event) => {
            if !matches!(event.body, Some(Body::Message(_))) {
                return;
            }
            let (Some(index), Ok(log)) = (run.index(&event.client_msg_id), event.log_id.parse()) else { return };
            let at = run.micros(Instant::now());
            seen.receipts.push(Receipt { log, seq: event.seq, index, at });
            if event.sender_id != me {
                counts.received.fetch_add(1, Ordering::Relaxed);
            }
        }
        Update::Sent { client_msg_id, outcome, .. } => {
            let Some(index) = run.index(&client_msg_id) else { return };
            match outcome {
                Ok(sent) => {
                    seen.acks.push(Ack { index, seq: sent.seq, at: run.micros(Instant::now()) });
                    counts.acked.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => {
                    seen.refused.push((index, error.code));
                    counts.refused.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        Update::Conversation(conversation) => {
            if let Ok(id) = conversation.id.parse() {
                seen.known.insert(id);
            }
        }
        Update::Offline { .. } => seen.breaks += 1,
        Update::Ended(why) => {
            seen.breaks += 1;
            progress::say(&format!("a client has ended: {why}"));
        }
        _ => {}
    }
}

async fn online(client: &Client) -> anyhow::Result<()> {
    tokio::time::timeout(SETTING_UP, client.online())
        .await
        .context("a client cannot connect")?
        .context("a client was turned away")?;
    Ok(())
}

const PASSWORD: &str = "correct horse battery staple";
/// Clients that may be connecting at the same time.
const CONNECTING: usize = 64;
const SETTING_UP: Duration = Duration::from_secs(60);
