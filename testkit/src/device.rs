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
        let caught_up = async {
            while updates.recv().await.context("the client has stopped")? != Update::CaughtUp {}
            anyhow::Ok(())
        };
        timeout(LIMIT, caught_up).await.context("not caught up in a minute")??;
        Ok(Self { client, updates })
    }

    /// The text of the next message in any conversation.
    ///
    /// # Errors
    /// None comes within a minute.
    pub async fn next_text(&mut self) -> anyhow::Result<String> {
        loop {
            let update = timeout(LIMIT, self.updates.recv()).await.context("no message for a minute")?;
            let Update::Event(event) = update.context("the client has stopped")? else { continue };
            if let Some(Body::Message(v1::Message { text, .. })) = event.body {
                return Ok(text);
            }
        }
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
