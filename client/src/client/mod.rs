//! A client that outlives its connections: it reconnects, resumes, repairs, and sends until it is
//! acknowledged.

mod actor;
mod backoff;
mod calls;
mod groups;
mod log;
mod marks;
mod moving;
mod options;
mod outbox;
mod replica;
mod session_dialer;
mod update;

use std::sync::Arc;

use bytes::Bytes;
use gogochat_proto::{
    ids::{ClientMsgId, LogId},
    v1,
};
use prost::Message;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::{
    actor::{Actor, Command, Sink, Wiring},
    session_dialer::SessionDialer,
};
pub use self::{
    backoff::Backoff,
    options::{Cursors, Options, Path},
    update::Update,
};
use crate::{Account, CallError, Closed, Dialer};

/// A device of a user. Clones share it; when the last is dropped, it says goodbye.
#[derive(Debug, Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

/// Why a message was not taken into the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    /// Too many messages wait already.
    #[error("the outbox is full")]
    Full,
    /// The client has stopped.
    #[error("the client has stopped")]
    Stopped,
}

#[derive(Debug)]
struct Shared {
    commands: mpsc::Sender<Command>,
    /// One for each message that may wait in the outbox.
    room: Arc<Semaphore>,
    /// One for each call of the application's that may wait for its reply.
    permits: Semaphore,
    online: watch::Receiver<Option<v1::Welcome>>,
    stopped: CancellationToken,
    _cancel: DropGuard,
}

impl Client {
    /// Starts a client. The receiver gets its updates and is to be read: when 1,024 wait, the
    /// client reads no further.
    #[must_use]
    pub fn start(dialer: &Dialer, account: Arc<Account>, options: Options) -> (Self, mpsc::Receiver<Update>) {
        let (updates, queue) = mpsc::channel(1024);
        (Self::spawn(dialer, account, options, Sink::Channel(updates)), queue)
    }

    /// Starts a client that hands its updates to a function, on its own task: it must not block.
    /// The cheapest way for many clients.
    #[must_use]
    pub fn start_with(
        dialer: &Dialer,
        account: Arc<Account>,
        options: Options,
        update: impl FnMut(Update) + Send + 'static,
    ) -> Self {
        Self::spawn(dialer, account, options, Sink::Function(Box::new(update)))
    }

    fn spawn(dialer: &Dialer, account: Arc<Account>, options: Options, sink: Sink) -> Self {
        let (commands, queue) = mpsc::channel(1024);
        let (online, online_seen) = watch::channel(None);
        let (cancel, stopped) = (CancellationToken::new(), CancellationToken::new());
        let room = Arc::new(Semaphore::new(MAX_OUTBOX));
        let dialer = SessionDialer {
            dialer: dialer.clone(),
            account,
            target: options.target.clone(),
            others: options.others.iter().cloned().collect(),
            path: options.path,
            ticket: Bytes::new(),
        };
        let wiring = Wiring { commands: queue, sink, online, cancel: cancel.clone(), room: Arc::clone(&room) };
        let actor = Actor::new(dialer, options, wiring);
        let guard = stopped.clone().drop_guard();
        tokio::spawn(async move {
            actor.run().await;
            drop(guard);
        });
        let shared = Shared {
            commands,
            room,
            permits: Semaphore::new(MAX_CALLS),
            online: online_seen,
            stopped,
            _cancel: cancel.drop_guard(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Puts a message into the outbox, under a new id. [`Update::Sent`] tells what became of it.
    ///
    /// # Errors
    /// The outbox is full, or the client has stopped.
    pub fn post(&self, conversation: LogId, text: impl Into<String>) -> Result<ClientMsgId, PostError> {
        let id = ClientMsgId::new_v7();
        self.post_as(conversation, id, text).map(|()| id)
    }

    /// [`Self::post`] under an id of the caller's: one that was used before is recognised as a repeat.
    ///
    /// # Errors
    /// As [`Self::post`].
    pub fn post_as(&self, conversation: LogId, id: ClientMsgId, text: impl Into<String>) -> Result<(), PostError> {
        self.put(Command::Post { conversation, id, text: text.into(), acknowledged: None })
    }

    /// Sends a message and waits until it is acknowledged, over as many sessions as that takes.
    ///
    /// # Errors
    /// [`CallError::Refused`] for good, or the client stopped first.
    pub async fn send(
        &self,
        conversation: LogId,
        text: impl Into<String>,
    ) -> Result<v1::SendMessageResponse, CallError> {
        let (acknowledged, answer) = oneshot::channel();
        let (id, text) = (ClientMsgId::new_v7(), text.into());
        self.put(Command::Post { conversation, id, text, acknowledged: Some(acknowledged) }).map_err(Closed::broken)?;
        answer.await.map_err(|_| Closed::broken(PostError::Stopped))?.map_err(CallError::Refused)
    }

    /// Calls a method over the session that stands; see [`crate::Session::call`]. A request with a
    /// client_msg_id that is refused for now is repeated as it is, for up to 30 s.
    ///
    /// # Errors
    /// Refused; or there is no session, or it ended first.
    pub async fn call<Req: Message, Resp: Message + Default>(
        &self,
        method: &str,
        key: &str,
        request: &Req,
    ) -> Result<Resp, CallError> {
        let stopped = || CallError::Closed(Closed::broken(PostError::Stopped));
        let _permit = self.shared.permits.acquire().await.map_err(|_| stopped())?;
        let (reply, answer) = oneshot::channel();
        let body = Bytes::from(request.encode_to_vec());
        let command = Command::Call { method: method.to_owned(), key: key.to_owned(), body, reply };
        self.shared.commands.send(command).await.map_err(|_| stopped())?;
        let body = answer.await.map_err(|_| stopped())??;
        Resp::decode(body).map_err(|_| CallError::Malformed)
    }

    /// The user has seen everything up to `seq`.
    pub async fn read(&self, conversation: LogId, seq: i64) {
        let _ = self.shared.commands.send(Command::Read { conversation, seq }).await;
    }

    /// The user types, or has stopped. May be lost.
    pub async fn typing(&self, conversation: LogId, stopped: bool) {
        let _ = self.shared.commands.send(Command::Typing { conversation, stopped }).await;
    }

    /// Asks the server what this device has missed, even if nothing hints at it.
    pub async fn resync(&self) {
        let _ = self.shared.commands.send(Command::Resync).await;
    }

    /// Waits until a session stands, and gives what the server said at its beginning; `None` when
    /// the client has stopped.
    pub async fn online(&self) -> Option<v1::Welcome> {
        let mut online = self.shared.online.clone();
        tokio::select! {
            biased;
            () = self.shared.stopped.cancelled() => None,
            welcome = online.wait_for(Option::is_some) => welcome.ok().and_then(|welcome| welcome.clone()),
        }
    }

    /// Where this device stands, for [`Options::cursors`] at a later start; `None` when the client
    /// has stopped.
    pub async fn cursors(&self) -> Option<Cursors> {
        let (reply, answer) = oneshot::channel();
        self.shared.commands.send(Command::Cursors(reply)).await.ok()?;
        answer.await.ok()
    }

    /// Says goodbye, and waits until that is done. Other clones are of no use after it.
    pub async fn stop(self) {
        let _ = self.shared.commands.send(Command::Stop).await;
        self.shared.stopped.cancelled().await;
    }

    fn put(&self, command: Command) -> Result<(), PostError> {
        // It is given back when the message has left the outbox.
        self.shared.room.try_acquire().map_err(|_| PostError::Full)?.forget();
        self.shared.commands.try_send(command).map_err(|error| {
            self.shared.room.add_permits(1);
            match error {
                mpsc::error::TrySendError::Full(_) => PostError::Full,
                mpsc::error::TrySendError::Closed(_) => PostError::Stopped,
            }
        })
    }
}

const MAX_OUTBOX: usize = 10_000;
const MAX_CALLS: usize = 64;
