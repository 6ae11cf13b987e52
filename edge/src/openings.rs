//! Places of sessions that are being opened: a bound in all, and one for each address and each
//! user, so that none keeps the others out.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
    sync::Arc,
};

use gogochat_proto::ids::UserId;
use parking_lot::Mutex;

use crate::{address::source, config::Limits};

/// Counts the places that are taken.
#[derive(Debug)]
pub(crate) struct Openings {
    most: usize,
    per_address: usize,
    per_user: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by: HashMap<Whom, usize>,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Whom {
    /// Somebody at this address.
    New(IpAddr),
    /// A user, as a good ticket says.
    Known(UserId),
}

/// One place, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    openings: Arc<Openings>,
    whom: Whom,
}

impl Openings {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        // As with connections: one address may stand for everybody.
        let per_address =
            if limits.connections_per_address == 0 { usize::MAX } else { (limits.opening / ADDRESS_SHARE).max(1) };
        let (most, per_user) = (limits.opening, limits.sessions_per_user);
        Arc::new(Self { most, per_address, per_user, taken: Mutex::default() })
    }

    /// A place, if there is one. Half the places are reserved for ticket holders.
    pub(crate) fn take(self: &Arc<Self>, whom: Whom) -> Option<Place> {
        let (whom, in_all, of_one) = match whom {
            Whom::New(address) if address.to_canonical().is_loopback() => (whom, self.most.div_ceil(2), usize::MAX),
            Whom::New(address) => (Whom::New(source(address)), self.most.div_ceil(2), self.per_address),
            Whom::Known(_) => (whom, self.most, self.per_user),
        };
        let mut taken = self.taken.lock();
        if taken.all >= in_all || taken.by.get(&whom).is_some_and(|count| *count >= of_one) {
            return None;
        }
        taken.all += 1;
        *taken.by.entry(whom).or_default() += 1;
        drop(taken);
        Some(Place { openings: self.clone(), whom })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.openings.taken.lock();
        taken.all = taken.all.saturating_sub(1);
        if let Entry::Occupied(mut entry) = taken.by.entry(self.whom) {
            *entry.get_mut() = entry.get().saturating_sub(1);
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

/// One address has an eighth.
const ADDRESS_SHARE: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits { opening: 32, sessions_per_user: 3, ..Limits::default() }
    }

    fn take(openings: &Arc<Openings>, whom: Whom) -> Vec<Place> {
        std::iter::from_fn(|| openings.take(whom)).collect()
    }

    fn new(address: &str) -> Whom {
        Whom::New(address.parse().unwrap())
    }

    #[test]
    fn no_address_and_no_user_takes_what_all_have() {
        let openings = Openings::new(&limits());
        let one = take(&openings, new("192.0.2.1"));
        assert_eq!(one.len(), 4);
        assert_eq!(take(&openings, new("2001:db8::1")).len(), 4);
        let user = Whom::Known(UserId::new_v7());
        let places = take(&openings, user);
        assert_eq!(places.len(), 3);
        assert!(openings.take(Whom::Known(UserId::new_v7())).is_some());
        drop((one, places));
        assert_eq!(take(&openings, new("192.0.2.1")).len(), 4, "given back");
        assert_eq!(openings.taken.lock().by.len(), 0);
        let subscriber = take(&openings, new("2001:db8::1"));
        assert!(openings.take(new("2001:db8::2")).is_none(), "the same network");
        drop(subscriber);
    }

    #[test]
    fn who_is_new_has_the_first_half() {
        let openings = Openings::new(&Limits { connections_per_address: 0, ..limits() });
        let places = take(&openings, new("192.0.2.1"));
        assert_eq!(places.len(), 16, "behind a proxy all have one address");
        assert!(openings.take(new("192.0.2.2")).is_none());
        let known: Vec<_> = std::iter::from_fn(|| openings.take(Whom::Known(UserId::new_v7()))).collect();
        assert_eq!(known.len(), 16);
        drop(places);
        let openings = Openings::new(&limits());
        assert_eq!(take(&openings, new("127.0.0.1")).len(), 16);
    }
}
