//! How often one may try: token buckets by address, by account and by user.

use std::{
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    time::Duration,
};

use gogochat_proto::{error::ErrorCode, ids::UserId, v1};
use governor::{Quota, RateLimiter, clock::Clock as _, clock::DefaultClock, state::keyed::DashMapStateStore};

use crate::config::{Rate, Rates};

/// The buckets.
pub(crate) struct Limits {
    exempt_loopback: bool,
    register: Buckets<IpAddr>,
    log_in: Buckets<IpAddr>,
    account: Buckets<String>,
    contacts: Buckets<UserId>,
}

impl Limits {
    pub(crate) fn new(rates: &Rates, exempt_loopback: bool) -> Self {
        Self {
            exempt_loopback,
            register: Buckets::new(rates.register_by_address),
            log_in: Buckets::new(rates.log_in_by_address),
            account: Buckets::new(rates.by_account),
            contacts: Buckets::new(rates.contact_requests),
        }
    }

    /// Whether limits by address pass over this one.
    pub(crate) fn exempts(&self, address: Option<IpAddr>) -> bool {
        self.exempt_loopback && address.is_some_and(|a| a.to_canonical().is_loopback())
    }

    /// A registration from an address, under a name.
    pub(crate) fn register(&self, address: Option<IpAddr>, name: &str) -> Result<(), v1::Error> {
        self.by_address(&self.register, address)?;
        self.account(name)
    }

    /// An attempt to log in from an address, under a name.
    pub(crate) fn log_in(&self, address: Option<IpAddr>, name: &str) -> Result<(), v1::Error> {
        self.by_address(&self.log_in, address)?;
        self.account(name)
    }

    /// An attempt at an account's password.
    pub(crate) fn account(&self, name: &str) -> Result<(), v1::Error> {
        self.account.take(name.to_owned())
    }

    /// A contact request.
    pub(crate) fn contact_request(&self, user: UserId) -> Result<(), v1::Error> {
        self.contacts.take(user)
    }

    /// Forgets who has not tried for a while.
    pub(crate) fn sweep(&self) {
        self.register.0.retain_recent();
        self.log_in.0.retain_recent();
        self.account.0.retain_recent();
        self.contacts.0.retain_recent();
    }

    fn by_address(&self, buckets: &Buckets<IpAddr>, address: Option<IpAddr>) -> Result<(), v1::Error> {
        match address {
            _ if self.exempts(address) => Ok(()),
            Some(address) => buckets.take(network(address)),
            // Callers whose address nobody knows share one bucket.
            None => buckets.take(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
        }
    }
}

struct Buckets<K: Hash + Eq + Clone>(RateLimiter<K, DashMapStateStore<K>, DefaultClock>);

impl<K: Hash + Eq + Clone> Buckets<K> {
    fn new(rate: Rate) -> Self {
        let per_minute = NonZeroU32::new(rate.per_minute).unwrap_or(NonZeroU32::MIN);
        let burst = NonZeroU32::new(rate.burst).unwrap_or(NonZeroU32::MIN);
        Self(RateLimiter::dashmap(Quota::per_minute(per_minute).allow_burst(burst)))
    }

    fn take(&self, key: K) -> Result<(), v1::Error> {
        self.0.check_key(&key).map_err(|not_until| {
            let wait = not_until.wait_time_from(DefaultClock::default().now()).max(Duration::from_millis(1));
            v1::Error {
                retry_after_ms: i64::try_from(wait.as_millis()).unwrap_or(i64::MAX).max(1),
                ..ErrorCode::RateLimited.with("too many attempts")
            }
        })
    }
}

/// Whom an address stands for: of IPv6 a site has a whole /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(exempt: bool) -> Limits {
        let rate = Rate { burst: 3, per_minute: 1 };
        let rates =
            Rates { register_by_address: rate, log_in_by_address: rate, by_account: rate, contact_requests: rate };
        Limits::new(&rates, exempt)
    }

    #[test]
    fn the_burst_and_one_more() {
        let limits = limits(false);
        let here = Some("192.0.2.1".parse().unwrap());
        for n in 0..3 {
            assert_eq!(limits.log_in(here, &format!("user{n}")), Ok(()));
        }
        let refused = limits.log_in(here, "user9").unwrap_err();
        assert_eq!(refused.code, "rate_limited");
        assert!((1..=60_000).contains(&refused.retry_after_ms), "{}", refused.retry_after_ms);
        assert_eq!(limits.log_in(Some("192.0.2.2".parse().unwrap()), "user9"), Ok(()));
    }

    #[test]
    fn an_account_is_limited_from_wherever_it_is_tried() {
        let limits = limits(true);
        let loopback = Some("::ffff:127.0.0.1".parse().unwrap());
        for _ in 0..3 {
            limits.log_in(loopback, "alice").unwrap();
        }
        assert_eq!(limits.log_in(loopback, "alice").unwrap_err().code, "rate_limited");
        for n in 0..100 {
            limits.register(loopback, &format!("user{n}")).unwrap();
        }
    }

    #[test]
    fn a_v6_site_is_one_address() {
        let limits = limits(false);
        for n in 0..3 {
            limits.register(format!("2001:db8::{n}").parse().ok(), &format!("user{n}")).unwrap();
        }
        assert!(limits.register("2001:db8::ffff".parse().ok(), "other").is_err());
        assert!(limits.register("2001:db8:0:1::1".parse().ok(), "other").is_ok());
    }

    #[test]
    fn sweeping_keeps_who_is_limited() {
        let limits = limits(false);
        let user = UserId::new_v7();
        for _ in 0..3 {
            limits.contact_request(user).unwrap();
        }
        limits.sweep();
        assert!(limits.contact_request(user).is_err());
    }
}
