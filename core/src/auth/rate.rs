//! Rate limits: token buckets by address, by name and address together, and by user.

use std::{
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    time::{Duration, Instant},
};

use gogochat_proto::{error::ErrorCode, ids::UserId, v1};
use governor::{Quota, RateLimiter, clock::Clock as _, clock::DefaultClock, state::keyed::DashMapStateStore};

use super::failures::Failures;
use crate::config::{Rate, Rates};

/// The buckets.
pub(crate) struct Limits {
    exempt_loopback: bool,
    register: Buckets<IpAddr>,
    log_in: Buckets<IpAddr>,
    failed_log_ins: Failures<(String, IpAddr)>,
    unknown_refreshes: Failures<IpAddr>,
    wrong_factors: Failures<UserId>,
    unknown_invites: Failures<IpAddr>,
    password_changes: Buckets<UserId>,
    contacts: Buckets<UserId>,
    profiles: Buckets<UserId>,
    rows: Buckets<UserId>,
}

/// An attempt to log in, of which nobody knows yet whether it fails.
pub(crate) struct Attempt<'l> {
    limits: &'l Limits,
    key: (String, IpAddr),
}

impl Limits {
    pub(crate) fn new(rates: &Rates, exempt_loopback: bool) -> Self {
        Self {
            exempt_loopback,
            register: Buckets::new(rates.register_by_address),
            log_in: Buckets::new(rates.log_in_by_address),
            failed_log_ins: Failures::new(rates.failed_log_ins),
            unknown_refreshes: Failures::new(rates.unknown_refreshes),
            wrong_factors: Failures::new(rates.wrong_factors),
            unknown_invites: Failures::new(rates.unknown_invites),
            password_changes: Buckets::new(rates.password_changes),
            contacts: Buckets::new(rates.contact_requests),
            profiles: Buckets::new(rates.profile_changes),
            rows: Buckets::new(rates.rows),
        }
    }

    /// Whether limits by address pass over this one.
    pub(crate) fn exempts(&self, address: Option<IpAddr>) -> bool {
        self.exempt_loopback && address.is_some_and(|a| a.to_canonical().is_loopback())
    }

    /// A registration from an address.
    pub(crate) fn register(&self, address: Option<IpAddr>) -> Result<(), v1::Error> {
        self.by_address(&self.register, address)
    }

    /// An attempt to log in from an address, under a name. It counts as failed until it says otherwise.
    pub(crate) fn log_in(&self, address: Option<IpAddr>, name: &str) -> Result<Attempt<'_>, v1::Error> {
        self.by_address(&self.log_in, address)?;
        let key = (name.to_owned(), place(address));
        self.failed_log_ins.take(key.clone(), Instant::now()).map_err(limited)?;
        Ok(Attempt { limits: self, key })
    }

    /// Whether so many refresh tokens of nobody's came from an address that no more are looked at.
    pub(crate) fn refresh(&self, address: Option<IpAddr>) -> Result<(), v1::Error> {
        if self.exempts(address) {
            return Ok(());
        }
        self.unknown_refreshes.look(&place(address), Instant::now()).map_err(limited)
    }

    /// One of these.
    pub(crate) fn unknown_refresh(&self, address: Option<IpAddr>) {
        if !self.exempts(address) {
            // Who has no more is told so the next time.
            let _ = self.unknown_refreshes.take(place(address), Instant::now());
        }
    }

    /// A code of an authenticator, which counts as wrong until it is said to be right.
    pub(crate) fn factor(&self, user: UserId) -> Result<(), v1::Error> {
        self.wrong_factors.take(user, Instant::now()).map_err(limited)
    }

    /// The code was right.
    pub(crate) fn right_factor(&self, user: UserId) {
        self.wrong_factors.give_back(&user);
    }

    /// Whether so many codes of invites that nobody has made came from an address that no more are looked at.
    pub(crate) fn invites(&self, address: Option<IpAddr>) -> Result<(), v1::Error> {
        if self.exempts(address) {
            return Ok(());
        }
        self.unknown_invites.look(&place(address), Instant::now()).map_err(limited)
    }

    /// One of these.
    pub(crate) fn unknown_invite(&self, address: Option<IpAddr>) {
        if !self.exempts(address) {
            let _ = self.unknown_invites.take(place(address), Instant::now());
        }
    }

    /// A change of the password, or an attempt at it.
    pub(crate) fn password_change(&self, user: UserId) -> Result<(), v1::Error> {
        self.password_changes.take(user)
    }

    /// A contact request.
    pub(crate) fn contact_request(&self, user: UserId) -> Result<(), v1::Error> {
        self.contacts.take(user)
    }

    /// A change of a profile.
    pub(crate) fn profile_change(&self, user: UserId) -> Result<(), v1::Error> {
        self.profiles.take(user)
    }

    /// A command that may load and write so many rows.
    pub(crate) fn rows(&self, user: UserId, rows: usize) -> Result<(), v1::Error> {
        self.rows.take_many(user, rows, "so much is more than your share of the server")
    }

    /// Forgets who has not tried for a while.
    pub(crate) fn sweep(&self) {
        self.register.limiter.retain_recent();
        self.log_in.limiter.retain_recent();
        self.failed_log_ins.sweep(Instant::now());
        self.unknown_refreshes.sweep(Instant::now());
        self.wrong_factors.sweep(Instant::now());
        self.unknown_invites.sweep(Instant::now());
        self.password_changes.limiter.retain_recent();
        self.contacts.limiter.retain_recent();
        self.profiles.limiter.retain_recent();
        self.rows.limiter.retain_recent();
    }

    fn by_address(&self, buckets: &Buckets<IpAddr>, address: Option<IpAddr>) -> Result<(), v1::Error> {
        if self.exempts(address) { Ok(()) } else { buckets.take(place(address)) }
    }
}

impl Attempt<'_> {
    /// It was right, or the server could not tell.
    pub(crate) fn did_not_fail(self) {
        self.limits.failed_log_ins.give_back(&self.key);
    }
}

struct Buckets<K: Hash + Eq + Clone> {
    limiter: RateLimiter<K, DashMapStateStore<K>, DefaultClock>,
    burst: NonZeroU32,
}

impl<K: Hash + Eq + Clone> Buckets<K> {
    fn new(rate: Rate) -> Self {
        let per_minute = NonZeroU32::new(rate.per_minute).unwrap_or(NonZeroU32::MIN);
        let burst = NonZeroU32::new(rate.burst).unwrap_or(NonZeroU32::MIN);
        Self { limiter: RateLimiter::dashmap(Quota::per_minute(per_minute).allow_burst(burst)), burst }
    }

    fn take(&self, key: K) -> Result<(), v1::Error> {
        self.take_many(key, 1, TOO_MANY)
    }

    /// What is more than a whole bucket takes a whole one.
    fn take_many(&self, key: K, count: usize, why: &'static str) -> Result<(), v1::Error> {
        let count = u32::try_from(count).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN).min(self.burst);
        // It is never more than there can be.
        let Ok(taken) = self.limiter.check_key_n(&key, count) else { return Ok(()) };
        taken.map_err(|not_until| {
            let wait = not_until.wait_time_from(DefaultClock::default().now());
            v1::Error { message: why.to_owned(), ..limited(wait) }
        })
    }
}

/// A refusal that says when to try again.
fn limited(wait: Duration) -> v1::Error {
    let wait = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
    v1::Error { retry_after_ms: wait.max(1), ..ErrorCode::RateLimited.with(TOO_MANY) }
}

/// Whom an address stands for. Callers whose address nobody knows are one.
fn place(address: Option<IpAddr>) -> IpAddr {
    address.map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), network)
}

/// Of IPv6 a site has a whole /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
        v4 => v4,
    }
}

const TOO_MANY: &str = "too many attempts";

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(exempt: bool) -> Limits {
        let rate = Rate { burst: 3, per_minute: 1 };
        let rates = Rates {
            register_by_address: rate,
            log_in_by_address: Rate { burst: 100, per_minute: 1 },
            failed_log_ins: rate,
            unknown_refreshes: rate,
            wrong_factors: rate,
            password_changes: rate,
            contact_requests: rate,
            profile_changes: rate,
            unknown_invites: rate,
            rows: Rate { burst: 1_000, per_minute: 60 },
        };
        Limits::new(&rates, exempt)
    }

    fn at(address: &str) -> Option<IpAddr> {
        Some(address.parse().unwrap())
    }

    fn is_limited<T>(answer: Result<T, v1::Error>) -> bool {
        match answer {
            Ok(_) => false,
            Err(error) => {
                assert_eq!(error.code, "rate_limited");
                assert!((1..=60_000).contains(&error.retry_after_ms), "{}", error.retry_after_ms);
                true
            }
        }
    }

    #[test]
    fn the_burst_and_one_more() {
        let limits = limits(false);
        for _ in 0..3 {
            assert_eq!(limits.register(at("192.0.2.1")), Ok(()));
        }
        assert!(is_limited(limits.register(at("192.0.2.1"))));
        assert_eq!(limits.register(at("192.0.2.2")), Ok(()));
    }

    #[test]
    fn nobody_keeps_the_owner_of_a_name_out() {
        let limits = limits(false);
        for _ in 0..3 {
            assert!(limits.log_in(at("192.0.2.1"), "alice").is_ok());
        }
        assert!(is_limited(limits.log_in(at("192.0.2.1"), "alice")));
        assert!(limits.log_in(at("192.0.2.2"), "alice").is_ok(), "the owner is elsewhere");
        assert!(limits.log_in(at("192.0.2.1"), "bob").is_ok(), "another name here");
    }

    #[test]
    fn a_log_in_that_did_not_fail_is_no_failure() {
        let limits = limits(false);
        for _ in 0..20 {
            limits.log_in(at("192.0.2.1"), "alice").unwrap().did_not_fail();
        }
        for _ in 0..3 {
            assert!(limits.log_in(at("192.0.2.1"), "alice").is_ok());
        }
        assert!(is_limited(limits.log_in(at("192.0.2.1"), "alice")));
    }

    #[test]
    fn refresh_tokens_of_nobody_count_and_others_do_not() {
        let limits = limits(true);
        for _ in 0..3 {
            assert_eq!(limits.refresh(at("192.0.2.1")), Ok(()));
            limits.unknown_refresh(at("192.0.2.1"));
            limits.unknown_refresh(at("127.0.0.1"));
        }
        assert!(is_limited(limits.refresh(at("192.0.2.1"))));
        assert_eq!(limits.refresh(at("192.0.2.2")), Ok(()));
        for _ in 0..100 {
            assert_eq!(limits.refresh(at("127.0.0.1")), Ok(()));
        }
    }

    #[test]
    fn a_user_has_so_many_rows() {
        let (limits, user) = (limits(true), UserId::new_v7());
        assert_eq!(limits.rows(user, 600), Ok(()));
        assert_eq!(limits.rows(user, 400), Ok(()));
        assert!(is_limited(limits.rows(user, 8)));
        assert_eq!(limits.rows(UserId::new_v7(), 8), Ok(()));
        assert_eq!(limits.rows(UserId::new_v7(), 1_001), Ok(()), "more than there can be takes all");
    }

    #[test]
    fn a_v6_site_is_one_address() {
        let limits = limits(false);
        for n in 0..3 {
            limits.register(format!("2001:db8::{n}").parse().ok()).unwrap();
        }
        assert!(limits.register("2001:db8::ffff".parse().ok()).is_err());
        assert!(limits.register("2001:db8:0:1::1".parse().ok()).is_ok());
    }

    #[test]
    fn sweeping_keeps_who_is_limited() {
        let limits = limits(false);
        let user = UserId::new_v7();
        for _ in 0..3 {
            limits.contact_request(user).unwrap();
            limits.password_change(user).unwrap();
            assert!(limits.log_in(at("192.0.2.1"), "alice").is_ok());
        }
        limits.sweep();
        assert!(limits.contact_request(user).is_err());
        assert!(limits.password_change(user).is_err());
        assert!(is_limited(limits.log_in(at("192.0.2.1"), "alice")));
    }
}
