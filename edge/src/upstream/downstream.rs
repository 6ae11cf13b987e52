//! The trait by which the Attach stream hands on what cores send.

use std::{future::Future, sync::Arc};

use gogochat_proto::node::core_item;

use super::core_stream::CoreStream;

/// Takes what the cores send.
pub(crate) trait Downstream: Send + Sync + 'static {
    /// What a core has to know first on a new stream.
    type Announcement: Announcement;

    /// A stream was opened: what this core has to know first.
    fn attached(&self, core: &Arc<CoreStream>) -> Self::Announcement;
    /// The core sent an item, on the stream of this number.
    fn item(&self, item: core_item::Item, core: &Arc<CoreStream>, stream: u64) -> impl Future<Output = ()> + Send;
    /// The stream has ended: what was sent on it may or may not have been seen.
    fn detached(&self, core: &Arc<CoreStream>, stream: u64, end: StreamEnd);
    /// The core goes away: its sessions move to others.
    fn leaving(&self, core: &Arc<CoreStream>);
}

/// How a stream to a core has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamEnd {
    /// In good order: before that the core sent everything that it has committed.
    InOrder,
    /// Any other end. The core may have committed what it did not send.
    Lost,
}

/// What a core has to know first on a new stream, sent bit by bit as the stream takes it.
pub(crate) trait Announcement: Send {
    /// Sends the next bit. `false`: there is no more.
    fn send_next(&mut self) -> bool;
}
