//! Ports for servers under test.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    ops::Range,
    sync::atomic::{AtomicU32, Ordering},
};

/// Loopback addresses that are free for TCP and UDP, all different.
///
/// They are none that the system gives to connections: one of those could take an address before the
/// server that it is meant for is up.
///
/// # Errors
/// The machine has none left.
pub fn free<const N: usize>() -> std::io::Result<[SocketAddr; N]> {
    let mut found = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); N];
    for slot in &mut found {
        *slot = next()?;
    }
    Ok(found)
}

/// Each is given once by a process, and processes begin far apart.
fn next() -> std::io::Result<SocketAddr> {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let count = u32::from(PORTS.end - PORTS.start);
    let first = std::process::id().wrapping_mul(APART);
    let mut error = None;
    for _ in 0..count {
        let place = first.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed)) % count;
        let port = PORTS.start + u16::try_from(place).unwrap_or_default();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        match TcpListener::bind(address).and_then(|_tcp| UdpSocket::bind(address)) {
            Ok(_udp) => return Ok(address),
            Err(taken) => error = Some(taken),
        }
    }
    Err(error.unwrap_or_else(|| std::io::ErrorKind::AddrInUse.into()))
}

/// Below what Linux (from 32,768) and others (from 49,152) give to connections.
const PORTS: Range<u16> = 10_240..30_000;
/// A prime, so that processes whose numbers follow each other share no ports before each has taken so many.
const APART: u32 = 397;
