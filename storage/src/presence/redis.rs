//! Presence in Redis, for all nodes.
//!
//! A user has two keys: a sorted set of sessions, each scored by the time until which it counts,
//! and the time last seen. Both have a time to live, so what a lost node left behind goes by
//! itself. A coming or going is one script, and many of them are one pipeline. So is a question:
//! each costs one round trip. The time is Redis's own, because nodes whose clocks differ would take
//! each other's sessions for over.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use fred::{
    clients::Client,
    interfaces::{ClientLike, KeysInterface as _, SortedSetsInterface as _},
    types::{
        Builder, ConnectHandle, CustomCommand, Expiration, Value,
        config::{Config, ReconnectPolicy, ServerConfig, UnresponsiveConfig},
        scripts::Script,
    },
};
use gogochat_proto::ids::UserId;

use parking_lot::Mutex;
use tokio::{sync::watch, task::JoinHandle};

use super::{Presence, PresenceError, RedisConfig, SessionKey, Status};
use crate::{
    clock,
    log_throttle::LogThrottle,
    tls::{self, NoAuthority},
};

/// Presence in Redis.
pub struct RedisPresence {
    client: Client,
    connection: ConnectHandle,
    /// What Redis's clock is ahead of this machine's, in ms.
    ahead: Arc<AtomicI64>,
    measuring: JoinHandle<()>,
    prefix: String,
    online: Script,
    offline: Script,
    own: Own,
    emptied: watch::Sender<u64>,
    reconnecting: Reconnecting,
}

/// A key of this process alone, by which it notices that Redis has lost its keys.
struct Own {
    key: String,
    /// When it was written last.
    written: Mutex<Option<Instant>>,
}

/// When the connection was closed to be made anew, as it leads to a server that takes no writes.
struct Reconnecting {
    last: Mutex<Option<Instant>>,
    said: LogThrottle,
}

/// Why Redis was not opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedisError {
    /// The URL is not one.
    #[error("core.redis: {0:?} is no URL of a Redis server: write redis://USER:PASSWORD@HOST:PORT/DB")]
    Url(String),
    /// The authority's file cannot be used.
    #[error("core.redis_ca: {0}")]
    Ca(#[from] NoAuthority),
    /// Its certificate is not believed.
    #[error(
        "core.redis_ca: the certificate of {server} is refused: {reason} (give the authority that signed it, and in core.redis a host that it is for)"
    )]
    Untrusted {
        /// Host and port.
        server: String,
        /// Why.
        reason: String,
    },
    /// It wants another user or password.
    #[error("core.redis: {server} refuses the user or password: {reason}")]
    Refused {
        /// Host and port.
        server: String,
        /// What it says.
        reason: String,
    },
    /// It does not answer.
    #[error("core.redis: no Redis answers at {server}: {reason}")]
    Unreachable {
        /// Host and port.
        server: String,
        /// What came of it.
        reason: String,
    },
}

impl RedisPresence {
    /// Connects. Later the connection comes back by itself.
    ///
    /// # Errors
    /// See [`RedisError`].
    pub async fn open(config: &RedisConfig) -> Result<Self, RedisError> {
        Self::open_with_clock(config, clock::now_ms).await
    }

    /// The same on a machine with this clock (ms since 1970), which is the one that callers go by.
    ///
    /// # Errors
    /// See [`RedisError`].
    pub async fn open_with_clock(config: &RedisConfig, clock: fn() -> i64) -> Result<Self, RedisError> {
        let server = config.server();
        let scheme = config.url.split_once("://").map(|(scheme, _)| scheme);
        if !matches!(scheme, Some("redis" | "rediss")) {
            return Err(RedisError::Url(server));
        }
        let unreachable = |reason: String| RedisError::Unreachable { server: server.clone(), reason };
        let mut url = Config::from_url(&config.url).map_err(|_| RedisError::Url(server.clone()))?;
        if let ServerConfig::Centralized { server } = &mut url.server {
            // The client looks an address of IPv6 up with the brackets that a URL has around it.
            server.host = server.host.trim_matches(['[', ']']).to_owned().into();
        }
        if let (Some(over_tls), Some(ca)) = (&mut url.tls, &config.ca) {
            let client = tls::client(tls::authorities(ca)?).map_err(|error| unreachable(error.to_string()))?;
            over_tls.connector = client.into();
        }
        let client =
            client(Config { fail_fast: true, ..url }).map_err(|error| unreachable(error.details().to_owned()))?;
        // The first connection has to succeed.
        let opened = tokio::time::timeout(PATIENCE, client.init()).await;
        let reason = match opened {
            Ok(Ok(connection)) => {
                let ahead = Arc::<AtomicI64>::default();
                measure(&client, clock, &ahead).await;
                let measuring = tokio::spawn(keep_measuring(client.clone(), clock, ahead.clone()));
                return Ok(Self {
                    client,
                    connection,
                    ahead,
                    measuring,
                    prefix: config.prefix.clone(),
                    online: Script::from_lua(ONLINE),
                    offline: Script::from_lua(OFFLINE),
                    own: Own {
                        key: format!("{}:presence:check:{}", config.prefix, uuid::Uuid::new_v4().simple()),
                        written: Mutex::default(),
                    },
                    emptied: watch::Sender::new(0),
                    reconnecting: Reconnecting { last: Mutex::default(), said: LogThrottle::new(SAY) },
                });
            }
            Ok(Err(error)) if *error.kind() == fred::error::ErrorKind::Auth => {
                return Err(RedisError::Refused { server, reason: error.details().to_owned() });
            }
            Ok(Err(error)) if tls::is_untrusted(error.details()) => {
                return Err(RedisError::Untrusted { server, reason: error.details().to_owned() });
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it takes too long".into(),
        };
        Err(unreachable(reason))
    }

    /// The keys of a user: in one slot of a Redis cluster.
    fn keys(&self, user: UserId) -> [String; 2] {
        [format!("{}:presence:{{{user}}}:sessions", self.prefix), format!("{}:presence:{{{user}}}:seen", self.prefix)]
    }

    /// The time that all nodes agree on, whatever their own clocks say.
    fn shared(&self, now: i64) -> i64 {
        now.saturating_add(self.ahead.load(Ordering::Relaxed))
    }

    /// Runs a script for each session in one pipeline, with these arguments behind the session's own.
    async fn run(
        &self,
        script: &Script,
        sessions: &[(UserId, SessionKey)],
        arguments: &[i64],
    ) -> Result<Vec<bool>, PresenceError> {
        let pipeline = self.client.pipeline();
        for (user, session) in sessions {
            let [sessions, seen] = self.keys(*user);
            let mut values: Vec<Value> = vec![script.sha1().clone().into(), 2.into(), sessions.into(), seen.into()];
            values.push(member(*session).into());
            values.extend(arguments.iter().map(|argument| Value::from(*argument)));
            // fred's pipelines have no scripts of their own.
            let run = CustomCommand::new_static("EVALSHA", None, false);
            let _: () = pipeline.custom(run, values).await.map_err(|error| self.failed(&error))?;
        }
        let mut answers = pipeline.try_all::<i64>().await;
        if answers.iter().any(|answer| answer.as_ref().is_err_and(|error| error.details().starts_with("NOSCRIPT"))) {
            // Its server is new, or has forgotten its scripts. What was run is run again, which
            // changes no more than times.
            script.load(&self.client).await.map_err(|error| self.failed(&error))?;
            answers = pipeline.try_all().await;
        }
        answers.into_iter().map(|answer| answer.map(|done| done == 1).map_err(|error| self.failed(&error))).collect()
    }

    /// Why presence is unknown. A server that takes no writes is a replica now: the address leads
    /// to another one, or will soon, and the connection does not.
    fn failed(&self, error: &fred::error::Error) -> PresenceError {
        if WRONG_SERVER.iter().any(|answer| error.details().contains(answer)) {
            self.reconnect(error);
        }
        PresenceError(error.to_string())
    }

    fn reconnect(&self, error: &fred::error::Error) {
        let mut last = self.reconnecting.last.lock();
        if last.is_some_and(|last| last.elapsed() < SELDOM) {
            return;
        }
        *last = Some(Instant::now());
        drop(last);
        if let Some(times) = self.reconnecting.said.due() {
            tracing::warn!(%error, times, "core.redis: Redis takes no writes, as a replica does: it is connected to anew");
        }
        let client = self.client.clone();
        tokio::spawn(async move {
            if let Err(error) = client.force_reconnection().await {
                tracing::debug!(%error, "Redis is not connected to");
            }
        });
    }
}

impl Drop for RedisPresence {
    fn drop(&mut self) {
        self.measuring.abort();
        self.connection.abort();
    }
}

#[async_trait]
impl Presence for RedisPresence {
    async fn arrive(
        &self,
        sessions: &[(UserId, SessionKey)],
        now: i64,
        ttl_ms: i64,
    ) -> Result<Vec<bool>, PresenceError> {
        let now = self.shared(now);
        let kept = ttl_ms.saturating_add(SPARE_MS);
        self.run(&self.online, sessions, &[now, now.saturating_add(ttl_ms), kept, SEEN_MS]).await
    }

    async fn leave(&self, sessions: &[(UserId, SessionKey)], now: i64) -> Result<Vec<bool>, PresenceError> {
        self.run(&self.offline, sessions, &[self.shared(now), SEEN_MS]).await
    }

    async fn get(&self, users: &[UserId], now: i64) -> Result<Vec<Status>, PresenceError> {
        if users.is_empty() {
            return Ok(Vec::new());
        }
        let failed = |error| self.failed(&error);
        let now = self.shared(now);
        let pipeline = self.client.pipeline();
        for user in users {
            let [sessions, seen] = self.keys(*user);
            // Whole milliseconds, which a double has exactly: later than now is from the next one on.
            let _: () = pipeline.zcount(sessions, now.saturating_add(1) as f64, f64::INFINITY).await.map_err(failed)?;
            let _: () = pipeline.get(seen).await.map_err(failed)?;
        }
        let answers: Vec<Option<i64>> = pipeline.all().await.map_err(failed)?;
        let status = |pair: &[Option<i64>]| match pair {
            [live, seen] => Status { online: live.is_some_and(|live| live > 0), last_seen_ms: seen.unwrap_or(0) },
            _ => Status::default(),
        };
        Ok(answers.chunks(2).map(status).collect())
    }

    /// By a write: one that reads its file, is a replica or is full answers, and takes nothing.
    /// What was written last has to be there still.
    async fn check(&self) -> Result<(), PresenceError> {
        let key = self.own.key.as_str();
        // Redis has SET with GET from 6.2 on.
        let failed = |error| self.failed(&error);
        let pipeline = self.client.pipeline();
        let _: () = pipeline.get(key).await.map_err(failed)?;
        let _: () = pipeline.set(key, 1, Some(Expiration::PX(SPARE_MS)), None, false).await.map_err(failed)?;
        let (before, _): (Option<i64>, Value) = pipeline.all().await.map_err(failed)?;
        let written = self.own.written.lock().replace(Instant::now());
        if before.is_none() && written.is_some_and(|written| written.elapsed() < KEPT) {
            tracing::warn!("core.redis: Redis has lost its keys: who is connected is told to it again");
            self.emptied.send_modify(|times| *times += 1);
        }
        Ok(())
    }

    fn emptied(&self) -> watch::Receiver<u64> {
        self.emptied.subscribe()
    }
}

/// What Redis's clock says: seconds since 1970, and microseconds.
async fn time(client: &Client) -> Result<(i64, i64), fred::error::Error> {
    client.custom::<(i64, i64), &str>(CustomCommand::new_static("TIME", None, false), Vec::new()).await
}

/// Compares the clocks. Where Redis does not answer, or not soon, what was found last stays.
async fn measure(client: &Client, clock: fn() -> i64, ahead: &AtomicI64) {
    let asked = clock();
    let Ok((seconds, micros)) = time(client).await else { return };
    let answered = clock();
    if answered.saturating_sub(asked) > PROMPT_MS {
        return;
    }
    let there = seconds.saturating_mul(1_000).saturating_add(micros / 1_000);
    // Less than a second is nothing: sessions count for many.
    let found = there.saturating_sub(asked) / 1_000 * 1_000;
    let before = ahead.swap(found, Ordering::Relaxed);
    if let Some(skew) = clock::skew(answered, there)
        && clock::skew(found, before).is_some()
    {
        tracing::warn!("core.redis: this machine's clock is {skew} Redis's, which presence goes by: keep both by NTP");
    }
}

async fn keep_measuring(client: Client, clock: fn() -> i64, ahead: Arc<AtomicI64>) {
    loop {
        tokio::time::sleep(MEASURE).await;
        measure(&client, clock, &ahead).await;
    }
}

fn client(config: Config) -> Result<Client, fred::error::Error> {
    Builder::from_config(config)
        .with_connection_config(|connection| {
            connection.connection_timeout = ANSWER;
            connection.internal_command_timeout = ANSWER;
            connection.max_command_attempts = 1;
            // Full means: presence is unknown. It may lose everything.
            connection.max_command_buffer_len = QUEUE;
            connection.tcp.nodelay = Some(true);
            connection.unresponsive = UnresponsiveConfig { max_timeout: Some(HANGS), interval: ANSWER };
        })
        .with_performance_config(|performance| performance.default_command_timeout = ANSWER)
        .set_policy(ReconnectPolicy::new_exponential(0, 50, 2_000, 2))
        .build()
}

fn member((attachment, session): SessionKey) -> String {
    format!("{attachment:x}:{session:x}")
}

/// Keys: sessions, seen. Arguments: session, now, until, how long to keep sessions, how long to keep the
/// time seen. 1: was offline.
const ONLINE: &str = "
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[2])
local before = redis.call('ZCARD', KEYS[1])
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
local seen = redis.call('GET', KEYS[2])
if not seen or tonumber(seen) < tonumber(ARGV[2]) then redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[5]) end
if before == 0 then return 1 end
return 0";
/// Keys: sessions, seen. Arguments: session, now, how long to keep the time seen. 1: was the last.
const OFFLINE: &str = "
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[2])
if redis.call('ZREM', KEYS[1], ARGV[1]) == 0 then return 0 end
local seen = redis.call('GET', KEYS[2])
if not seen or tonumber(seen) < tonumber(ARGV[2]) then redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3]) end
if redis.call('ZCARD', KEYS[1]) == 0 then return 1 end
return 0";
/// How long the first connection may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long an answer may take before presence is unknown.
const ANSWER: Duration = Duration::from_secs(2);
/// A connection that answers nothing for so long is dropped.
const HANGS: Duration = Duration::from_secs(4);
const QUEUE: usize = 65_536;
/// What a server answers that is a replica, or one that has lost its primary.
const WRONG_SERVER: [&str; 2] = ["READONLY", "MASTERDOWN"];
/// How often the connection is made anew at most.
const SELDOM: Duration = Duration::from_secs(1);
/// How often that is said at most.
const SAY: Duration = Duration::from_secs(30);
/// For how long the own key is there at least, when nothing has taken it.
const KEPT: Duration = Duration::from_secs(50);
const MEASURE: Duration = Duration::from_secs(30);
/// An answer that takes longer says little of the time.
const PROMPT_MS: i64 = 500;
/// Sessions are kept for longer than they count, because nodes' clocks differ.
const SPARE_MS: i64 = 60_000;
/// How long it is known when a user was last seen: 30 days.
const SEEN_MS: i64 = 30 * 24 * 3_600 * 1_000;
