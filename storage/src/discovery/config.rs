//! How etcd is reached.

use std::{path::PathBuf, time::Duration};

/// How etcd is reached.
#[derive(Clone, PartialEq, Eq)]
pub struct EtcdConfig {
    /// `http://HOST:PORT`, or `https://` for TLS. A user and password may stand in one: `http://USER:PASSWORD@HOST:PORT`.
    pub endpoints: Vec<String>,
    /// What the keys begin with: clusters that share an etcd have one each.
    pub prefix: String,
    /// With TLS: a PEM file of the authority that signed etcd's certificate, alone; `None`: the system's
    /// authorities.
    pub ca: Option<PathBuf>,
    /// User and password, unless an endpoint has them.
    pub user: Option<(String, String)>,
    /// How long a node that says nothing more is known to the others. Whole seconds, 2 at least.
    pub ttl: Duration,
}

impl Default for EtcdConfig {
    fn default() -> Self {
        Self { endpoints: Vec::new(), prefix: "gogochat".into(), ca: None, user: None, ttl: Duration::from_secs(5) }
    }
}
