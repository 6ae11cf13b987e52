//! How Redis is reached.

use std::{fmt, path::PathBuf};

/// How Redis is reached.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisConfig {
    /// `redis://USER:PASSWORD@HOST:PORT/DB`; `rediss://` for TLS.
    pub url: String,
    /// With TLS: a PEM file of the authority that signed its certificate, alone; `None`: the system's
    /// authorities.
    pub ca: Option<PathBuf>,
    /// What the keys begin with: clusters that share a server have one each.
    pub prefix: String,
}

impl RedisConfig {
    /// Host and port, without user and password, for messages.
    pub(super) fn server(&self) -> String {
        let place = self.url.split_once("://").map_or(self.url.as_str(), |(_, place)| place);
        place.rsplit_once('@').map_or(place, |(_, place)| place).to_owned()
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig").field("server", &self.server()).field("prefix", &self.prefix).finish()
    }
}
