//! Doors for servers that tonic runs: tonic takes the connections as a stream, and gives their
//! requests to a layer.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Body;
use tokio::net::TcpStream;
use tonic::{
    Code, Status,
    transport::server::{Connected, TcpConnectInfo, TlsConnectInfo},
};
use tower::{Layer, Service};

use super::{
    activity::Activity,
    answers::{Answer, Underway, size},
    watched::Watched,
};

/// What a request knows of its connection.
#[derive(Debug, Clone)]
pub struct Connection {
    activity: Activity,
    addresses: TcpConnectInfo,
}

impl Connected for Watched<TcpStream> {
    type ConnectInfo = Connection;

    fn connect_info(&self) -> Connection {
        let addresses =
            self.get_ref().map_or(TcpConnectInfo { local_addr: None, remote_addr: None }, |tcp| tcp.connect_info());
        Connection { activity: self.activity().clone(), addresses }
    }
}

/// Counts the requests of connections that are [`Watched`], in clear or under TLS.
#[derive(Debug, Clone, Copy)]
pub struct Requests {
    /// Whether a client that does not read its answers is answered no further. Not for nodes: an
    /// edge's stream carries the answers of all its clients, and has a bounded queue of its own.
    pub bounded: bool,
}

/// See [`Requests`].
#[derive(Debug, Clone)]
pub struct Counted<S> {
    inner: S,
    bounded: bool,
}

impl<S> Layer<S> for Requests {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted { inner, bounded: self.bounded }
    }
}

impl<S, B> Service<Request<tonic::body::Body>> for Counted<S>
where
    S: Service<Request<tonic::body::Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    B: Body<Data = Bytes, Error = Status> + Unpin + Send + 'static,
{
    type Response = Response<tonic::body::Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<tonic::body::Body>) -> Self::Future {
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        let bounded = self.bounded;
        Box::pin(async move {
            let Some(connection) = take_connection(&mut request) else {
                return Ok(inner.call(request).await?.map(tonic::body::Body::new));
            };
            // Where tonic looks for the peer's address.
            request.extensions_mut().insert(connection.addresses);
            let underway = if bounded {
                let (version, headers) = (request.version(), size(&request));
                match Underway::admit(&connection.activity, version, headers).await {
                    Some(underway) => underway,
                    None => return Ok(too_many()),
                }
            } else {
                Underway::begin(&connection.activity, request.version())
            };
            let response: Response<Answer<B>> = underway.answer(inner.call(request).await?);
            Ok(response.map(tonic::body::Body::new))
        })
    }
}

fn take_connection(request: &mut Request<tonic::body::Body>) -> Option<Connection> {
    let extensions = request.extensions_mut();
    extensions.remove::<Connection>().or_else(|| {
        let tls = extensions.remove::<TlsConnectInfo<Connection>>()?;
        Some(tls.get_ref().clone())
    })
}

fn too_many() -> Response<tonic::body::Body> {
    Status::new(Code::ResourceExhausted, "read the answers to earlier calls first").into_http()
}
