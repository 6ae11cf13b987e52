//! The queue of the stream to one core: bounded, and without I/O.

use std::collections::VecDeque;

use gogochat_proto::node::{
    self,
    edge_item::{self, Item},
};

/// What waits for the stream. Empty while there is none.
#[derive(Debug, Default)]
pub(super) struct CoreQueue {
    state: State,
    /// Goes by itself, before all else.
    hello: Option<Item>,
    items: VecDeque<Item>,
    bytes: usize,
    /// Counts streams, so that an old one takes nothing meant for a new one.
    stream: u64,
}

/// How the stream stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum State {
    /// None is open.
    #[default]
    Detached,
    /// It takes what it is sent.
    Open,
    /// Something was not kept that the core has to know: the stream has to end.
    Overrun,
    /// The core has sent everything that it commits, and nothing is asked of it any more. Once what
    /// waits was taken, this side ends. `complete`: by then it has said all that concerns the core.
    Draining {
        /// See [`State::Draining`].
        complete: bool,
    },
    /// This side has ended so.
    Drained {
        /// See [`State::Draining`].
        complete: bool,
    },
}

/// What became of an item that the core has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// It waits.
    Queued,
    /// There was no place: the stream has to end, and the next one begins with an announcement.
    Overrun,
    /// No stream takes it.
    Closed,
}

/// What became of a command.
#[derive(Debug)]
pub(super) enum Offered {
    /// It waits.
    Queued,
    /// There is no place for now.
    Full(node::Command),
    /// Its stream has ended, or is about to.
    Closed,
}

/// What a stream carries next.
#[derive(Debug)]
pub(super) enum Batch {
    /// These items.
    Items(Vec<node::EdgeItem>),
    /// Nothing waits.
    Empty,
    /// This side ends.
    End,
}

impl CoreQueue {
    /// Whether a stream is open.
    pub(super) fn is_attached(&self) -> bool {
        self.state != State::Detached
    }

    /// Whether a stream is open and takes what it is sent.
    pub(super) fn takes(&self) -> bool {
        self.state == State::Open
    }

    /// How the stream stands.
    pub(super) fn state(&self) -> State {
        self.state
    }

    /// The number of the stream, which may not be open yet.
    pub(super) fn stream(&self) -> u64 {
        self.stream
    }

    /// Items that wait.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// Begins anew for the stream of this number. It may carry `hello`, and is not open yet.
    pub(super) fn begin(&mut self, stream: u64, hello: Option<Item>) {
        *self = Self { stream, hello, ..Self::default() };
    }

    /// The stream is open.
    pub(super) fn open(&mut self) {
        self.state = State::Open;
    }

    /// The core has sent everything: see [`State::Draining`].
    pub(super) fn drain(&mut self, complete: bool) {
        if self.takes() {
            self.state = State::Draining { complete };
        }
    }

    /// Adds an item that the core has to know; at most `most` wait.
    pub(super) fn send(&mut self, item: Item, most: usize) -> Sent {
        if !self.takes() {
            Sent::Closed
        } else if self.items.len() < most {
            self.items.push_back(item);
            Sent::Queued
        } else {
            self.state = State::Overrun;
            Sent::Overrun
        }
    }

    /// Adds an item that may be lost. `false`: it is.
    pub(super) fn offer(&mut self, item: Item) -> bool {
        let room = self.takes() && self.has_room();
        if room {
            self.push(item);
        }
        room
    }

    /// Adds a command for the stream of this number.
    pub(super) fn command(&mut self, command: node::Command, stream: u64) -> Offered {
        if self.stream != stream || matches!(self.state, State::Draining { .. } | State::Drained { .. }) {
            Offered::Closed
        } else if self.has_room() {
            self.push(Item::Command(command));
            Offered::Queued
        } else {
            Offered::Full(command)
        }
    }

    /// Takes what waits for the stream of this number, up to a batch's size.
    pub(super) fn take(&mut self, stream: u64) -> Batch {
        if self.stream != stream {
            return Batch::End;
        }
        let hello = self.hello.take().map(|hello| node::EdgeItem { item: Some(hello) });
        let mut items: Vec<_> = hello.into_iter().collect();
        let mut bytes = 0;
        while items.len() < BATCH_ITEMS
            && bytes < BATCH_BYTES
            && let Some(item) = self.items.pop_front()
        {
            bytes += size(&item);
            items.push(node::EdgeItem { item: Some(item) });
        }
        self.bytes = self.bytes.saturating_sub(bytes);
        if self.items.is_empty() && self.items.capacity() > BATCH_ITEMS {
            self.items = VecDeque::new();
        }
        match self.state {
            _ if !items.is_empty() => Batch::Items(items),
            State::Draining { complete } | State::Drained { complete } => {
                self.state = State::Drained { complete };
                Batch::End
            }
            State::Detached | State::Open | State::Overrun => Batch::Empty,
        }
    }

    fn has_room(&self) -> bool {
        self.items.len() < MAX_ITEMS && self.bytes < MAX_BYTES
    }

    fn push(&mut self, item: Item) {
        self.bytes += size(&item);
        self.items.push_back(item);
    }
}

/// Bytes of an item, where it may be large.
fn size(item: &Item) -> usize {
    match item {
        edge_item::Item::Command(command) => command.body.len(),
        edge_item::Item::Marks(up) => up.marks.len() * MARK_BYTES,
        edge_item::Item::Ephemeral(up) => up.ephemeral.len(),
        _ => 0,
    }
}

/// Items that wait for the stream, before commands wait outside.
pub(super) const MAX_ITEMS: usize = 16_384;
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// A batch stays below the 4 MiB that tonic decodes by default.
const BATCH_ITEMS: usize = 1_024;
const BATCH_BYTES: usize = 512 * 1024;
/// A mark on its way: the log's id and two numbers.
const MARK_BYTES: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    fn close(session: u64) -> Item {
        Item::Close(node::SessionClose { session })
    }

    /// The queue of a stream of number 1 that is open.
    fn open() -> CoreQueue {
        let mut queue = CoreQueue::default();
        queue.begin(1, None);
        queue.open();
        queue
    }

    #[test]
    fn hello_goes_first_and_before_the_stream_is_open() {
        let mut queue = CoreQueue::default();
        queue.begin(1, Some(Item::Hello(node::EdgeHello::default())));
        assert_eq!(queue.send(close(1), 10), Sent::Closed);
        assert!(!queue.is_attached());
        assert!(
            matches!(queue.take(1), Batch::Items(items) if matches!(items[..], [node::EdgeItem { item: Some(Item::Hello(_)) }]))
        );
        assert!(matches!(queue.take(1), Batch::Empty));
        assert!(matches!(queue.take(2), Batch::End), "of another stream");
    }

    #[test]
    fn an_item_past_the_bound_ends_the_stream() {
        let mut queue = open();
        assert_eq!((queue.send(close(1), 2), queue.send(close(2), 2)), (Sent::Queued, Sent::Queued));
        assert_eq!(queue.send(close(3), 2), Sent::Overrun);
        assert_eq!((queue.send(close(4), 9), queue.state()), (Sent::Closed, State::Overrun));
        queue.drain(true);
        assert_eq!(queue.state(), State::Overrun, "what was lost stays lost");
    }

    #[test]
    fn a_command_waits_outside_and_goes_on_no_other_stream() {
        let mut queue = open();
        while queue.len() < MAX_ITEMS {
            queue.send(close(1), MAX_ITEMS);
        }
        assert!(matches!(queue.command(node::Command::default(), 1), Offered::Full(_)));
        assert!(!queue.offer(close(1)));
        assert!(matches!(queue.take(1), Batch::Items(items) if items.len() == BATCH_ITEMS));
        assert!(matches!(queue.command(node::Command::default(), 1), Offered::Queued));
        assert!(matches!(queue.command(node::Command::default(), 2), Offered::Closed));
    }

    #[test]
    fn a_drained_stream_ends_behind_what_waits() {
        let mut queue = open();
        queue.send(close(1), 10);
        queue.drain(true);
        assert_eq!(queue.send(close(2), 10), Sent::Closed);
        assert!(matches!(queue.command(node::Command::default(), 1), Offered::Closed));
        assert!(matches!(queue.take(1), Batch::Items(items) if items.len() == 1));
        assert_eq!(queue.state(), State::Draining { complete: true });
        assert!(matches!(queue.take(1), Batch::End));
        assert_eq!(queue.state(), State::Drained { complete: true });
    }
}
