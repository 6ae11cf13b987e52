//! The configured gateways: only they are believed when they tell where a connection comes from.

use std::{net::IpAddr, sync::Arc};

use crate::address::Network;

/// The gateways before a listener.
#[derive(Debug, Clone)]
pub(super) struct Gateways(Arc<[Network]>);

impl Gateways {
    pub(super) fn new(networks: &[Network]) -> Self {
        Self(networks.into())
    }

    /// Whether the address is a gateway's.
    pub(super) fn has(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gateways(networks: &[&str]) -> Gateways {
        Gateways::new(&networks.iter().map(|network| network.parse().unwrap()).collect::<Vec<_>>())
    }

    fn has(gateways: &Gateways, address: &str) -> bool {
        gateways.has(address.parse().unwrap())
    }

    #[test]
    fn addresses_and_networks() {
        let gateways = gateways(&["10.1.0.0/16", "192.0.2.7", "2001:db8::/32", "2001:db9::1"]);
        for inside in ["10.1.0.0", "10.1.255.255", "192.0.2.7", "2001:db8:ffff::1", "2001:db9::1"] {
            assert!(has(&gateways, inside), "{inside}");
        }
        for outside in ["10.0.255.255", "10.2.0.0", "192.0.2.6", "192.0.2.8", "2001:db7::1", "2001:db9::2", "::"] {
            assert!(!has(&gateways, outside), "{outside}");
        }
        assert!(!has(&super::Gateways::new(&[]), "127.0.0.1"), "nobody is believed unless it is said");
    }

    #[test]
    fn ipv4_is_the_same_within_ipv6() {
        for written in ["10.1.0.0/16", "::ffff:10.1.0.0/112"] {
            let gateways = gateways(&[written]);
            // As a listener on [::] sees it.
            assert!(has(&gateways, "::ffff:10.1.2.3") && has(&gateways, "10.1.2.3"), "{written}");
            assert!(!has(&gateways, "::ffff:10.2.2.3") && !has(&gateways, "10.2.2.3"), "{written}");
        }
        assert!(has(&gateways(&["::ffff:10.1.2.3"]), "10.1.2.3"));
    }
}
