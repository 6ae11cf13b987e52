//! Who is believed when it tells where a connection comes from: the gateways of the configuration.

use std::{fmt, net::IpAddr, str::FromStr, sync::Arc};

use ipnet::{IpNet, Ipv4Net};

/// An address, or a network in CIDR notation (RFC 4632).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(IpNet);

/// A text that is no [`Network`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// Neither an address nor a network.
    #[error("{0:?} is no address and no network: write \"10.0.0.5\", \"10.0.0.0/8\" or \"2001:db8::/32\"")]
    Unreadable(String),
    /// An address within a network, where it is open which of the two is meant.
    #[error("{0:?} is an address within a network: write \"{1}\" for the network, \"{2}\" for the address")]
    Either(String, Network, IpAddr),
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(address.to_canonical().into()));
        }
        let network: IpNet = text.parse().map_err(|_| NetworkError::Unreadable(text.to_owned()))?;
        if network.addr() != network.network() {
            return Err(NetworkError::Either(text.to_owned(), Self(network.trunc()), network.addr()));
        }
        Ok(Self(canonical(network)))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// IPv4 as itself, also where it is written as a part of IPv6 (RFC 4291 section 2.5.5.2).
fn canonical(network: IpNet) -> IpNet {
    match network.addr().to_canonical() {
        IpAddr::V4(v4) if network.prefix_len() >= 96 && network.max_prefix_len() == 128 => {
            Ipv4Net::new(v4, network.prefix_len() - 96).map_or(network, IpNet::V4)
        }
        _ => network,
    }
}

/// The gateways before a listener.
#[derive(Debug, Clone)]
pub(super) struct Gateways(Arc<[Network]>);

impl Gateways {
    pub(super) fn new(networks: &[Network]) -> Self {
        Self(networks.into())
    }

    /// Whether the address is a gateway's.
    pub(super) fn has(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.0.contains(&address))
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

    #[test]
    fn what_is_no_network_is_refused_with_what_to_write() {
        for wrong in ["", "gateway", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/", "::/129", "10.0.0.1:443", " 10.0.0.1"] {
            assert_eq!(wrong.parse::<Network>(), Err(NetworkError::Unreadable(wrong.to_owned())));
        }
        let either = "10.1.2.3/8".parse::<Network>().unwrap_err().to_string();
        assert!(either.contains("\"10.0.0.0/8\" for the network, \"10.1.2.3\" for the address"), "{either}");
    }
}
