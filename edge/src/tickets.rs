//! Tickets: a MAC over a session's user, device, expiry and token hash. When a session comes again
//! with its ticket and its token, nobody has to look up the token. The core that opens the session
//! reads the device, and so sees whether it is still signed in with that token.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use aws_lc_rs::{digest, hmac};
use bytes::Bytes;
use gogochat_proto::{
    ids::{DeviceId, UserId},
    v1::TicketUse,
};
use parking_lot::Mutex;

use crate::principal::Principal;

/// The keys of all cores, with which every edge makes and knows tickets.
#[derive(Debug, Default)]
pub(crate) struct Tickets {
    /// The newest last.
    keys: Mutex<VecDeque<Key>>,
}

#[derive(Debug)]
struct Key {
    id: [u8; ID],
    key: hmac::Key,
    since: Instant,
}

/// SHA-256 of an access token: all that is kept of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TokenHash([u8; 32]);

impl TokenHash {
    pub(crate) fn of(token: &str) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
        Self(hash)
    }

    /// As nodes say it to each other.
    pub(crate) fn from_slice(hash: &[u8]) -> Option<Self> {
        hash.try_into().ok().map(Self)
    }

    /// As in [`Self::from_slice`].
    pub(crate) fn to_bytes(self) -> Bytes {
        Bytes::copy_from_slice(&self.0)
    }
}

impl Tickets {
    /// A core has told a key.
    pub(crate) fn learn(&self, id: &[u8], key: &[u8], now: Instant) {
        let (Ok(id), 32) = (<[u8; ID]>::try_from(id), key.len()) else { return };
        let mut keys = self.keys.lock();
        keys.retain(|key| key.id != id && now.saturating_duration_since(key.since) < KEPT);
        keys.push_back(Key { id, key: hmac::Key::new(hmac::HMAC_SHA256, key), since: now });
        if keys.len() > MAX_KEYS {
            keys.pop_front();
        }
    }

    /// A ticket of this session. Empty without a key, which a core that knows of tickets has told.
    pub(crate) fn issue(&self, principal: Principal, token: TokenHash, expires_ms: i64) -> Bytes {
        let keys = self.keys.lock();
        let Some(key) = keys.back() else { return Bytes::new() };
        let mut ticket = Vec::with_capacity(BODY + MAC);
        ticket.extend_from_slice(&key.id);
        ticket.extend_from_slice(principal.user.uuid().as_bytes());
        ticket.extend_from_slice(principal.device.uuid().as_bytes());
        ticket.extend_from_slice(&expires_ms.to_be_bytes());
        let mac = hmac::sign(&key.key, &signed(&ticket, token));
        ticket.extend_from_slice(mac.as_ref());
        ticket.into()
    }

    /// Whose session this ticket says it is, when it is good with this token.
    ///
    /// # Errors
    /// `Expired`, or `Invalid` for everything else.
    pub(crate) fn check(&self, ticket: &[u8], token: TokenHash, now_ms: i64) -> Result<Principal, TicketUse> {
        let (body, mac) = ticket.split_at_checked(BODY).ok_or(TicketUse::Invalid)?;
        let (id, rest) = body.split_at_checked(ID).ok_or(TicketUse::Invalid)?;
        {
            let keys = self.keys.lock();
            let key = keys.iter().find(|key| key.id == *id).ok_or(TicketUse::Invalid)?;
            // In constant time.
            hmac::verify(&key.key, &signed(body, token), mac).map_err(|_| TicketUse::Invalid)?;
        }
        let (user, rest) = rest.split_at_checked(16).ok_or(TicketUse::Invalid)?;
        let (device, expires) = rest.split_at_checked(16).ok_or(TicketUse::Invalid)?;
        let expires = expires.try_into().map(i64::from_be_bytes).map_err(|_| TicketUse::Invalid)?;
        if expires <= now_ms {
            return Err(TicketUse::Expired);
        }
        let (user, device) = (UserId::from_slice(user), DeviceId::from_slice(device));
        let (user, device) = user.zip(device).ok_or(TicketUse::Invalid)?;
        Ok(Principal { user, device })
    }
}

/// What is signed: the key serves nothing else.
fn signed(body: &[u8], token: TokenHash) -> Vec<u8> {
    [PURPOSE, body, &token.0].concat()
}

const PURPOSE: &[u8] = b"gogochat session ticket 1";
const ID: usize = 8;
const BODY: usize = ID + 16 + 16 + 8;
const MAC: usize = 32;
/// Two of each core.
const MAX_KEYS: usize = 256;
/// Longer than a core tells a key.
const KEPT: Duration = Duration::from_secs(3 * 3_600);

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000;

    fn principal() -> Principal {
        Principal { user: UserId::new_v7(), device: DeviceId::new_v7() }
    }

    #[test]
    fn a_ticket_is_good_at_every_edge_with_its_token_and_in_its_time() {
        let (here, there, now) = (Tickets::default(), Tickets::default(), Instant::now());
        let (who, token) = (principal(), TokenHash::of("token"));
        assert!(here.issue(who, token, NOW + 1).is_empty(), "no core has told a key");
        here.learn(&[1; 8], &[7; 32], now);
        there.learn(&[1; 8], &[7; 32], now);
        there.learn(&[2; 8], &[8; 32], now);
        let ticket = here.issue(who, token, NOW + 1);
        assert_eq!(there.check(&ticket, token, NOW), Ok(who));
        assert_eq!(there.check(&ticket, token, NOW + 1), Err(TicketUse::Expired));
        assert_eq!(there.check(&ticket, TokenHash::of("of another device"), NOW), Err(TicketUse::Invalid));
    }

    #[test]
    fn a_ticket_that_was_touched_is_none() {
        let (tickets, token) = (Tickets::default(), TokenHash::of("token"));
        tickets.learn(&[1; 8], &[7; 32], Instant::now());
        let ticket = tickets.issue(principal(), token, NOW + 1);
        for index in 0..ticket.len() {
            let mut forged = ticket.to_vec();
            forged[index] ^= 1;
            assert_eq!(tickets.check(&forged, token, NOW), Err(TicketUse::Invalid), "byte {index}");
            assert_eq!(tickets.check(&ticket[..index], token, NOW), Err(TicketUse::Invalid), "{index} bytes");
        }
        let other = Tickets::default();
        other.learn(&[1; 8], &[9; 32], Instant::now());
        assert_eq!(other.check(&ticket, token, NOW), Err(TicketUse::Invalid));
    }

    #[test]
    fn keys_are_few_and_go_in_time() {
        let (tickets, now) = (Tickets::default(), Instant::now());
        for n in 0..=u64::try_from(MAX_KEYS).unwrap() {
            tickets.learn(&n.to_be_bytes(), &[7; 32], now);
        }
        assert_eq!(tickets.keys.lock().len(), MAX_KEYS);
        tickets.learn(&[1; 8], &[7; 32], now + KEPT);
        assert_eq!(tickets.keys.lock().len(), 1);
        tickets.learn(&[1; 7], &[7; 32], now + KEPT);
        tickets.learn(&[2; 8], &[7; 31], now + KEPT);
        assert_eq!(tickets.keys.lock().len(), 1);
    }
}
