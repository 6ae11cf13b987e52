//! A device of a person, with the Rust client.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use gogochat_client::{
    Account, Client, Dialer, Options, Rest, Target, Transport, Trust, Update,
    proto::v1::{self, event::Body},
};
use tokio::{sync::mpsc, time::timeout};

use crate::people::PASSWORD;

/// A client that is online and knows its conversations, and what it is told from then on.
#[derive(Debug)]
pub struct Device {
    /// The client.
    pub client: Client,
    updates: mpsc::Receiver<Update>,
    sessions: Sessions,
}

/// What has become of a device's sessions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sessions {
    /// How many were begun.
    pub begun: usize,
    /// How often there was none any more.
    pub lost: usize,
    /// How many were begun with a ticket that was good.
    pub tickets: usize,
}

impl Sessions {
    fn note(&mut self, update: &Update) {
        match update {
            Update::Online { welcome, .. } => {
                self.begun += 1;
                self.tickets += usize::from(welcome.ticket_use() == v1::TicketUse::Taken);
            }
            Update::Offline { .. } => self.lost += 1,
            _ => {}
        }
    }
}

impl Device {
    /// Signs the person of this name in at the edge's address, on a device of its own.
    ///
    /// # Errors
    /// The server refused, or is not there.
    pub async fn sign_in(edge: SocketAddr, name: &str, transport: Transport) -> anyhow::Result<Self> {
        let dialer = Dialer::new(Trust::AnyOnLoopback)?;
        let target: Target = format!("https://{edge}").parse()?;
        let rest = Arc::new(Rest::new(dialer.clone(), target.clone()));
        let account = Account::log_in(rest, name, PASSWORD, "test").await?;
        let (client, mut updates) = Client::start(&dialer, Arc::new(account), Options::new(target, transport));
        // Until then it does not know its conversations: where one begins is what the first Sync says.
        let mut sessions = Sessions::default();
        let caught_up = async {
            loop {
                let update = updates.recv().await.context("the client has stopped")?;
                sessions.note(&update);
                if update == Update::CaughtUp {
                    return anyhow::Ok(());
                }
            }
        };
        timeout(LIMIT, caught_up).await.context("not caught up in a minute")??;
        Ok(Self { client, updates, sessions })
    }

    /// The text of the next message in any conversation.
    ///
    /// # Errors
    /// None comes within a minute.
    pub async fn next_text(&mut self) -> anyhow::Result<String> {
        loop {
            let update = timeout(LIMIT, self.updates.recv()).await.context("no message for a minute")?;
            let update = update.context("the client has stopped")?;
            self.sessions.note(&update);
            let Update::Event(event) = update else { continue };
            if let Some(Body::Message(v1::Message { text, .. })) = event.body {
                return Ok(text);
            }
        }
    }

    /// Stops it, and tells what became of its sessions.
    ///
    /// # Errors
    /// It does not end within a minute.
    pub async fn sessions(self) -> anyhow::Result<Sessions> {
        let Self { client, mut updates, mut sessions } = self;
        let stopped = async {
            let told = async {
                while let Some(update) = updates.recv().await {
                    sessions.note(&update);
                }
            };
            tokio::join!(client.stop(), told);
        };
        timeout(LIMIT, stopped).await.context("still there after a minute")?;
        Ok(sessions)
    }

    /// Waits until the server has ended it for good.
    ///
    /// # Errors
    /// It has not within a minute.
    pub async fn signed_out(&mut self) -> anyhow::Result<()> {
        loop {
            let update = timeout(LIMIT, self.updates.recv()).await.context("still signed in after a minute")?;
            if matches!(update.context("the client has stopped")?, Update::Ended(_)) {
                return Ok(());
            }
        }
    }
}

const LIMIT: Duration = Duration::from_secs(60);
