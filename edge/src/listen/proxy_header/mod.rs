//! The header with which a gateway begins a connection and tells where it comes from: the PROXY
//! protocol, versions 1 and 2 (<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>).

mod error;
mod parse;

use std::{io, net::SocketAddr};

use tokio::{io::AsyncReadExt as _, net::TcpStream};

pub(super) use self::error::HeaderError;
use self::parse::{MAX_HEADER, parse};
use crate::limits::tcp::PROXY_HEADER;

/// Reads the header, and not a byte of what follows it. Gives where the connection comes from; `None`:
/// from the gateway itself, or from where it cannot tell.
pub(super) async fn read(tcp: &mut TcpStream) -> Result<Option<SocketAddr>, HeaderError> {
    tokio::time::timeout(PROXY_HEADER, read_whole(tcp)).await.unwrap_or(Err(HeaderError::Late))
}

async fn read_whole(tcp: &mut TcpStream) -> Result<Option<SocketAddr>, HeaderError> {
    let mut buffer = vec![0; MAX_HEADER];
    let mut taken = 0;
    loop {
        let (_, room) = buffer.split_at_mut(taken);
        // A look at what has come, which leaves it where it is: only the header's own bytes are taken.
        let seen = taken + tcp.peek(room).await.map_err(HeaderError::CutOff)?;
        if seen == taken {
            return Err(HeaderError::CutOff(io::ErrorKind::UnexpectedEof.into()));
        }
        let header = parse(buffer.get(..seen).unwrap_or_default())?;
        let own = header.map_or(seen, |header| header.length);
        tcp.read_exact(buffer.get_mut(taken..own).unwrap_or_default()).await.map_err(HeaderError::CutOff)?;
        taken = own;
        if let Some(header) = header {
            return Ok(header.source);
        }
    }
}
