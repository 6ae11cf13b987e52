//! Who may connect. Connections are bounded by address; handshakes, which cost the most, in all and by
//! address. A connection past a bound is turned away at once, so that nobody else waits.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use dashmap::{DashMap, Entry};

use crate::{address::source, config::Limits};

/// Counts connections.
#[derive(Debug)]
pub(crate) struct Admission {
    by_source: DashMap<IpAddr, Count>,
    handshakes: AtomicUsize,
    per_address: usize,
}

#[derive(Debug, Default)]
struct Count {
    connections: usize,
    handshakes: usize,
}

/// A connection's place, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    admission: Arc<Admission>,
    source: IpAddr,
    handshake: bool,
}

/// A gateway's connection whose client is not known yet. It counts among the handshakes of all, and of
/// no address.
#[derive(Debug)]
pub(crate) struct Untold {
    admission: Arc<Admission>,
}

impl Admission {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        let per_address = limits.connections_per_address;
        Arc::new(Self { by_source: DashMap::new(), handshakes: AtomicUsize::new(0), per_address })
    }

    /// Takes a connection in. `None`: its address has as many as it may. `handshake`: one is about to be
    /// made, see [`Place::shaken`].
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr, handshake: bool) -> Option<Place> {
        let source = source(address);
        if handshake && !self.begin_handshake() {
            return None;
        }
        let mut count = self.by_source.entry(source).or_default();
        let few = (self.per_address == 0 || count.connections < self.per_address)
            && (!handshake || count.handshakes < HANDSHAKES_PER_ADDRESS);
        // Programs on this machine are its operator's, or stand for everybody behind a proxy.
        if !few && !source.is_loopback() {
            drop(count);
            if handshake {
                self.handshakes.fetch_sub(1, Ordering::Relaxed);
            }
            return None;
        }
        count.connections += 1;
        count.handshakes += usize::from(handshake);
        drop(count);
        Some(Place { admission: self.clone(), source, handshake })
    }

    /// Takes a gateway's connection in until its client is known. `None`: too many handshakes are under way.
    pub(crate) fn admit_untold(self: &Arc<Self>) -> Option<Untold> {
        self.begin_handshake().then(|| Untold { admission: self.clone() })
    }

    fn begin_handshake(&self) -> bool {
        let few = self.handshakes.fetch_add(1, Ordering::Relaxed) < MAX_HANDSHAKES;
        if !few {
            self.handshakes.fetch_sub(1, Ordering::Relaxed);
        }
        few
    }

    /// Whether so many handshakes are under way that addresses are to prove themselves first.
    pub(crate) fn is_pressed(&self) -> bool {
        self.handshakes.load(Ordering::Relaxed) > PRESSED
    }
}

impl Place {
    /// The handshake is over.
    pub(crate) fn shaken(&mut self) {
        if std::mem::take(&mut self.handshake) {
            self.admission.handshakes.fetch_sub(1, Ordering::Relaxed);
            if let Some(mut count) = self.admission.by_source.get_mut(&self.source) {
                count.handshakes = count.handshakes.saturating_sub(1);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shaken();
        if let Entry::Occupied(mut entry) = self.admission.by_source.entry(self.source) {
            let count = entry.get_mut();
            count.connections = count.connections.saturating_sub(1);
            if count.connections == 0 {
                entry.remove();
            }
        }
    }
}

impl Drop for Untold {
    fn drop(&mut self) {
        self.admission.handshakes.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Handshakes under way at once.
const MAX_HANDSHAKES: usize = 2_048;
/// Those of one address: an eighth.
const HANDSHAKES_PER_ADDRESS: usize = 256;
/// Handshakes under way from which on QUIC clients prove their address first (RFC 9000 section 8.1.2), which costs them a round trip.
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
        let mut places: Vec<_> = (0..3).map(|_| admission.admit(v4(1), false).unwrap()).collect();
        assert!(admission.admit(v4(1), false).is_none());
        assert!(admission.admit("::ffff:192.0.2.1".parse().unwrap(), false).is_none(), "the same, written otherwise");
        assert!(admission.admit(v4(2), false).is_some(), "others are not concerned");
        places.pop();
        assert!(admission.admit(v4(1), false).is_some());
        drop(places);
        assert!(admission.by_source.is_empty(), "nothing is kept of who has gone");
    }

    #[test]
    fn a_subscriber_of_ipv6_is_one_address() {
        let admission = admission(1);
        let _place = admission.admit("2001:db8:0:1::1".parse().unwrap(), false).unwrap();
        assert!(admission.admit("2001:db8:0:1:ffff::2".parse().unwrap(), false).is_none());
        assert!(admission.admit("2001:db8:0:2::1".parse().unwrap(), false).is_some());
    }

    #[test]
    fn handshakes_are_bounded_by_address_and_in_all() {
        let admission = admission(0);
        let mut places: Vec<_> = (0..HANDSHAKES_PER_ADDRESS).map(|_| admission.admit(v4(1), true).unwrap()).collect();
        assert!(admission.admit(v4(1), true).is_none());
        places.first_mut().unwrap().shaken();
        assert!(!admission.is_pressed());
        places.push(admission.admit(v4(1), true).unwrap());
        for host in 2..=8 {
            places.extend((0..HANDSHAKES_PER_ADDRESS).map(|_| admission.admit(v4(host), true).unwrap()));
        }
        assert!(admission.is_pressed());
        assert!(admission.admit(v4(9), true).is_none(), "{MAX_HANDSHAKES} are under way");
        drop(places);
        assert!(admission.admit(v4(9), true).is_some());
    }

    #[test]
    fn a_gateway_is_bounded_in_all_alone_until_it_has_told_whose_a_connection_is() {
        let admission = admission(1);
        let untold: Vec<_> = (0..MAX_HANDSHAKES).map(|_| admission.admit_untold().unwrap()).collect();
        assert!(admission.admit_untold().is_none() && admission.admit(v4(1), true).is_none());
        assert!(admission.by_source.is_empty());
        drop(untold);
        assert!(!admission.is_pressed());
        let _place = admission.admit(v4(1), true).unwrap();
        assert!(admission.admit(v4(1), true).is_none(), "whom it has told is bounded as anybody is");
    }

    #[test]
    fn this_machine_is_bounded_in_all_alone() {
        let admission = admission(1);
        let local: IpAddr = Ipv4Addr::LOCALHOST.into();
        let _places: Vec<_> = (0..MAX_HANDSHAKES).map(|_| admission.admit(local, true).unwrap()).collect();
        assert!(admission.admit(local, true).is_none());
    }
}
