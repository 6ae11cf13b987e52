//! What an operator can choose about a core.

use std::time::Duration;

use gogochat_proto::service::Service;

/// The settings of a core. The defaults are those of production.
#[derive(Debug, Clone)]
pub struct CoreConfig {
    /// What it runs. Edges attach to cores with [`Service::Chat`] alone.
    pub services: Vec<Service>,
    /// How long an access token is good for.
    pub access_ttl: Duration,
    /// How long a refresh token is good for.
    pub refresh_ttl: Duration,
    /// A refresh token may be exchanged again this long after its first exchange: the answer may
    /// have been lost on the way.
    pub refresh_grace: Duration,
    /// What a password hash costs.
    pub argon2: Argon2Cost,
    /// Hashes that may wait for a core of the processor; past it, calls are refused as `overloaded`.
    pub hash_queue: usize,
    /// Callers from loopback addresses are not limited by address, nor in contact requests: for
    /// development and load tests.
    pub exempt_loopback: bool,
    /// Who may make an account.
    pub registration: Registration,
    /// How often one may try.
    pub rates: Rates,
    /// Commands in one transaction, at most.
    pub batch_max: usize,
    /// Rows that one transaction may load and write, at most: what everybody else waits for. A single
    /// command may have more.
    pub batch_rows: usize,
    /// Bytes that the commands of one transaction may bring, at most.
    pub batch_bytes: usize,
    /// Members' marks, and calls of Mark, that may wait for their commit.
    pub marks_waiting: usize,
    /// What may wait for one edge before its attachment is closed, in items.
    pub edge_queue_items: usize,
    /// What may wait for one edge before its attachment is closed, in bytes.
    pub edge_queue_bytes: usize,
    /// Ordered calls by REST or gRPC that may wait for their commit at once.
    pub waiting_calls: usize,
    /// How long a call waits for its answer, by whatever way it came.
    pub call_deadline: Duration,
    /// How long a core that goes away takes commands still, so that sessions move to other cores
    /// without a refusal; at most half of its deadline.
    pub drain_grace: Duration,
    /// A user whose last session ended counts as online for so long: a reload is no departure.
    pub presence_grace: Duration,
    /// A session whose node has gone silent counts for so long.
    pub presence_ttl: Duration,
}

/// Who may make an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// Everybody.
    Open,
    /// Who has a code that an administrator made.
    Invitation,
    /// Nobody. Administrators make accounts on the command line.
    Closed,
}

/// Argon2id parameters (RFC 9106 section 3.1).
#[derive(Debug, Clone, Copy)]
pub struct Argon2Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

/// Limits on attempts.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// Registrations from one address (an IPv6 /64 counts as one).
    pub register_by_address: Rate,
    /// Attempts to log in from one address.
    pub log_in_by_address: Rate,
    /// Attempts to log in under one name from one address that failed, whether there is such a user or
    /// not. Not by name alone: anybody could keep the owner of a name out.
    pub failed_log_ins: Rate,
    /// Refresh tokens that nobody has, from one address.
    pub unknown_refreshes: Rate,
    /// Codes of one user's authenticator that were wrong. By user, as who tries them has the password.
    pub wrong_factors: Rate,
    /// Changes of the password by one user, and attempts at it.
    pub password_changes: Rate,
    /// Contact requests by one user.
    pub contact_requests: Rate,
    /// Rows that the commands of one user may load and write: a message has 8, a member who is added 6.
    pub rows: Rate,
    /// Codes of invites to groups that nobody has made, from one address.
    pub unknown_invites: Rate,
    /// Changes of one user's profile, of which all contacts hear.
    pub profile_changes: Rate,
}

/// So many at once, and so many a minute after that.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// At once.
    pub burst: u32,
    /// A minute.
    pub per_minute: u32,
}

impl Default for CoreConfig {
    fn default() -> Self {
        Self {
            services: Service::ALL.into(),
            access_ttl: Duration::from_secs(3_600),
            refresh_ttl: Duration::from_secs(60 * 24 * 3_600),
            refresh_grace: Duration::from_secs(30),
            argon2: Argon2Cost { memory_kib: 19 * 1024, passes: 2, lanes: 1 },
            hash_queue: 256,
            exempt_loopback: false,
            registration: Registration::Open,
            rates: Rates::default(),
            batch_max: 1_000,
            batch_rows: 8_192,
            batch_bytes: 4 * 1024 * 1024,
            marks_waiting: 65_536,
            edge_queue_items: 65_536,
            edge_queue_bytes: 64 * 1024 * 1024,
            waiting_calls: 4_096,
            call_deadline: Duration::from_secs(10),
            drain_grace: Duration::from_secs(2),
            presence_grace: Duration::from_secs(10),
            presence_ttl: Duration::from_secs(45),
        }
    }
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            register_by_address: Rate { burst: 10, per_minute: 10 },
            log_in_by_address: Rate { burst: 30, per_minute: 30 },
            failed_log_ins: Rate { burst: 10, per_minute: 10 },
            unknown_refreshes: Rate { burst: 300, per_minute: 300 },
            wrong_factors: Rate { burst: 10, per_minute: 1 },
            password_changes: Rate { burst: 10, per_minute: 10 },
            contact_requests: Rate { burst: 200, per_minute: 20 },
            rows: Rate { burst: 120_000, per_minute: 300_000 },
            unknown_invites: Rate { burst: 30, per_minute: 10 },
            profile_changes: Rate { burst: 20, per_minute: 5 },
        }
    }
}
