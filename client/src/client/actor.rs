//! The task behind a client: dials, and carries frames and commands between a connection and the replica.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use gogochat_proto::{
    close::CloseCode,
    ids::{ClientMsgId, LogId},
    v1::{self, client_frame, server_frame},
};
use tokio::{
    sync::{Semaphore, mpsc, oneshot, watch},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    Cursors, Options, Path, Update,
    replica::{Output, Replica, Settings},
};
use crate::{
    Account, CallError, Closed, ConnectError, Connection, Dialer, RestError, Target, Transport,
    liveness::{Liveness, Verdict},
    session::{HELLO_PATIENCE, HIGH_WATER},
};

/// What an application wants.
pub(super) enum Command {
    Post { conversation: LogId, id: ClientMsgId, text: String, acknowledged: Option<Acknowledged> },
    Call { method: String, key: String, body: Bytes, reply: oneshot::Sender<Result<Bytes, CallError>> },
    Read { conversation: LogId, seq: i64 },
    Typing { conversation: LogId, stopped: bool },
    Resync,
    Cursors(oneshot::Sender<Cursors>),
    Stop,
}

pub(super) type Acknowledged = oneshot::Sender<Result<v1::SendMessageResponse, v1::Error>>;

/// Where updates go.
pub(super) enum Sink {
    Channel(mpsc::Sender<Update>),
    Function(Box<dyn FnMut(Update) + Send>),
}

pub(super) struct Actor {
    dialler: Dialler,
    options: Options,
    wiring: Wiring,
    replica: Replica,
    /// Who waits for a message's acknowledgement.
    waiting: HashMap<String, Acknowledged>,
}

/// What ties an actor to its handle.
pub(super) struct Wiring {
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) sink: Sink,
    pub(super) online: watch::Sender<Option<v1::Welcome>>,
    pub(super) cancel: CancellationToken,
    /// A permit is given back for each message that leaves the outbox.
    pub(super) room: Arc<Semaphore>,
}

/// What connecting takes.
#[derive(Clone)]
pub(super) struct Dialler {
    pub(super) dialer: Dialer,
    pub(super) account: Arc<Account>,
    pub(super) target: Target,
    pub(super) path: Path,
}

/// Why a try to connect failed.
enum Failure {
    /// Try again later.
    Later(String),
    /// There is no use.
    Ended(Closed),
}

/// How a session ended.
enum End {
    /// The other side, or the transport.
    Closed(Closed),
    /// The server asked us to move.
    Moving,
    /// This side wants to stop.
    Stop,
}

impl Actor {
    pub(super) fn new(dialler: Dialler, options: Options, wiring: Wiring) -> Self {
        let settings = Settings {
            backfill: options.backfill,
            delivered: options.delivered,
            patience: options.call_timeout,
            random: rand::random,
        };
        let replica = Replica::new(settings, options.cursors.clone());
        Self { dialler, options, wiring, replica, waiting: HashMap::new() }
    }

    /// Connects again and again until there is an end.
    pub(super) async fn run(mut self) {
        let mut failures = 0;
        loop {
            let dialler = self.dialler.clone();
            let Some(dialled) = self.meanwhile(dialler.dial()).await else { return };
            match dialled {
                Ok((mut connection, welcome)) => {
                    let stood = Instant::now();
                    let end = self.serve(&mut connection, welcome).await;
                    self.wiring.online.send_replace(None);
                    let why = match end {
                        End::Stop => return connection.close(CloseCode::Done).await,
                        End::Moving => CloseCode::Draining.into(),
                        End::Closed(closed) => closed,
                    };
                    self.replica.lost(&why);
                    self.hand_over(None).await;
                    if let Some(ended) = ends(&why) {
                        return self.update(Update::Ended(ended)).await;
                    }
                    self.update(Update::Offline { why: why.to_string() }).await;
                    failures = if stood.elapsed() > STOOD { 0 } else { failures + 1 };
                }
                Err(Failure::Later(why)) => {
                    tracing::debug!(%why, "cannot connect");
                    failures += 1;
                }
                Err(Failure::Ended(closed)) => return self.update(Update::Ended(closed)).await,
            }
            let wait = self.options.backoff.wait(failures, rand::random());
            if self.meanwhile(tokio::time::sleep(wait)).await.is_none() {
                return;
            }
        }
    }

    /// Waits for something while there is no session, taking commands; `None` to stop.
    async fn meanwhile<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(future);
        let cancel = self.wiring.cancel.clone();
        loop {
            tokio::select! {
                biased;
                () = cancel.cancelled() => return None,
                done = &mut future => return Some(done),
                command = self.wiring.commands.recv() => {
                    if !self.command(command?) {
                        return None;
                    }
                    self.hand_over(None).await;
                }
            }
        }
    }

    /// Serves a session until its end.
    async fn serve(&mut self, connection: &mut Connection, welcome: v1::Welcome) -> End {
        let heartbeat = Duration::from_millis(welcome.heartbeat_ms.max(1).unsigned_abs().into());
        let mut liveness = Liveness::new(Instant::now(), heartbeat, self.options.patience);
        self.replica.opened(Instant::now(), &welcome);
        self.update(Update::Online { transport: connection.transport(), welcome: welcome.clone() }).await;
        self.wiring.online.send_replace(Some(welcome));

        let cancel = self.wiring.cancel.clone();
        let timer = sleep_until(Instant::now());
        let mut leave_at: Option<Instant> = None;
        let account = Arc::clone(&self.dialler.account);
        let renewal = next_token(&account);
        tokio::pin!(timer, renewal);
        loop {
            self.hand_over(Some((&mut *connection, &mut liveness))).await;
            let due = [Some(liveness.due()), self.replica.due(Instant::now()), leave_at].into_iter().flatten().min();
            // A deadline that has moved away is noticed when the timer fires.
            if let Some(due) = due.filter(|due| *due < timer.deadline() || timer.is_elapsed()) {
                timer.as_mut().reset(due);
            }
            tokio::select! {
                biased;
                () = cancel.cancelled() => return End::Stop,
                frame = connection.next() => match frame {
                    Ok(server_frame::Frame::Drain(drain)) => {
                        liveness.received();
                        let deadline = Duration::from_millis(drain.deadline_ms.max(0).unsigned_abs().into());
                        leave_at = Some(Instant::now() + deadline.mul_f64(rand::random::<f64>() / 2.0));
                    }
                    Ok(frame) => {
                        liveness.received();
                        self.replica.frame(Instant::now(), frame);
                    }
                    Err(closed) => return End::Closed(closed),
                },
                command = self.wiring.commands.recv(), if connection.queued() < HIGH_WATER => {
                    // What waits goes out together.
                    let waiting = std::iter::from_fn(|| self.wiring.commands.try_recv().ok()).take(MAX_TOGETHER);
                    let together: Vec<Command> = command.into_iter().chain(waiting).collect();
                    let goes_on = !together.is_empty() && together.into_iter().all(|command| self.command(command));
                    if !goes_on {
                        self.hand_over(Some((&mut *connection, &mut liveness))).await;
                        return End::Stop;
                    }
                }
                token = &mut renewal => {
                    connection.queue_hello(&token);
                    renewal.set(next_token(&account));
                }
                () = &mut timer => {
                    let now = Instant::now();
                    if leave_at.is_some_and(|at| at <= now) {
                        return End::Moving;
                    }
                    match liveness.poll(now) {
                        Verdict::Dead => return End::Closed(Closed::broken("the server is silent")),
                        Verdict::Ping => connection.queue(client_frame::Frame::Ping(v1::Ping { nonce: 0 })),
                        Verdict::Wait(_) => {}
                    }
                    self.replica.tick(now);
                }
            }
        }
    }

    /// Does what the replica wants done.
    async fn hand_over(&mut self, mut session: Option<(&mut Connection, &mut Liveness)>) {
        while let Some(output) = self.replica.output() {
            match (output, &mut session) {
                (Output::Frame(frame), Some((connection, liveness))) => {
                    let wants_answer = matches!(frame, client_frame::Frame::Call(_));
                    connection.queue(frame);
                    liveness.sent(Instant::now(), wants_answer);
                }
                (Output::Low(call), Some((connection, liveness))) => {
                    connection.queue_low(call);
                    liveness.sent(Instant::now(), true);
                }
                (Output::Lossy(frame), Some((connection, _))) => connection.queue_lossy(frame),
                // Left over from a session that is no more.
                (Output::Frame(_) | Output::Low(_) | Output::Lossy(_), None) => {}
                (Output::Update(update), _) => self.update(update).await,
            }
        }
    }

    /// False when there is to be an end.
    fn command(&mut self, command: Command) -> bool {
        let now = Instant::now();
        match command {
            Command::Post { conversation, id, text, acknowledged } => {
                let id = id.to_string();
                if let Some(acknowledged) = acknowledged {
                    self.waiting.insert(id.clone(), acknowledged);
                }
                self.replica.post(now, conversation, id, text);
            }
            Command::Call { method, key, body, reply } => self.replica.call(now, &method, key, body, reply),
            Command::Read { conversation, seq } => self.replica.read(now, conversation, seq),
            Command::Typing { conversation, stopped } => self.replica.typing(conversation, stopped),
            Command::Resync => self.replica.resync(now),
            Command::Cursors(reply) => {
                let _ = reply.send(self.replica.cursors());
            }
            Command::Stop => return false,
        }
        true
    }

    async fn update(&mut self, update: Update) {
        if let Update::Sent { client_msg_id, outcome, .. } = &update {
            self.wiring.room.add_permits(1);
            if let Some(acknowledged) = self.waiting.remove(client_msg_id) {
                let _ = acknowledged.send(outcome.clone());
            }
        }
        match &mut self.wiring.sink {
            Sink::Function(function) => function(update),
            Sink::Channel(updates) => {
                tokio::select! {
                    () = self.wiring.cancel.cancelled() => {}
                    // Nobody listens: let it pass.
                    _ = updates.send(update) => {}
                }
            }
        }
    }
}

impl Dialler {
    async fn dial(self) -> Result<(Connection, v1::Welcome), Failure> {
        let mut token = self.account.token().await.map_err(token_failure)?;
        let mut refreshed = false;
        loop {
            let opened = match self.path {
                Path::Only(transport) => self.open(transport, &token).await,
                Path::Auto => match timeout(FALL_BACK, self.open(Transport::WebTransport, &token)).await {
                    Ok(Err(ConnectError::Closed(closed))) => Err(closed.into()),
                    Ok(Ok(opened)) => Ok(opened),
                    Ok(Err(_)) | Err(_) => self.open(Transport::WebSocket, &token).await,
                },
            };
            match opened {
                Ok(opened) => return Ok(opened),
                Err(ConnectError::Closed(closed)) => {
                    if closed.close_code() == Some(CloseCode::TokenExpired) && !refreshed {
                        refreshed = true;
                        token = self.account.token_after(&token).await.map_err(token_failure)?;
                        continue;
                    }
                    return Err(match ends(&closed) {
                        Some(ended) => Failure::Ended(ended),
                        None => Failure::Later(closed.to_string()),
                    });
                }
                Err(error) => return Err(Failure::Later(error.to_string())),
            }
        }
    }

    async fn open(&self, transport: Transport, token: &str) -> Result<(Connection, v1::Welcome), ConnectError> {
        let mut connection = self.dialer.open(&self.target, transport).await?;
        let welcome = timeout(HELLO_PATIENCE, connection.hello(token)).await.map_err(|_| ConnectError::TimedOut)??;
        Ok((connection, welcome))
    }
}

/// The account's next access token, when it is time for it.
async fn next_token(account: &Account) -> String {
    loop {
        match account.renew_at().await {
            Some(at) => sleep_until(at).await,
            None => return std::future::pending().await,
        }
        match account.token().await {
            Ok(token) => return token,
            // The session goes on with the last one while that is good.
            Err(error) => tracing::debug!(%error, "the token was not renewed"),
        }
        tokio::time::sleep(RENEW_AGAIN).await;
    }
}

/// A close after which this client is of no use. A lapsed token is refreshed; who was too fast comes back later.
fn ends(closed: &Closed) -> Option<Closed> {
    let transient = closed.reconnect
        || matches!(closed.close_code(), Some(CloseCode::TokenExpired | CloseCode::RateLimited | CloseCode::Timeout));
    (!transient).then(|| closed.clone())
}

fn token_failure(error: RestError) -> Failure {
    match error {
        RestError::Refused(error) if !error.retryable() => Failure::Ended(CloseCode::TokenInvalid.into()),
        other => Failure::Later(other.to_string()),
    }
}

/// A session that stood for this long was a good one.
const STOOD: Duration = Duration::from_secs(5);
const RENEW_AGAIN: Duration = Duration::from_secs(5);
const FALL_BACK: Duration = Duration::from_secs(3);
const MAX_TOGETHER: usize = 64;
