//! The least of HTTP that tests need: one request on one connection, in clear.

use std::net::SocketAddr;

use http_body_util::{BodyExt as _, Full};
use hyper::{Request, body::Bytes};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The header fields.
    pub headers: hyper::HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Errors
    /// It is none.
    pub fn json(&self) -> anyhow::Result<Value> {
        Ok(serde_json::from_slice(&self.body)?)
    }
}

/// GET.
///
/// # Errors
/// There was no answer.
pub async fn get(address: SocketAddr, path: &str) -> anyhow::Result<Answer> {
    send(address, Request::get(path).body(Full::default())?).await
}

/// A call by REST: `verb` on `path` with a JSON body (unless null) and a bearer token (unless empty).
///
/// # Errors
/// There was no answer.
pub async fn call(address: SocketAddr, verb: &str, path: &str, token: &str, body: &Value) -> anyhow::Result<Answer> {
    let mut request = Request::builder().method(verb).uri(path);
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let body = if body.is_null() { Bytes::new() } else { serde_json::to_vec(body)?.into() };
    send(address, request.header("content-type", "application/json").body(Full::new(body))?).await
}

/// Any request.
///
/// # Errors
/// There was no answer.
pub async fn send(address: SocketAddr, mut request: Request<Full<Bytes>>) -> anyhow::Result<Answer> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let host = address.to_string().parse()?;
    request.headers_mut().entry("host").or_insert(host);
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = body.collect().await?.to_bytes();
    driver.abort();
    Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
}
