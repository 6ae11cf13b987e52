//! A signed-in connection with calls and events. It ends when its transport does; [`crate::Client`]
//! outlives that.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use gogochat_proto::{
    close::CloseCode,
    limits::MAX_CALLS_IN_FLIGHT,
    v1::{self, client_frame, server_frame::Frame},
};
use prost::Message;
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::{Instant, sleep_until},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    CallError, Closed, ConnectError, Connection, Dialer, Target, Transport,
    liveness::{Liveness, Verdict},
};

/// A session: calls may be made from any task. Dropping it closes the session.
#[derive(Debug)]
pub struct Session {
    welcome: v1::Welcome,
    transport: Transport,
    commands: mpsc::Sender<Command>,
    /// One for each call that the server lets wait.
    permits: Semaphore,
    ended: CancellationToken,
    closed: Arc<OnceLock<Closed>>,
    cancel: DropGuard,
}

/// What the server tells without being asked.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// Something was committed to a log of the user's.
    Event(Box<v1::Event>),
    /// A member's marks have moved.
    Watermark(v1::Watermark),
    /// Typing or presence.
    Ephemeral(v1::Ephemeral),
    /// Events were dropped for this session: fetch them.
    Resync(v1::Resync),
    /// The server is going away.
    Drain(v1::Drain),
}

enum Command {
    Call { method: String, key: String, body: Bytes, reply: oneshot::Sender<Result<Bytes, v1::Error>> },
    Frame(client_frame::Frame),
    Lossy(client_frame::Frame),
}

impl Session {
    /// Connects and signs in. The receiver gets what the server tells, and is to be read: when
    /// 1,024 wait, the session reads no further and the server may close it as too slow. Dropped,
    /// it lets everything pass.
    ///
    /// # Errors
    /// The server cannot be reached, or closed: [`ConnectError::Closed`] with
    /// [`CloseCode::TokenExpired`], ...
    pub async fn connect(
        dialer: &Dialer,
        target: &Target,
        transport: Transport,
        access_token: &str,
    ) -> Result<(Self, mpsc::Receiver<Told>), ConnectError> {
        let mut connection = dialer.open(target, transport).await?;
        let welcome = tokio::time::timeout(HELLO_PATIENCE, connection.hello(access_token))
            .await
            .unwrap_or(Err(Closed::broken("Hello was not answered")))?;
        Ok(Self::over(connection, welcome))
    }

    /// A session over a connection on which Hello was answered.
    #[must_use]
    pub fn over(connection: Connection, welcome: v1::Welcome) -> (Self, mpsc::Receiver<Told>) {
        let (commands, command_queue) = mpsc::channel(MAX_CALLS_IN_FLIGHT);
        let (told, told_queue) = mpsc::channel(1024);
        let (cancel, ended, closed) = (CancellationToken::new(), CancellationToken::new(), Arc::new(OnceLock::new()));
        let transport = connection.transport();
        let heartbeat = Duration::from_millis(welcome.heartbeat_ms.max(1).unsigned_abs().into());
        let actor = Actor {
            connection,
            liveness: Liveness::new(Instant::now(), heartbeat, PATIENCE),
            commands: command_queue,
            told,
            waiting: HashMap::new(),
            next_id: 0,
            cancel: cancel.clone(),
        };
        tokio::spawn({
            let (ended, closed) = (ended.clone(), Arc::clone(&closed));
            async move {
                let why = actor.run().await;
                let _ = closed.set(why);
                ended.cancel();
            }
        });
        let permits = Semaphore::new(MAX_CALLS_IN_FLIGHT);
        let cancel = cancel.drop_guard();
        (Self { welcome, transport, commands, permits, ended, closed, cancel }, told_queue)
    }

    /// What the server answered to Hello.
    #[must_use]
    pub fn welcome(&self) -> &v1::Welcome {
        &self.welcome
    }

    /// The transport in use.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// Calls a method: "gogochat.v1.ChatService/SendMessage". `key` is the request's
    /// conversation_id for methods of the ordered lane, else empty.
    ///
    /// # Errors
    /// The server refused, or the session ended first.
    pub async fn call<Req: Message, Resp: Message + Default>(
        &self,
        method: &str,
        key: &str,
        request: &Req,
    ) -> Result<Resp, CallError> {
        let body = Bytes::from(request.encode_to_vec());
        let reply = self.call_raw(method, key, body).await?;
        Resp::decode(reply).map_err(|_| CallError::Malformed)
    }

    /// [`Self::call`] with encoded messages.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn call_raw(&self, method: &str, key: &str, body: Bytes) -> Result<Bytes, CallError> {
        let _permit = self.permits.acquire().await.map_err(|_| self.why())?;
        let (reply, answer) = oneshot::channel();
        let command = Command::Call { method: method.to_owned(), key: key.to_owned(), body, reply };
        self.command(command).await?;
        match answer.await {
            Ok(answer) => answer.map_err(CallError::Refused),
            Err(_) => {
                self.ended.cancelled().await;
                Err(self.why().into())
            }
        }
    }

    /// Says how far the user has got. There is no reply.
    ///
    /// # Errors
    /// The session is over.
    pub async fn mark(&self, marks: Vec<v1::Mark>) -> Result<(), Closed> {
        self.command(Command::Frame(client_frame::Frame::Marks(v1::Marks { marks }))).await
    }

    /// Says that the user types, or has stopped. May be lost.
    ///
    /// # Errors
    /// The session is over.
    pub async fn typing(&self, conversation_id: &str, stopped: bool) -> Result<(), Closed> {
        self.command(Command::Lossy(typing(conversation_id, stopped))).await
    }

    /// Sends any frame.
    ///
    /// # Errors
    /// The session is over.
    pub async fn send(&self, frame: client_frame::Frame) -> Result<(), Closed> {
        self.command(Command::Frame(frame)).await
    }

    /// Whether the session is over.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// Waits for the end of the session, and says why it ended. Cancel-safe.
    pub async fn closed(&self) -> Closed {
        self.ended.cancelled().await;
        self.why()
    }

    /// Says goodbye and waits until the server has it.
    pub async fn close(self) -> Closed {
        drop(self.cancel);
        self.ended.cancelled().await;
        self.closed.get().cloned().unwrap_or_else(|| CloseCode::Done.into())
    }

    async fn command(&self, command: Command) -> Result<(), Closed> {
        if self.commands.send(command).await.is_err() {
            self.ended.cancelled().await;
            return Err(self.why());
        }
        Ok(())
    }

    fn why(&self) -> Closed {
        self.closed.get().cloned().unwrap_or_else(|| Closed::broken("the session is over"))
    }
}

/// Owns the connection of one session.
struct Actor {
    connection: Connection,
    liveness: Liveness,
    commands: mpsc::Receiver<Command>,
    told: mpsc::Sender<Told>,
    waiting: HashMap<u32, oneshot::Sender<Result<Bytes, v1::Error>>>,
    next_id: u32,
    cancel: CancellationToken,
}

impl Actor {
    async fn run(mut self) -> Closed {
        match self.serve().await {
            Some(closed) => closed,
            None => {
                self.connection.close(CloseCode::Done).await;
                CloseCode::Done.into()
            }
        }
    }

    /// Until the session ends; `None` when this side wants that.
    async fn serve(&mut self) -> Option<Closed> {
        let cancel = self.cancel.clone();
        let timer = sleep_until(Instant::now());
        tokio::pin!(timer);
        loop {
            let told = tokio::select! {
                biased;
                () = cancel.cancelled() => return None,
                frame = self.connection.next() => match frame {
                    Ok(frame) => self.frame(frame),
                    Err(closed) => return Some(closed),
                },
                // What cannot be written waits in its queue.
                Some(command) = self.commands.recv(), if self.connection.queued() < HIGH_WATER => {
                    self.command(command);
                    // A deadline that moves away is noticed when the timer fires.
                    if self.liveness.due() < timer.deadline() {
                        timer.as_mut().reset(self.liveness.due());
                    }
                    None
                }
                () = &mut timer => {
                    match self.liveness.poll(Instant::now()) {
                        Verdict::Dead => return Some(Closed::broken("the server is silent")),
                        Verdict::Ping => self.connection.queue(client_frame::Frame::Ping(v1::Ping { nonce: 0 })),
                        Verdict::Wait(_) => {}
                    }
                    timer.as_mut().reset(self.liveness.due());
                    None
                }
            };
            if let Some(told) = told {
                tokio::select! {
                    () = cancel.cancelled() => return None,
                    // Nobody listens: let it pass.
                    _ = self.told.send(told) => {}
                }
            }
        }
    }

    fn frame(&mut self, frame: Frame) -> Option<Told> {
        self.liveness.received();
        match frame {
            Frame::Reply(v1::Reply { id, body, error }) => {
                if let Some(reply) = self.waiting.remove(&id) {
                    let _ = reply.send(error.map_or(Ok(body), Err));
                }
                None
            }
            Frame::Ping(v1::Ping { nonce }) => {
                self.connection.queue(client_frame::Frame::Pong(v1::Pong { nonce }));
                self.liveness.sent(Instant::now(), false);
                None
            }
            Frame::Event(event) => Some(Told::Event(Box::new(event))),
            Frame::Watermark(watermark) => Some(Told::Watermark(watermark)),
            Frame::Ephemeral(ephemeral) => Some(Told::Ephemeral(ephemeral)),
            Frame::Resync(resync) => Some(Told::Resync(resync)),
            Frame::Drain(drain) => Some(Told::Drain(drain)),
            Frame::Pong(_) | Frame::Welcome(_) | Frame::Close(_) => None,
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Call { method, key, body, reply } => {
                self.next_id = self.next_id.wrapping_add(1);
                self.waiting.insert(self.next_id, reply);
                let call = v1::Call { id: self.next_id, method, key, body };
                self.connection.queue(client_frame::Frame::Call(call));
                self.liveness.sent(Instant::now(), true);
            }
            Command::Frame(frame) => {
                self.connection.queue(frame);
                self.liveness.sent(Instant::now(), false);
            }
            Command::Lossy(frame) => self.connection.queue_lossy(frame),
        }
    }
}

pub(crate) fn typing(conversation_id: &str, stopped: bool) -> client_frame::Frame {
    client_frame::Frame::Ephemeral(v1::Ephemeral {
        conversation_id: conversation_id.to_owned(),
        user_id: String::new(),
        kind: Some(v1::ephemeral::Kind::Typing(v1::Typing { stopped })),
    })
}

pub(crate) const PATIENCE: Duration = Duration::from_secs(3);
pub(crate) const HELLO_PATIENCE: Duration = Duration::from_secs(10);
pub(crate) const HIGH_WATER: usize = 256 * 1024;
