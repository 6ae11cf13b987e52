//! What `--transport` chooses: over which transports the clients of a scenario go.

use clap::ValueEnum;
use gogochat_client::Transport;

/// The choice, by its name on the command line and in reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Transports {
    /// WebTransport.
    Wt,
    /// A WebSocket over TLS.
    Wss,
    /// A WebSocket in clear.
    Ws,
    /// Every other session over WebTransport, the rest over a WebSocket with TLS.
    Mixed,
}

impl Transports {
    /// The name on the command line and in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Wt => "wt",
            Self::Wss => "wss",
            Self::Ws => "ws",
            Self::Mixed => "mixed",
        }
    }

    /// What clients take in turn.
    pub(crate) fn in_turn(self) -> &'static [Transport] {
        match self {
            Self::Wt => &[Transport::WebTransport],
            Self::Wss | Self::Ws => &[Transport::WebSocket],
            Self::Mixed => &[Transport::WebTransport, Transport::WebSocket],
        }
    }
}
