//! The handshake of a WebSocket over hyper (RFC 6455 section 4), up to the bare socket.

use std::{io, net::SocketAddr};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::{rt::TokioIo, server::conn::auto::upgrade::downcast};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::websocket::WebSocket;
use crate::{
    config::Limits,
    door::{Kept, Watched},
    origin::{self, Came, Origin},
    session::wire::Format,
};

/// A handshake that was accepted: the socket is there once the response has gone out.
pub(crate) struct Accepted {
    upgrade: OnUpgrade,
    format: Format,
    kept: Kept,
}

/// Checks a request for a WebSocket.
///
/// # Errors
/// The response that refuses it.
pub(crate) fn accept(
    mut request: Request<Body>,
    address: SocketAddr,
    allowed_origins: &[Origin],
) -> Result<(Response<Body>, Accepted), Box<Response<Body>>> {
    let headers = request.headers();
    if !origin::is_allowed(request.uri(), headers, Came::Tcp, allowed_origins) {
        origin::log_refused(headers, address.ip().to_canonical(), "ws");
        return Err(refuse(StatusCode::FORBIDDEN, "this origin may not connect"));
    }
    let has = |name, token: &str| tokens(headers, name).any(|t| t.eq_ignore_ascii_case(token));
    let version = headers.get(header::SEC_WEBSOCKET_VERSION).is_some_and(|v| v == "13");
    if request.method() != http::Method::GET
        || !has(header::CONNECTION, "upgrade")
        || !has(header::UPGRADE, "websocket")
    {
        return Err(refuse(StatusCode::UPGRADE_REQUIRED, "a WebSocket handshake is wanted here (RFC 6455)"));
    }
    if !version {
        let mut response = refuse(StatusCode::UPGRADE_REQUIRED, "version 13 is wanted");
        response.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, http::HeaderValue::from_static("13"));
        return Err(response);
    }
    let Some(key) = headers.get(header::SEC_WEBSOCKET_KEY).filter(|key| key.len() == KEY_LENGTH) else {
        return Err(refuse(StatusCode::BAD_REQUEST, "the key is missing or no key"));
    };
    let Some((protocol, format)) = tokens(headers, header::SEC_WEBSOCKET_PROTOCOL)
        .find_map(|token| PROTOCOLS.into_iter().find(|(name, _)| *name == token))
    else {
        return Err(refuse(
            StatusCode::BAD_REQUEST,
            "the sub-protocol has to be gogochat.v1.proto or gogochat.v1.json",
        ));
    };
    let accept = derive_accept_key(key.as_bytes());
    let kept = request.extensions_mut().remove::<Kept>().unwrap_or_default();
    let Some(upgrade) = request.extensions_mut().remove::<OnUpgrade>() else {
        return Err(refuse(StatusCode::UPGRADE_REQUIRED, "this connection cannot be upgraded"));
    };
    let response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, accept)
        .header(header::SEC_WEBSOCKET_PROTOCOL, protocol)
        .body(Body::empty())
        .map_err(|_| refuse(StatusCode::INTERNAL_SERVER_ERROR, "no response"))?;
    Ok((response, Accepted { upgrade, format, kept }))
}

impl Accepted {
    /// Waits for the bare socket.
    ///
    /// # Errors
    /// The client has gone, or the connection is not ours.
    pub(crate) async fn socket(self, address: SocketAddr, limits: Limits) -> io::Result<WebSocket> {
        let upgraded = self.upgrade.await.map_err(io::Error::other)?;
        let (tcp, tls, early) = take_apart(upgraded)?;
        Ok(WebSocket::new(tcp, tls, &early, self.format, address.ip().to_canonical(), self.kept, limits))
    }
}

/// The bare socket under an upgraded connection, its TLS state, and bytes that were read already.
fn take_apart(upgraded: Upgraded) -> io::Result<(TcpStream, Option<Box<rustls::ServerConnection>>, Bytes)> {
    match downcast::<TokioIo<Watched<TcpStream>>>(upgraded) {
        Ok(parts) => Ok((parts.io.into_inner().into_inner()?, None, parts.read_buf)),
        Err(upgraded) => match downcast::<TokioIo<TlsStream<Watched<TcpStream>>>>(upgraded) {
            Ok(parts) => {
                let (tcp, tls) = parts.io.into_inner().into_inner();
                Ok((tcp.into_inner()?, Some(Box::new(tls)), parts.read_buf))
            }
            Err(_) => Err(io::Error::other("an upgraded connection of an unknown kind")),
        },
    }
}
/// The members of a comma-separated header.
fn tokens(headers: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = &str> {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(',')).map(str::trim)
}

fn refuse(status: StatusCode, why: &'static str) -> Box<Response<Body>> {
    let mut response = Response::new(Body::from(why));
    *response.status_mut() = status;
    Box::new(response)
}
const PROTOCOLS: [(&str, Format); 2] = [("gogochat.v1.proto", Format::Binary), ("gogochat.v1.json", Format::Text)];
/// 16 bytes in base64.
const KEY_LENGTH: usize = 24;
