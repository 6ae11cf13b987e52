//! Ports for servers under test.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

/// Loopback addresses that are free for TCP and UDP, all different.
///
/// # Errors
/// The machine has none left.
pub fn free<const N: usize>() -> std::io::Result<[SocketAddr; N]> {
    // All are held until the last is found, so that none is given twice.
    let mut held = Vec::with_capacity(N);
    let mut found = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); N];
    for slot in &mut found {
        *slot = loop {
            let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let address = tcp.local_addr()?;
            if let Ok(udp) = UdpSocket::bind(address) {
                held.push((tcp, udp));
                break address;
            }
        };
    }
    Ok(found)
}
