use std::{
    net::Ipv4Addr,
    sync::atomic::{AtomicBool, Ordering},
};

use super::*;

#[derive(Debug, Clone, Default)]
struct Connection {
    busy: Arc<AtomicBool>,
    evicted: Arc<AtomicBool>,
}

impl Connection {
    fn busy() -> Self {
        let connection = Self::default();
        connection.busy.store(true, Ordering::Relaxed);
        connection
    }

    fn is_evicted(&self) -> bool {
        self.evicted.load(Ordering::Relaxed)
    }
}

impl Waits for Connection {
    fn is_silent(&self) -> bool {
        !self.busy.load(Ordering::Relaxed)
    }

    fn evict(&self) {
        self.evicted.store(true, Ordering::Relaxed);
    }
}

const GRACE: Duration = Duration::from_millis(250);

fn table(most: usize, most_per_source: usize) -> Arc<Table<Connection>> {
    Table::new(Bounds { most, most_per_source, grace: GRACE })
}

fn v4(last: u8) -> Option<IpAddr> {
    Some(Ipv4Addr::new(192, 0, 2, last).into())
}

#[test]
fn the_oldest_silent_one_goes_for_a_new_one() {
    let (table, begin) = (table(3, 3), Instant::now());
    let connections = [Connection::busy(), Connection::default(), Connection::default()];
    let tickets: Vec<_> = connections.iter().map(|c| table.enter(v4(1), c.clone(), begin).unwrap()).collect();
    assert!(table.enter(v4(2), Connection::default(), begin + GRACE / 2).is_none(), "none is old enough");
    let _place = table.enter(v4(2), Connection::default(), begin + GRACE).unwrap();
    assert_eq!(connections.each_ref().map(Connection::is_evicted), [false, true, false]);
    assert_eq!(table.len(), 3);
    drop(tickets);
    assert_eq!(table.len(), 1, "one that went gives its place back once");
}

#[test]
fn a_full_table_of_busy_ones_takes_no_new_one() {
    let (table, begin) = (table(2, 2), Instant::now());
    let connection = Connection::busy();
    let _places: Vec<_> = (0..2).map(|_| table.enter(None, connection.clone(), begin).unwrap()).collect();
    let later = begin + 10 * GRACE;
    assert!(table.enter(None, Connection::default(), later).is_none() && !table.evict_oldest(later));
    connection.busy.store(false, Ordering::Relaxed);
    assert!(table.evict_oldest(later) && connection.is_evicted());
    assert!(table.enter(None, Connection::default(), later).is_some());
}

#[test]
fn an_address_at_its_share_loses_its_own_oldest() {
    let (table, begin) = (table(100, 2), Instant::now());
    let other = Connection::default();
    let _other = table.enter(v4(1), other.clone(), begin).unwrap();
    let own: Vec<_> = (0..2).map(|_| Connection::default()).collect();
    let _places: Vec<_> = own.iter().map(|c| table.enter(v4(2), c.clone(), begin).unwrap()).collect();
    assert!(table.enter(v4(2), Connection::default(), begin).is_none());
    let _third = table.enter(v4(2), Connection::default(), begin + GRACE).unwrap();
    assert!(own[0].is_evicted() && !own[1].is_evicted() && !other.is_evicted());
    assert_eq!(table.len(), 3);
}

#[test]
fn what_is_open_already_is_never_refused() {
    let (table, now) = (table(1, 1), Instant::now());
    let _one = table.enter_open(Connection::busy(), now);
    let _two = table.enter_open(Connection::busy(), now + GRACE);
    assert_eq!(table.len(), 2);
}

#[test]
fn nothing_is_kept_of_who_has_gone() {
    let (table, now) = (table(8, 8), Instant::now());
    drop(table.enter(v4(1), Connection::default(), now));
    assert!(table.len() == 0 && table.inner.lock().by_source.is_empty());
}
