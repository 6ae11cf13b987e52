//! No two listeners of a process can have one address.

use std::net::SocketAddr;

use super::{Config, Role, check::Problems};

/// Names the second of each two.
pub(super) fn check(config: &Config, problems: &mut Problems) {
    let listeners = all(config);
    for (at, (key, address)) in listeners.iter().enumerate() {
        if let Some((other_key, other)) = listeners.iter().take(at).find(|(_, other)| is_shared(*address, *other)) {
            let both = if address == other { "too".to_owned() } else { format!("as {other}") };
            problems.add(key, format!("{address} is listened on by {other_key} {both}: give each a port of its own"));
        }
    }
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
