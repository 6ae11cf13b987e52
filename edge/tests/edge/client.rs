//! Clients: WebTransport by a foreign library, WebSocket by tungstenite, in clear and over TLS.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use gogochat_proto::{
    frame::{self, Decoder},
    ids::UserId,
    v1::{self, client_frame, server_frame},
};
use http::HeaderValue;
use rustls::RootCertStore;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{self, Message, client::IntoClientRequest as _},
};
use web_transport_quinn as wt;

use crate::{World, soon};

/// A client over one of the three.
pub(crate) enum Client {
    Ws(Box<WebSocketStream<TcpStream>>, Decoder),
    Wss(Box<WebSocketStream<TlsStream<TcpStream>>>, Decoder),
    Wt(Box<WtClient>),
}

pub(crate) struct WtClient {
    pub(crate) session: wt::Session,
    pub(crate) send: wt::SendStream,
    pub(crate) recv: wt::RecvStream,
    decoder: Decoder,
    _endpoint: quinn::Endpoint,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ws,
    Wss,
    Wt,
}

pub(crate) const KINDS: [Kind; 3] = [Kind::Ws, Kind::Wss, Kind::Wt];

impl World {
    pub(crate) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        roots
    }

    pub(crate) fn tls(&self, protocols: &[&[u8]]) -> rustls::ClientConfig {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots())
            .with_no_client_auth();
        tls.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        tls
    }

    pub(crate) fn quic_client(&self) -> (quinn::Endpoint, quinn::ClientConfig) {
        let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(self.tls(&[b"h3"])).unwrap();
        let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        (endpoint, quinn::ClientConfig::new(Arc::new(crypto)))
    }

    pub(crate) fn http_address(&self) -> SocketAddr {
        self.edge.http_addresses()[0]
    }

    pub(crate) fn edge_address(&self) -> SocketAddr {
        self.edge.edge_addresses()[0]
    }

    pub(crate) async fn tls_stream(&self, protocols: &[&[u8]]) -> TlsStream<TcpStream> {
        self.tls_over(TcpStream::connect(self.edge_address()).await.unwrap(), protocols).await
    }

    pub(crate) async fn tls_over(&self, tcp: TcpStream, protocols: &[&[u8]]) -> TlsStream<TcpStream> {
        let connector = TlsConnector::from(Arc::new(self.tls(protocols)));
        connector.connect("localhost".try_into().unwrap(), tcp).await.unwrap()
    }

    /// A WebSocket request with our sub-protocol and, perhaps, an Origin.
    pub(crate) fn ws_request(&self, protocol: &str, origin: Option<&str>) -> http::Request<()> {
        let mut request = "ws://localhost/ws".into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
        if let Some(origin) = origin {
            request.headers_mut().insert("origin", origin.parse().unwrap());
        }
        request
    }

    pub(crate) async fn ws(
        &self,
        protocol: &str,
        origin: Option<&str>,
    ) -> Result<WebSocketStream<TcpStream>, tungstenite::Error> {
        self.ws_over(TcpStream::connect(self.http_address()).await.unwrap(), protocol, origin).await
    }

    async fn ws_over(
        &self,
        tcp: TcpStream,
        protocol: &str,
        origin: Option<&str>,
    ) -> Result<WebSocketStream<TcpStream>, tungstenite::Error> {
        let request = self.ws_request(protocol, origin);
        let (socket, response) = tokio_tungstenite::client_async(request, tcp).await?;
        assert_eq!(response.headers()["sec-websocket-protocol"], protocol);
        Ok(socket)
    }

    pub(crate) async fn wt(
        &self,
        path: &str,
        origin: Option<&str>,
    ) -> Result<(quinn::Endpoint, wt::Session), wt::ClientError> {
        self.wt_at(self.edge_address().port(), path, origin).await
    }

    async fn wt_at(
        &self,
        port: u16,
        path: &str,
        origin: Option<&str>,
    ) -> Result<(quinn::Endpoint, wt::Session), wt::ClientError> {
        let (endpoint, config) = self.quic_client();
        let client = wt::Client::new(endpoint.clone(), config);
        let url: url::Url = format!("https://localhost:{port}{path}").parse().unwrap();
        let mut request = wt::proto::ConnectRequest::new(url).with_protocol("gogochat.v1.proto");
        if let Some(origin) = origin {
            request = request.with_header(http::header::ORIGIN, HeaderValue::from_str(origin).unwrap());
        }
        Ok((endpoint, client.connect(request).await?))
    }

    /// Opens a transport, without a word.
    pub(crate) async fn connect(&self, kind: Kind) -> Client {
        let address = match kind {
            Kind::Ws => self.http_address(),
            Kind::Wss => self.edge_address(),
            Kind::Wt => return self.connect_wt(self.edge_address().port()).await,
        };
        self.connect_over(TcpStream::connect(address).await.unwrap(), kind).await
    }

    /// Opens WebTransport to a port, without a word.
    pub(crate) async fn connect_wt(&self, port: u16) -> Client {
        let (endpoint, session) = self.wt_at(port, "/wt", None).await.unwrap();
        assert_eq!(session.protocol(), Some("gogochat.v1.proto"));
        let (send, recv) = session.open_bi().await.unwrap();
        Client::Wt(Box::new(WtClient { session, send, recv, decoder: Decoder::default(), _endpoint: endpoint }))
    }

    /// Opens a transport over a connection that is there, without a word.
    pub(crate) async fn connect_over(&self, tcp: TcpStream, kind: Kind) -> Client {
        if kind == Kind::Ws {
            let socket = self.ws_over(tcp, "gogochat.v1.proto", None).await.unwrap();
            return Client::Ws(Box::new(socket), Decoder::default());
        }
        let tls = self.tls_over(tcp, &[b"http/1.1"]).await;
        let request = self.ws_request("gogochat.v1.proto", None);
        let (socket, _) = tokio_tungstenite::client_async(request, tls).await.unwrap();
        Client::Wss(Box::new(socket), Decoder::default())
    }

    /// Opens a session for a user.
    pub(crate) async fn log_in(&self, kind: Kind, user: UserId) -> Client {
        let mut client = soon(self.connect(kind)).await;
        client.log_in(user).await;
        client
    }
}

impl Client {
    /// Opens a session for a user.
    pub(crate) async fn log_in(&mut self, user: UserId) {
        self.hello(&format!("user {user}")).await;
        let welcome = self.next().await;
        let server_frame::Frame::Welcome(welcome) = welcome else { panic!("{welcome:?}") };
        assert_eq!(welcome.user_id, user.to_string());
    }

    /// The same, of a client that wants marks as aggregates.
    pub(crate) async fn log_in_for_aggregates(&mut self, user: UserId) {
        let access_token = format!("user {user}");
        let hello = v1::Hello { access_token, client: "test/2".into(), aggregate_marks: true, ..Default::default() };
        self.send(client_frame::Frame::Hello(hello)).await;
        let welcome = self.next().await;
        assert!(matches!(welcome, server_frame::Frame::Welcome(_)), "{welcome:?}");
    }

    pub(crate) async fn send(&mut self, frame: client_frame::Frame) {
        self.send_bytes(frame::encode(&v1::ClientFrame::from(frame))).await;
    }

    /// Bytes of the live stream, or of one binary message. A session that has ended meanwhile takes none.
    pub(crate) async fn send_bytes(&mut self, bytes: Bytes) {
        match self {
            Self::Ws(socket, _) => _ = socket.send(Message::Binary(bytes)).await,
            Self::Wss(socket, _) => _ = socket.send(Message::Binary(bytes)).await,
            Self::Wt(client) => _ = client.send.write_all(&bytes).await,
        }
    }

    pub(crate) async fn hello(&mut self, token: &str) {
        let hello = v1::Hello { access_token: token.into(), client: "test/1".into(), ..Default::default() };
        self.send(client_frame::Frame::Hello(hello)).await;
    }

    pub(crate) async fn call(&mut self, id: u32, method: &str, key: &str, body: impl Into<Bytes>) {
        let call = v1::Call { id, method: method.into(), key: key.into(), body: body.into() };
        self.send(client_frame::Frame::Call(call)).await;
    }

    /// The next frame.
    pub(crate) async fn next(&mut self) -> server_frame::Frame {
        soon(self.next_or_end()).await.expect("a frame, not the end")
    }

    /// The next event's seq.
    pub(crate) async fn next_event(&mut self) -> i64 {
        match self.next().await {
            server_frame::Frame::Event(event) => event.seq,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn next_reply(&mut self) -> v1::Reply {
        match self.next().await {
            server_frame::Frame::Reply(reply) => reply,
            other => panic!("{other:?}"),
        }
    }

    /// The next frame, or the close code.
    pub(crate) async fn next_or_end(&mut self) -> Result<server_frame::Frame, u32> {
        loop {
            let decoder = match self {
                Self::Ws(_, decoder) | Self::Wss(_, decoder) => decoder,
                Self::Wt(client) => &mut client.decoder,
            };
            if let Some(bytes) = decoder.next().unwrap() {
                return Ok(frame::server_frame(bytes).unwrap().expect("a known frame"));
            }
            let bytes = match self {
                Self::Ws(socket, _) => message(socket.next().await),
                Self::Wss(socket, _) => message(socket.next().await),
                Self::Wt(client) => match client.recv.read_chunk(65_536, true).await {
                    Ok(Some(chunk)) => Ok(Some(chunk.bytes)),
                    _ => Err(wt_code(client.session.closed().await)),
                },
            }?;
            let decoder = match self {
                Self::Ws(_, decoder) | Self::Wss(_, decoder) => decoder,
                Self::Wt(client) => &mut client.decoder,
            };
            if let Some(bytes) = bytes {
                decoder.push(&bytes);
            }
        }
    }

    /// Reads to the end: the code of the Close frame, where one came, and that of the transport.
    pub(crate) async fn end(&mut self) -> (Option<u32>, u32) {
        let mut told = None;
        loop {
            match self.next_or_end().await {
                Ok(server_frame::Frame::Close(close)) => told = Some(close.code),
                Ok(_) => {}
                Err(code) => return (told, code),
            }
        }
    }
}

fn message(message: Option<Result<Message, tungstenite::Error>>) -> Result<Option<Bytes>, u32> {
    match message {
        Some(Ok(Message::Binary(bytes))) => Ok(Some(bytes)),
        Some(Ok(Message::Close(Some(close)))) => Err(u16::from(close.code).into()),
        Some(Ok(Message::Close(None)) | Err(_)) | None => Err(0),
        Some(Ok(_)) => Ok(None),
    }
}

pub(crate) fn wt_code(error: wt::SessionError) -> u32 {
    match error {
        wt::SessionError::WebTransportError(wt::WebTransportError::Closed(code, _)) => code,
        other => panic!("{other}"),
    }
}
