//! The trait by which listeners hand over a client's session.

use std::{future::Future, sync::Arc};

use crate::transport::Transport;

/// Serves the sessions of clients.
pub(crate) trait ServeSession: Send + Sync + 'static {
    /// Serves one session, from its transport's handshake to its end.
    fn serve(self: Arc<Self>, transport: Transport) -> impl Future<Output = ()> + Send;
}
