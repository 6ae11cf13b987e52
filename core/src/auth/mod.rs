//! Authentication: tokens, passwords, and limits on how often one may try them.

pub(crate) mod factor;
mod failures;
pub(crate) mod one_time;
mod password;
mod rate;
mod token;

use std::{collections::HashMap, sync::Arc, time::Duration};

use gogochat_proto::{
    error::ErrorCode,
    ids::{DeviceId, UserId},
    node, v1,
};
use gogochat_storage::store::{Arrival, Device, DeviceKey, Devices, Hash, Millis, Tokens};
use parking_lot::Mutex;

pub use self::{one_time::OneTimePassword, password::HashError};
pub(crate) use self::{password::Passwords, rate::Limits};
use crate::{authorize::Caller, clock::now_ms, config::CoreConfig, failure};

/// Tells who calls.
pub(crate) struct Auth {
    store: Arc<dyn Devices>,
    access_ttl: Duration,
    refresh_ttl: Duration,
    revoked: Mutex<HashMap<DeviceId, (UserId, Millis)>>,
    /// Password hashes.
    pub(crate) passwords: Passwords,
    /// How often one may try.
    pub(crate) limits: Limits,
}

/// New tokens of a device: the client's, and what is kept of them.
pub(crate) struct Issued {
    /// For calls and sessions.
    pub(crate) access: String,
    /// For new tokens.
    pub(crate) refresh: String,
    /// What is kept.
    pub(crate) kept: Tokens,
}

/// By what an edge says whose session it is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bearer {
    /// The hash of an access token alone.
    Token(Hash),
    /// A ticket, and the hash of the access token that came with it.
    Ticket(Caller, Hash),
    /// It was open at the edge before.
    Again(Caller),
}

impl Bearer {
    /// # Errors
    /// `unauthenticated` without any, `token_invalid`.
    pub(crate) fn of(open: &node::SessionOpen) -> Result<Self, v1::Error> {
        let Some(principal) = &open.principal else { return given(&open.access_token).map(Self::Token) };
        let caller = caller(principal)?;
        if open.token_hash.is_empty() {
            return Ok(Self::Again(caller));
        }
        let token = open.token_hash.as_ref().try_into().map_err(|_| invalid())?;
        Ok(Self::Ticket(caller, token))
    }

    /// The hash of the access token, which is known to be the device's once it has arrived.
    pub(crate) fn token(&self) -> Option<&Hash> {
        match self {
            Self::Token(token) | Self::Ticket(_, token) => Some(token),
            Self::Again(_) => None,
        }
    }
}

impl Auth {
    pub(crate) fn new(store: Arc<dyn Devices>, config: &CoreConfig) -> Result<Self, HashError> {
        Ok(Self {
            store,
            access_ttl: config.access_ttl,
            refresh_ttl: config.refresh_ttl,
            revoked: Mutex::default(),
            passwords: Passwords::new(config.argon2, config.hash_queue)?,
            limits: Limits::new(&config.rates, config.exempt_loopback),
        })
    }

    /// The device that an access token belongs to, at this moment.
    ///
    /// # Errors
    /// `unauthenticated` without one, `token_expired`, `token_invalid`.
    pub(crate) async fn authenticate(&self, access: &str) -> Result<Device, v1::Error> {
        let hash = given(access)?;
        let device = self.store.device_by_access(&hash).await.map_err(failure::store)?.ok_or_else(invalid)?;
        unexpired(&device)?;
        Ok(device)
    }

    /// What a session begins with: one that shows an access token, one of whom a ticket says whose
    /// it is, which holds only while the token that came with it is the device's still, or one that
    /// an edge opens anew.
    ///
    /// # Errors
    /// `token_expired`, `token_invalid`.
    pub(crate) async fn arrive(&self, bearer: &Bearer) -> Result<Arrival, v1::Error> {
        let key = match *bearer {
            Bearer::Token(token) => DeviceKey::Access(token),
            Bearer::Ticket(caller, token) => DeviceKey::Both(caller.device, token),
            Bearer::Again(caller) => DeviceKey::Id(caller.device),
        };
        let arrival = self.store.arrival(key).await.map_err(failure::store)?.ok_or_else(invalid)?;
        unexpired(&arrival.device)?;
        match *bearer {
            Bearer::Ticket(caller, _) | Bearer::Again(caller) if caller.user != arrival.device.user => Err(invalid()),
            _ => Ok(arrival),
        }
    }

    /// New tokens.
    pub(crate) fn issue(&self, now: Millis) -> Issued {
        let (access, access_hash) = token::new(token::Kind::Access);
        let (refresh, refresh_hash) = token::new(token::Kind::Refresh);
        let kept = Tokens {
            access: access_hash,
            access_expires_ms: after(now, self.access_ttl),
            refresh: refresh_hash,
            refresh_expires_ms: after(now, self.refresh_ttl),
        };
        Issued { access, refresh, kept }
    }

    /// What is kept of a refresh token.
    ///
    /// # Errors
    /// `token_invalid` when it is none.
    pub(crate) fn refresh_hash(&self, refresh: &str) -> Result<Hash, v1::Error> {
        token::hash(token::Kind::Refresh, refresh).ok_or_else(invalid)
    }

    /// A new invitation: its code, and what is kept of it.
    pub(crate) fn invitation(&self) -> (String, Hash) {
        token::new(token::Kind::Invitation)
    }

    /// What is kept of an invitation; `None`: it is none.
    pub(crate) fn invitation_hash(&self, code: &str) -> Option<Hash> {
        token::hash(token::Kind::Invitation, code.trim())
    }

    /// Notes that a device was signed out, for those calls of its that are still on their way.
    pub(crate) fn note_revoked(&self, user: UserId, device: DeviceId) {
        self.revoked.lock().insert(device, (user, now_ms()));
    }

    /// Who was signed out of late: for an edge that may not have been told.
    pub(crate) fn lately_revoked(&self) -> Vec<(UserId, DeviceId)> {
        self.revoked.lock().iter().map(|(device, (user, _))| (*user, *device)).collect()
    }

    /// Whether it is known that a device was signed out a moment ago.
    pub(crate) fn knows_revoked(&self, device: DeviceId) -> bool {
        self.revoked.lock().contains_key(&device)
    }

    /// Refuses a caller whose device was signed out a moment ago.
    ///
    /// # Errors
    /// `token_invalid`.
    pub(crate) fn refuse_revoked(&self, caller: Caller) -> Result<(), v1::Error> {
        if self.knows_revoked(caller.device) { Err(invalid()) } else { Ok(()) }
    }

    /// Forgets what has had its effect. To be called now and then.
    pub(crate) fn sweep(&self) {
        self.limits.sweep();
        let before = now_ms() - REVOKED_KEPT_MS;
        self.revoked.lock().retain(|_, (_, when)| *when > before);
    }
}

fn given(access: &str) -> Result<Hash, v1::Error> {
    if access.is_empty() {
        return Err(ErrorCode::Unauthenticated.with("no access token"));
    }
    token::hash(token::Kind::Access, access).ok_or_else(invalid)
}

fn unexpired(device: &Device) -> Result<(), v1::Error> {
    if device.access_expires_ms <= now_ms() {
        return Err(ErrorCode::TokenExpired.with("the access token has expired"));
    }
    Ok(())
}

fn invalid() -> v1::Error {
    ErrorCode::TokenInvalid.with("the token is malformed, unknown or was revoked")
}

fn after(now: Millis, ttl: Duration) -> Millis {
    now.saturating_add(i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX))
}

/// A caller of a principal, as an edge asserts it.
///
/// # Errors
/// `unauthenticated` when its ids are none.
pub(crate) fn caller(principal: &node::Principal) -> Result<Caller, v1::Error> {
    let user = UserId::from_slice(&principal.user_id);
    let device = DeviceId::from_slice(&principal.device_id);
    user.zip(device)
        .map(|(user, device)| Caller { user, device })
        .ok_or_else(|| ErrorCode::Unauthenticated.with("not a principal"))
}

/// An edge closes a revoked device's sessions within moments; calls that it sent before it knew are
/// refused for this long.
const REVOKED_KEPT_MS: Millis = 5 * 60 * 1000;
