//! Limits on who may connect: connections by address, and handshakes over QUIC, which cost the
//! most, by address and in all. [`crate::door`] bounds the handshakes over TCP by itself, so
//! neither kind takes the places of the other.

use std::{net::IpAddr, sync::Arc, time::Duration};

use dashmap::{DashMap, Entry};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    address::source,
    config::Limits,
    door::{Bounds, Table, Ticket, Waits},
};

/// Counts connections.
#[derive(Debug)]
pub(crate) struct Admission {
    by_source: DashMap<IpAddr, usize>,
    handshakes: Arc<Table<Handshake>>,
    per_address: usize,
}

/// A connection's place, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    admission: Arc<Admission>,
    source: IpAddr,
}

/// A handshake over QUIC that is under way. Its place is given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Shaking {
    handshake: Handshake,
    _ticket: Ticket<Handshake>,
}

/// Of a handshake over QUIC nothing is seen until it is over.
#[derive(Debug, Clone, Default)]
struct Handshake(CancellationToken);

impl Waits for Handshake {
    fn is_silent(&self) -> bool {
        true
    }

    fn evict(&self) {
        self.0.cancel();
    }
}

impl Admission {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        let bounds = Bounds { most: MAX_HANDSHAKES, most_per_source: HANDSHAKES_PER_ADDRESS, grace: GRACE };
        Arc::new(Self {
            by_source: DashMap::new(),
            handshakes: Table::new(bounds),
            per_address: limits.connections_per_address,
        })
    }

    /// Takes a connection in. `None`: its address has as many as it may.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let source = source(address);
        let mut count = self.by_source.entry(source).or_default();
        // Programs on this machine are its operator's, or stand for everybody behind a proxy.
        if self.per_address != 0 && *count >= self.per_address && !source.is_loopback() {
            return None;
        }
        *count += 1;
        drop(count);
        Some(Place { admission: self.clone(), source })
    }

    /// Begins a handshake over QUIC. `None`: too many are under way that have just begun.
    pub(crate) fn shake(&self, address: IpAddr) -> Option<Shaking> {
        let handshake = Handshake::default();
        let share = Some(source(address)).filter(|source| !source.is_loopback());
        let ticket = self.handshakes.enter(share, handshake.clone(), Instant::now())?;
        Some(Shaking { handshake, _ticket: ticket })
    }

    /// Whether so many handshakes are under way that addresses are to prove themselves first.
    pub(crate) fn is_pressed(&self) -> bool {
        self.handshakes.len() > PRESSED
    }
}

impl Shaking {
    /// Done when its place is needed for another.
    pub(crate) async fn evicted(&self) {
        self.handshake.0.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Entry::Occupied(mut entry) = self.admission.by_source.entry(self.source) {
            let count = entry.get_mut();
            *count = count.saturating_sub(1);
            if *count == 0 {
                entry.remove();
            }
        }
    }
}

/// Handshakes over QUIC under way at once; past it the oldest goes.
const MAX_HANDSHAKES: usize = 2_048;
/// Those of one address: an eighth.
const HANDSHAKES_PER_ADDRESS: usize = 256;
/// A handshake that is younger than this never goes: when a whole system connects anew, the server
/// is what is slow.
const GRACE: Duration = Duration::from_secs(2);
/// Handshakes under way from which on QUIC clients prove their address first (RFC 9000 section
/// 8.1.2), which costs them a round trip.
const PRESSED: usize = 512;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn admission(connections_per_address: usize) -> Arc<Admission> {
        Admission::new(&Limits { connections_per_address, ..Limits::default() })
    }

    fn v4(last: u8) -> IpAddr {
        Ipv4Addr::new(192, 0, 2, last).into()
    }

    #[test]
    fn an_address_has_its_share_and_no_more() {
        let admission = admission(3);
        let mut places: Vec<_> = (0..3).map(|_| admission.admit(v4(1)).unwrap()).collect();
        assert!(admission.admit(v4(1)).is_none());
        assert!(admission.admit("::ffff:192.0.2.1".parse().unwrap()).is_none(), "the same, written otherwise");
        assert!(admission.admit(v4(2)).is_some(), "others are not concerned");
        places.pop();
        assert!(admission.admit(v4(1)).is_some());
        drop(places);
        assert!(admission.by_source.is_empty(), "nothing is kept of who has gone");
    }

    #[test]
    fn a_subscriber_of_ipv6_is_one_address() {
        let admission = admission(1);
        let _place = admission.admit("2001:db8:0:1::1".parse().unwrap()).unwrap();
        assert!(admission.admit("2001:db8:0:1:ffff::2".parse().unwrap()).is_none());
        assert!(admission.admit("2001:db8:0:2::1".parse().unwrap()).is_some());
    }

    #[test]
    fn this_machine_is_not_bounded_by_address() {
        let admission = admission(1);
        let local: IpAddr = Ipv4Addr::LOCALHOST.into();
        let _places: Vec<_> = (0..10).map(|_| admission.admit(local).unwrap()).collect();
        let _shaking: Vec<_> = (0..=HANDSHAKES_PER_ADDRESS).map(|_| admission.shake(local).unwrap()).collect();
    }

    #[tokio::test(start_paused = true)]
    async fn handshakes_are_bounded_by_address_and_in_all_and_the_oldest_goes() {
        let admission = admission(0);
        let mut shaking: Vec<_> = (0..HANDSHAKES_PER_ADDRESS).map(|_| admission.shake(v4(1)).unwrap()).collect();
        assert!(admission.shake(v4(1)).is_none() && !admission.is_pressed());
        for host in 2..=8 {
            shaking.extend((0..HANDSHAKES_PER_ADDRESS).map(|_| admission.shake(v4(host)).unwrap()));
        }
        assert!(admission.is_pressed());
        assert!(admission.shake(v4(9)).is_none(), "{MAX_HANDSHAKES} are under way, none of them for long");
        tokio::time::advance(GRACE).await;
        let _newest = admission.shake(v4(9)).unwrap();
        shaking[0].evicted().await;
        let _another = admission.shake(v4(2)).unwrap();
        shaking[HANDSHAKES_PER_ADDRESS].evicted().await;
        drop(shaking);
        assert!(!admission.is_pressed());
    }
}
