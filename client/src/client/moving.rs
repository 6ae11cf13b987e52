//! A server that drains: where to go, and when. The new session stands before the old one is left.

use std::time::Duration;

use gogochat_proto::v1;
use tokio::time::{Instant, sleep};

use super::{
    options::Path,
    session_dialer::{Opened, SessionDialer},
};
use crate::{Target, Transport};

/// Where a session stands that is to be given up.
#[derive(Default)]
pub(super) enum Moving {
    /// It is not.
    #[default]
    No,
    /// Another is being opened.
    Opening(std::pin::Pin<Box<dyn Future<Output = Option<Opened>> + Send>>),
    /// Another stands; here, the replies that are due are waited for until then.
    Settling(Box<Opened>, Instant),
}

impl Moving {
    /// The server drains. Over `transport`, the one in use.
    pub(super) fn begin(&mut self, dialer: &SessionDialer, transport: Transport, drain: &v1::Drain) {
        if matches!(self, Self::No) {
            *self = Self::Opening(Box::pin(open(dialer.clone(), transport, drain.clone(), rand::random())));
        }
    }

    /// The other session, or `None` when there is nowhere to go. Pending unless one is being
    /// opened. Cancel-safe.
    pub(super) async fn opened(&mut self) -> Option<Opened> {
        match self {
            Self::Opening(opening) => opening.await,
            Self::No | Self::Settling(..) => std::future::pending().await,
        }
    }

    /// Whether another session stands.
    pub(super) fn is_settling(&self) -> bool {
        matches!(self, Self::Settling(..))
    }

    /// When it is moved to at the latest.
    pub(super) fn due(&self) -> Option<Instant> {
        match self {
            Self::Settling(_, due) => Some(*due),
            Self::No | Self::Opening(_) => None,
        }
    }

    /// The other session, when there is one.
    pub(super) fn take(&mut self) -> Option<Opened> {
        match std::mem::take(self) {
            Self::Settling(opened, _) => Some(*opened),
            Self::No | Self::Opening(_) => None,
        }
    }
}

/// Opens another session: at the edge that was named, else at the address that this client has. All
/// clients of a server are told at once, so each begins at a moment of its own (`random` in 0..1)
/// in the deadline's first quarter. `None`: with no edge named, none opened in the first half; a
/// server that is alone is not kept from ending then.
async fn open(dialer: SessionDialer, transport: Transport, drain: v1::Drain, random: f64) -> Option<Opened> {
    let deadline = Duration::from_millis(drain.deadline_ms.max(0).unsigned_abs().into());
    let until = Instant::now() + deadline / 2;
    sleep(deadline.div_f64(4.0).mul_f64(random)).await;
    let ticket = if drain.ticket.is_empty() { dialer.ticket.clone() } else { drain.ticket };
    let dialer = SessionDialer { ticket, ..dialer };
    let elsewhere = follow(&dialer.target, &drain.target);
    if let Some(target) = &elsewhere {
        let there = SessionDialer { target: target.clone(), path: Path::Only(transport), ..dialer.clone() };
        let patience = (deadline / 4).max(LEAST_PATIENCE);
        match tokio::time::timeout(patience, there.dial()).await {
            Ok(Ok(opened)) => return Some(opened),
            Ok(Err(_)) | Err(_) => tracing::debug!(%target, "the edge that was named takes no session"),
        }
    }
    loop {
        if let Ok(opened) = dialer.clone().dial().await {
            return Some(opened);
        }
        let again = Instant::now() + AGAIN.mul_f64(0.5 + rand::random::<f64>());
        // With other edges about, there is more to be had than by leaving this one.
        if elsewhere.is_none() && again >= until {
            return None;
        }
        tokio::time::sleep_until(again).await;
    }
}

/// The address that a server named, if it may be followed: its certificate has to be good for its
/// own name, so that nobody else gets to see the token. From elsewhere no one is sent to what
/// listens on this machine, where any certificate may be taken.
fn follow(own: &Target, named: &str) -> Option<Target> {
    let target: Target = named.parse().ok()?;
    (own.is_secure() && target.is_secure() && (own.is_loopback() || !target.is_loopback())).then_some(target)
}

const LEAST_PATIENCE: Duration = Duration::from_secs(1);
const AGAIN: Duration = Duration::from_secs(1);
/// How long the replies that are due at the old session are waited for.
pub(super) const SETTLE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_astray() {
        let followed = |own: &str, named: &str| follow(&own.parse().unwrap(), named).is_some();
        assert!(followed("https://chat.example", "https://edge-2.example:8443"));
        assert!(followed("https://127.0.0.1:1", "https://127.0.0.1:2"));
        for named in
            ["", "http://edge-2.example", "https://127.0.0.1:2", "https://localhost", "edge-2", "https://edge-2/wt"]
        {
            assert!(!followed("https://chat.example", named), "{named}");
        }
        assert!(!followed("http://127.0.0.1:8080", "https://127.0.0.1:2"), "what is in clear cannot vouch for another");
    }
}
