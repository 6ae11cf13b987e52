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
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    moving::{Moving, SETTLE},
    options::{Cursors, Options},
    replica::{Output, Replica, Settings},
    session_dialer::{Failure, Opened, SessionDialer, ends, pause},
    update::Update,
};
use crate::{
    Account, CallError, Closed, Connection,
    liveness::{Liveness, Verdict},
    session::HIGH_WATER,
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
    dialer: SessionDialer,
    options: Options,
    wiring: Wiring,
    replica: Replica,
    /// Who waits for a message's acknowledgement.
    waiting: HashMap<String, Acknowledged>,
    /// Sessions that others have taken the place of say goodbye.
    leaving: JoinSet<()>,
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

/// How a session ended.
enum End {
    /// The other side, or the transport.
    Closed(Closed),
    /// Another has taken its place, as the server is going away.
    Moved(Box<Opened>),
    /// The server is going away, and there is no other.
    Left,
    /// This side wants to stop.
    Stop,
}

impl Actor {
    pub(super) fn new(dialer: SessionDialer, options: Options, wiring: Wiring) -> Self {
        let settings = Settings {
            backfill: options.backfill,
            delivered: options.delivered,
            patience: options.call_timeout,
            random: rand::random,
        };
        let replica = Replica::new(settings, options.cursors.clone());
        Self { dialer, options, wiring, replica, waiting: HashMap::new(), leaving: JoinSet::new() }
    }

    /// Connects again and again until there is an end.
    pub(super) async fn run(mut self) {
        let mut failures = 0;
        loop {
            let least;
            let dialer = self.dialer.clone();
            let Some(opened) = self.meanwhile(dialer.dial()).await else { return };
            match opened {
                Ok(Opened { mut connection, mut welcome }) => {
                    let stood = Instant::now();
                    let end = loop {
                        match self.serve(&mut connection, welcome).await {
                            End::Moved(next) => {
                                let old = std::mem::replace(&mut connection, next.connection);
                                welcome = next.welcome;
                                self.leave(old);
                                self.replica.moved(Instant::now());
                                self.hand_over(None).await;
                            }
                            end => break end,
                        }
                    };
                    self.wiring.online.send_replace(None);
                    let why = match end {
                        End::Stop => {
                            connection.close(CloseCode::Done).await;
                            while self.leaving.join_next().await.is_some() {}
                            return;
                        }
                        End::Moved(_) | End::Left => CloseCode::Draining.into(),
                        End::Closed(closed) => closed,
                    };
                    self.replica.lost(&why);
                    self.hand_over(None).await;
                    if let Some(ended) = ends(&why) {
                        return self.update(Update::Ended(ended)).await;
                    }
                    self.update(Update::Offline { why: why.to_string() }).await;
                    least = pause(&why);
                    failures = if stood.elapsed() > STOOD { 0 } else { failures + 1 };
                }
                Err(Failure::Later(why, retry_after)) => {
                    self.dialer.turn();
                    tracing::debug!(%why, "cannot connect");
                    least = retry_after;
                    failures += 1;
                }
                Err(Failure::Ended(closed)) => return self.update(Update::Ended(closed)).await,
            }
            let wait = least + self.options.backoff.wait(failures, rand::random());
            if self.meanwhile(tokio::time::sleep(wait)).await.is_none() {
                return;
            }
        }
    }

    fn leave(&mut self, old: Connection) {
        while self.leaving.try_join_next().is_some() {}
        self.leaving.spawn(old.close(CloseCode::Done));
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
        self.dialer.ticket.clone_from(&welcome.ticket);
        self.replica.opened(Instant::now(), &welcome);
        self.update(Update::Online { transport: connection.transport(), welcome: welcome.clone() }).await;
        self.wiring.online.send_replace(Some(welcome));

        let cancel = self.wiring.cancel.clone();
        let timer = sleep_until(Instant::now());
        let mut moving = Moving::default();
        let account = Arc::clone(&self.dialer.account);
        let renewal = next_token(&account);
        tokio::pin!(timer, renewal);
        loop {
            self.hand_over(Some((&mut *connection, &mut liveness))).await;
            if moving.due().is_some_and(|due| self.replica.is_settled() || due <= Instant::now())
                && let Some(next) = moving.take()
            {
                return End::Moved(Box::new(next));
            }
            let due =
                [Some(liveness.due()), self.replica.due(Instant::now()), moving.due()].into_iter().flatten().min();
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
                        moving.begin(&self.dialer, connection.transport(), &drain);
                    }
                    Ok(server_frame::Frame::Welcome(welcome)) => {
                        // To a token that was presented anew.
                        liveness.received();
                        self.dialer.ticket = welcome.ticket;
                    }
                    Ok(frame) => {
                        liveness.received();
                        self.replica.frame(Instant::now(), frame);
                    }
                    Err(closed) => return match moving.take() {
                        Some(next) => End::Moved(Box::new(next)),
                        None => End::Closed(closed),
                    },
                },
                opened = moving.opened() => match opened {
                    Some(opened) => {
                        // What is new waits for the other session; what is under way has some time
                        // to end well here.
                        self.replica.hold();
                        moving = Moving::Settling(Box::new(opened), Instant::now() + SETTLE);
                    }
                    None => return End::Left,
                },
                command = self.wiring.commands.recv(), if connection.queued() < HIGH_WATER && !moving.is_settling() => {
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

/// A session that stood for this long was a good one.
const STOOD: Duration = Duration::from_secs(5);
const RENEW_AGAIN: Duration = Duration::from_secs(5);
const MAX_TOGETHER: usize = 64;
