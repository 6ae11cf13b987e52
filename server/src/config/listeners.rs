//! No two listeners of a process can have one address.

use std::{fmt, net::SocketAddr};

use super::{Config, Role};

/// Two listeners at one address.
#[derive(Debug)]
pub(crate) struct Clash {
    /// The key of the second.
    pub(crate) key: &'static str,
    address: SocketAddr,
    first: (&'static str, SocketAddr),
}

impl fmt::Display for Clash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, first) = self.first;
        let both = if self.address == first { "too".to_owned() } else { format!("as {first}") };
        write!(f, "{} is listened on by {key} {both}: give each a port of its own", self.address)
    }
}

/// Each listener at whose address there is one before it.
pub(crate) fn clashes(config: &Config) -> Vec<Clash> {
    let listeners = all(config);
    let clashes = listeners.iter().enumerate().filter_map(|(at, (key, address))| {
        let first = listeners.iter().take(at).find(|(_, first)| is_shared(*address, *first))?;
        Some(Clash { key, address: *address, first: *first })
    });
    clashes.collect()
}

/// With their keys. All of them are of TCP, whatever else is on the port.
pub(crate) fn all(config: &Config) -> Vec<(&'static str, SocketAddr)> {
    let mut all: Vec<_> = config.http.listen.iter().map(|address| ("http.listen", *address)).collect();
    if config.has(Role::Edge) {
        all.extend(config.edge.listen.iter().map(|address| ("edge.listen", *address)));
    }
    if config.has(Role::Core) {
        all.extend(config.core.grpc.iter().map(|address| ("core.grpc", *address)));
        all.extend(config.cluster.listen.map(|address| ("cluster.listen", address)));
    }
    all
}

/// Port 0 is any free one; `0.0.0.0` is all addresses of IPv4, `[::]` all there are.
fn is_shared(one: SocketAddr, other: SocketAddr) -> bool {
    let covers =
        |wide: SocketAddr, narrow: SocketAddr| wide.ip().is_unspecified() && (wide.is_ipv6() || narrow.is_ipv4());
    one.port() != 0 && one.port() == other.port() && (one == other || covers(one, other) || covers(other, one))
}
