//! Sockets as the edge wants them.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    sync::Arc,
};

use quinn::{Endpoint, EndpointConfig, TokioRuntime};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::net::TcpListener;

/// TCP and QUIC on the same port.
pub(super) fn both(
    address: SocketAddr,
    endpoint: &EndpointConfig,
    quic: &quinn::ServerConfig,
) -> io::Result<(TcpListener, Endpoint)> {
    let mut tries = if address.port() == 0 { 16 } else { 1 };
    loop {
        let listener = tcp(address)?;
        match udp(listener.local_addr()?) {
            Ok(socket) => {
                let runtime = Arc::new(TokioRuntime);
                let endpoint = Endpoint::new(endpoint.clone(), Some(quic.clone()), socket, runtime)?;
                return Ok((listener, endpoint));
            }
            // The port that was free for TCP is taken for UDP.
            Err(_) if tries > 1 => tries -= 1,
            Err(error) => return Err(error),
        }
    }
}

/// A TCP listener.
pub(super) fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restarted edge takes its port at once.
    socket.set_reuse_address(true)?;
    prepare(&socket, address)?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    // Bursts of many clients; the kernel gives less where its limit is lower.
    let _ = socket.set_recv_buffer_size(UDP_BUFFER);
    let _ = socket.set_send_buffer_size(UDP_BUFFER);
    prepare(&socket, address)?;
    Ok(socket.into())
}

fn prepare(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    if let SocketAddr::V6(v6) = address {
        // [::] takes both families: browsers try ::1 for localhost.
        socket.set_only_v6(!v6.ip().is_unspecified())?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::from(address))
}

const BACKLOG: i32 = 4_096;
const UDP_BUFFER: usize = 8 * 1024 * 1024;
