//! What a host with its port looks like.

/// Whether an address is a host and a port, as `core-1.example.org:7443`.
pub(super) fn has_port(address: &str) -> bool {
    address.parse::<http::uri::Authority>().is_ok_and(|address| address.port_u16().is_some_and(|port| port > 0))
}
