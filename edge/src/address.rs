//! Addresses of clients and networks.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

use ipnet::{IpNet, Ipv4Net};

/// What counts as one address: an IPv4 address, or the network of 64 bits that one subscriber has (RFC 6177).
pub(crate) fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        other => other,
    }
}

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

impl Network {
    /// Whether the address is in it. IPv4 within IPv6 counts as IPv4.
    pub(crate) fn contains(self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_network_is_refused_with_what_to_write() {
        for wrong in ["", "gateway", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/", "::/129", "10.0.0.1:443", " 10.0.0.1"] {
            assert_eq!(wrong.parse::<Network>(), Err(NetworkError::Unreadable(wrong.to_owned())));
        }
        let either = "10.1.2.3/8".parse::<Network>().unwrap_err().to_string();
        assert!(either.contains("\"10.0.0.0/8\" for the network, \"10.1.2.3\" for the address"), "{either}");
    }
}
