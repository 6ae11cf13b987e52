//! A table of connections that wait for their client, oldest first. When it is full, the oldest
//! silent one is closed. So a client that has something to say is not turned away for clients that
//! say nothing.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

/// A connection in a [`Table`].
pub(crate) trait Waits: Clone {
    /// Whether it waits for its client, and nothing has come that was not taken yet.
    fn is_silent(&self) -> bool;
    /// Ends the connection, soon.
    fn evict(&self);
}

/// Connections that wait.
#[derive(Debug)]
pub(crate) struct Table<T> {
    bounds: Bounds,
    inner: Mutex<Inner<T>>,
}

/// What a table has room for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Connections.
    pub(crate) most: usize,
    /// Connections of one address.
    pub(crate) most_per_source: usize,
    /// One that is younger than this never goes.
    pub(crate) grace: Duration,
}

#[derive(Debug)]
struct Inner<T> {
    next: u64,
    entries: BTreeMap<u64, Entry<T>>,
    by_source: HashMap<IpAddr, usize>,
}

#[derive(Debug)]
struct Entry<T> {
    item: T,
    source: Option<IpAddr>,
    since: Instant,
}

/// A connection's place in a table, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Ticket<T: Waits> {
    table: Arc<Table<T>>,
    id: u64,
}

impl<T: Waits> Table<T> {
    pub(crate) fn new(bounds: Bounds) -> Arc<Self> {
        let inner = Inner { next: 0, entries: BTreeMap::new(), by_source: HashMap::new() };
        Arc::new(Self { bounds, inner: Mutex::new(inner) })
    }

    /// Takes a connection in. `source`: the address whose share it takes; `None`: nobody's. `None`
    /// is given when there is no room: of those that might go for it none is silent, or old enough.
    pub(crate) fn enter(self: &Arc<Self>, source: Option<IpAddr>, item: T, now: Instant) -> Option<Ticket<T>> {
        let Bounds { most, most_per_source, .. } = self.bounds;
        let mut inner = self.inner.lock();
        let mut gone = Vec::new();
        let mut room = true;
        if source.is_some_and(|source| inner.by_source.get(&source).is_some_and(|count| *count >= most_per_source)) {
            let oldest = inner.take_oldest(now, self.bounds.grace, |entry| entry.source == source);
            room = oldest.is_some();
            gone.extend(oldest);
        }
        if room && inner.entries.len() >= most {
            let oldest = inner.take_oldest(now, self.bounds.grace, |_| true);
            room = oldest.is_some();
            gone.extend(oldest);
        }
        let ticket = room.then(|| Ticket { table: self.clone(), id: inner.insert(source, item, now) });
        drop(inner);
        gone.iter().for_each(Waits::evict);
        ticket
    }

    /// Takes a connection in that is open already, whether there is room or not; where there is
    /// none, the oldest silent one goes.
    pub(crate) fn enter_open(self: &Arc<Self>, item: T, now: Instant) -> Ticket<T> {
        let mut inner = self.inner.lock();
        let full = inner.entries.len() >= self.bounds.most;
        let gone = full.then(|| inner.take_oldest(now, self.bounds.grace, |_| true)).flatten();
        let id = inner.insert(None, item, now);
        drop(inner);
        if let Some(gone) = gone {
            gone.evict();
        }
        Ticket { table: self.clone(), id }
    }

    /// Ends the oldest silent connection; `false`: there is none that is old enough.
    pub(crate) fn evict_oldest(&self, now: Instant) -> bool {
        let gone = self.inner.lock().take_oldest(now, self.bounds.grace, |_| true);
        gone.inspect(Waits::evict).is_some()
    }

    /// How many are in it.
    pub(crate) fn len(&self) -> usize {
        self.inner.lock().entries.len()
    }
}

impl<T: Waits> Inner<T> {
    fn insert(&mut self, source: Option<IpAddr>, item: T, now: Instant) -> u64 {
        let id = self.next;
        self.next += 1;
        if let Some(source) = source {
            *self.by_source.entry(source).or_default() += 1;
        }
        self.entries.insert(id, Entry { item, source, since: now });
        id
    }

    fn take_oldest(&mut self, now: Instant, grace: Duration, may_go: impl Fn(&Entry<T>) -> bool) -> Option<T> {
        let old = self.entries.iter().take_while(|(_, entry)| now.saturating_duration_since(entry.since) >= grace);
        let id = old.filter(|(_, entry)| may_go(entry) && entry.item.is_silent()).map(|(id, _)| *id).next()?;
        self.remove(id)
    }

    fn remove(&mut self, id: u64) -> Option<T> {
        let Entry { item, source, .. } = self.entries.remove(&id)?;
        if let Some(source) = source
            && let Some(count) = self.by_source.get_mut(&source)
        {
            *count -= 1;
            if *count == 0 {
                self.by_source.remove(&source);
            }
        }
        Some(item)
    }
}

impl<T: Waits> Drop for Ticket<T> {
    fn drop(&mut self) {
        let gone = self.table.inner.lock().remove(self.id);
        // The lock is free again: what was in the table may have a ticket of its own.
        drop(gone);
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
