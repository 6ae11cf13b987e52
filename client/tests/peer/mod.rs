//! A small server for tests: real QUIC, TLS and WebSocket, real frames, and a test that says what it answers.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt as _, StreamExt as _};
use gogochat_client::{Dialer, Target, Transport, Trust};
use gogochat_proto::{
    frame::{self, Decoder},
    v1::{self, ServerFrame, client_frame, server_frame::Frame},
};
use prost::Message as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_tungstenite::tungstenite::{
    Message,
    handshake::server::{Request, Response},
    http::HeaderValue,
    protocol::CloseFrame,
};

pub struct Peer {
    /// For WebTransport and wss.
    pub secure: Target,
    /// For ws.
    pub clear: Target,
    pub certificate: CertificateDer<'static>,
    pub pem: String,
    sessions: mpsc::Receiver<Serving>,
    endpoint: quinn::Endpoint,
}

/// The server's side of one session.
pub struct Serving {
    pub transport: Transport,
    frames: mpsc::Receiver<client_frame::Frame>,
    orders: mpsc::Sender<Order>,
}

enum Order {
    Bytes(Bytes),
    /// On the second stream, where there are streams.
    Low(Bytes),
    /// Ends the second stream.
    EndLow,
    Datagram(Bytes),
    /// The transport's own close, with this code.
    Close(u16, &'static str),
}

impl Peer {
    pub async fn start() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let certificate = made.cert.der().clone();
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let tls = |alpn: &[u8]| {
            let mut config =
                rustls::ServerConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
                    .with_safe_default_protocol_versions()
                    .unwrap()
                    .with_no_client_auth()
                    .with_single_cert(vec![certificate.clone()], key.clone_key())
                    .unwrap();
            config.alpn_protocols = vec![alpn.to_vec()];
            config
        };
        let (accepted, sessions) = mpsc::channel(64);

        let quic = quinn::crypto::rustls::QuicServerConfig::try_from(tls(b"h3")).unwrap();
        let quic = quinn::ServerConfig::with_crypto(Arc::new(quic));
        // A port that is free for UDP may be taken for TCP.
        let (endpoint, address, wss) = loop {
            let endpoint = quinn::Endpoint::server(quic.clone(), "127.0.0.1:0".parse().unwrap()).unwrap();
            let address = endpoint.local_addr().unwrap();
            if let Ok(wss) = TcpListener::bind(address).await {
                break (endpoint, address, wss);
            }
        };
        tokio::spawn(accept_quic(endpoint.clone(), accepted.clone()));
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls(b"http/1.1")));
        tokio::spawn(accept_tcp(wss, Some(acceptor), accepted.clone()));
        let ws = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let clear = format!("http://{}", ws.local_addr().unwrap()).parse().unwrap();
        tokio::spawn(accept_tcp(ws, None, accepted));

        let secure = format!("https://{address}").parse().unwrap();
        Self { secure, clear, certificate, pem: made.cert.pem(), sessions, endpoint }
    }

    /// The next session that a client opens.
    pub async fn session(&mut self) -> Serving {
        within(self.sessions.recv()).await.expect("a session")
    }

    /// The next session, signed in.
    pub async fn signed_in(&mut self) -> Serving {
        let mut session = self.session().await;
        assert!(matches!(session.frame().await, client_frame::Frame::Hello(_)));
        session.send(Frame::Welcome(welcome())).await;
        session
    }

    /// From here on QUIC goes unanswered.
    pub fn close_udp(&self) {
        self.endpoint.close(0_u32.into(), b"");
        self.endpoint.set_server_config(None);
    }

    pub fn dialer(&self) -> Dialer {
        Dialer::new(Trust::AnyOnLoopback).unwrap()
    }

    pub fn target(&self, path: (Transport, bool)) -> &Target {
        if path.1 { &self.secure } else { &self.clear }
    }
}

/// Every way to reach a server: transport, and whether the target is secure.
pub const PATHS: [(Transport, bool); 3] =
    [(Transport::WebTransport, true), (Transport::WebSocket, true), (Transport::WebSocket, false)];

pub fn welcome() -> v1::Welcome {
    v1::Welcome {
        session_id: "s".to_owned(),
        user_id: "u".to_owned(),
        device_id: "d".to_owned(),
        own_seq: 7,
        heartbeat_ms: 15_000,
        time_ms: 0,
        ..v1::Welcome::default()
    }
}

/// An HTTP server that gives this access token for that refresh token.
pub async fn refreshes(refresh_token: &'static str, access_token: &'static str) -> Target {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"}") {
            assert_ne!(tcp.read_buf(&mut asked).await.unwrap(), 0);
        }
        let asked = String::from_utf8(asked).unwrap();
        assert!(asked.starts_with("POST /v1/sessions/refresh ") && asked.contains(refresh_token), "{asked}");
        let body = format!(r#"{{"user":{{"id":"u"}},"deviceId":"d","accessToken":"{access_token}"}}"#);
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
        tcp.write_all((head + &body).as_bytes()).await.unwrap();
        // The connection stays until the client has read.
        let _ = tcp.read_buf(&mut Vec::new()).await;
    });
    target
}

/// Fails instead of hanging.
pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("in time")
}

impl Serving {
    /// The client's next frame.
    pub async fn frame(&mut self) -> client_frame::Frame {
        within(self.frames.recv()).await.expect("a frame")
    }

    /// The client's next call; other frames are passed over.
    pub async fn call(&mut self) -> v1::Call {
        loop {
            if let client_frame::Frame::Call(call) = self.frame().await {
                return call;
            }
        }
    }

    /// The client's next frame, or the end.
    pub async fn maybe(&mut self) -> Option<client_frame::Frame> {
        within(self.frames.recv()).await
    }

    pub async fn send(&self, frame: Frame) {
        self.raw(frame::encode(&ServerFrame::from(frame))).await;
    }

    pub async fn reply(&self, id: u32, body: &impl prost::Message) {
        self.send(Frame::Reply(v1::Reply { id, body: body.encode_to_vec().into(), error: None })).await;
    }

    /// A reply on the stream of low priority.
    pub async fn reply_low(&self, id: u32, body: &impl prost::Message) {
        let reply = Frame::Reply(v1::Reply { id, body: body.encode_to_vec().into(), error: None });
        self.orders.send(Order::Low(frame::encode(&ServerFrame::from(reply)))).await.expect("the session stands");
    }

    /// Bytes on the stream of low priority, which then ends.
    pub async fn end_low(&self, begun: Bytes) {
        self.orders.send(Order::Low(begun)).await.expect("the session stands");
        self.orders.send(Order::EndLow).await.expect("the session stands");
    }

    pub async fn refuse(&self, id: u32, error: v1::Error) {
        self.send(Frame::Reply(v1::Reply { id, body: Bytes::new(), error: Some(error) })).await;
    }

    pub async fn raw(&self, bytes: Bytes) {
        self.orders.send(Order::Bytes(bytes)).await.expect("the session stands");
    }

    /// A datagram where the transport has them.
    pub async fn send_lossy(&self, frame: Frame) {
        match self.transport {
            Transport::WebTransport => {
                self.orders.send(Order::Datagram(ServerFrame::from(frame).encode_to_vec().into())).await.unwrap();
            }
            Transport::WebSocket => self.send(frame).await,
        }
    }

    pub async fn close(&self, code: u16, reason: &'static str) {
        self.orders.send(Order::Close(code, reason)).await.unwrap();
    }
}

async fn accept_tcp(listener: TcpListener, tls: Option<tokio_rustls::TlsAcceptor>, accepted: mpsc::Sender<Serving>) {
    while let Ok((tcp, _)) = listener.accept().await {
        tcp.set_nodelay(true).unwrap();
        let (tls, accepted) = (tls.clone(), accepted.clone());
        tokio::spawn(async move {
            match tls {
                Some(tls) => {
                    if let Ok(stream) = tls.accept(tcp).await {
                        serve_web_socket(stream, accepted).await;
                    }
                }
                None => serve_web_socket(tcp, accepted).await,
            }
        });
    }
}

#[allow(clippy::result_large_err)]
async fn serve_web_socket(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    accepted: mpsc::Sender<Serving>,
) {
    let check = |request: &Request, mut response: Response| {
        assert_eq!(request.uri().path(), "/ws");
        assert_eq!(request.headers()["sec-websocket-protocol"], "gogochat.v1.proto");
        response.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("gogochat.v1.proto"));
        Ok(response)
    };
    let Ok(mut socket) = tokio_tungstenite::accept_hdr_async(stream, check).await else { return };
    let (frames, mut orders) = serving(Transport::WebSocket, &accepted).await;
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(Order::Bytes(bytes) | Order::Low(bytes) | Order::Datagram(bytes)) => socket.send(Message::Binary(bytes)).await.unwrap(),
                Some(Order::EndLow) => panic!("a WebSocket has one stream"),
                Some(Order::Close(code, reason)) => {
                    socket.close(Some(CloseFrame { code: code.into(), reason: reason.into() })).await.unwrap();
                }
                // The test has dropped the session: cut it.
                None => return,
            },
            message = socket.next() => match message {
                Some(Ok(Message::Binary(bytes))) => {
                    let mut decoder = Decoder::default();
                    decoder.push(&bytes);
                    while let Some(frame) = decoder.next().unwrap() {
                        let _ = frames.send(frame::client_frame(frame).unwrap()).await;
                    }
                    assert!(!decoder.is_partial(), "a message holds whole frames");
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
        }
    }
}

async fn accept_quic(endpoint: quinn::Endpoint, accepted: mpsc::Sender<Serving>) {
    while let Some(incoming) = endpoint.accept().await {
        let accepted = accepted.clone();
        tokio::spawn(async move {
            if let Ok(connection) = incoming.await {
                serve_web_transport(connection, accepted).await;
            }
        });
    }
}

async fn serve_web_transport(connection: quinn::Connection, accepted: mpsc::Sender<Serving>) {
    let mut control = connection.open_uni().await.unwrap();
    // SETTINGS: extended CONNECT, datagrams, WebTransport.
    control.write_all(&[0x00, 0x04, 9, 0x08, 1, 0x33, 1, 0xab, 0x60, 0x37, 0x42, 1]).await.unwrap();
    let _client_control = connection.accept_uni().await.unwrap();

    let (mut connect, mut request) = connection.accept_bi().await.unwrap();
    let asked = request.read_chunk(usize::MAX, true).await.unwrap().unwrap();
    let asked = String::from_utf8_lossy(&asked.bytes).into_owned();
    assert!(asked.contains("webtransport") && asked.contains("/wt"), "{asked:?}");
    connect.write_all(&[0x01, 3, 0, 0, 0xd9]).await.unwrap();

    let (mut send, mut recv) = connection.accept_bi().await.unwrap();
    let mut header = [0; 3];
    recv.read_exact(&mut header).await.unwrap();
    assert_eq!(header, [0x40, 0x41, 0x00], "a stream of session 0");
    let (frames, mut orders) = serving(Transport::WebTransport, &accepted).await;
    let mut decoder = Decoder::default();
    let mut low = None;
    let mut low_decoder = Decoder::default();
    loop {
        let (low_send, low_recv) = low.as_mut().map(|(send, recv): &mut (_, quinn::RecvStream)| (send, recv)).unzip();
        tokio::select! {
            opened = connection.accept_bi(), if low_recv.is_none() => {
                let Ok((send, mut recv)) = opened else { return };
                recv.read_exact(&mut header).await.unwrap();
                assert_eq!(header, [0x40, 0x41, 0x00], "a stream of session 0");
                low = Some((send, recv));
            }
            chunk = async { low_recv.unwrap().read_chunk(usize::MAX, true).await }, if low_send.is_some() => {
                let Ok(Some(chunk)) = chunk else { return };
                low_decoder.push(&chunk.bytes);
                while let Some(frame) = low_decoder.next().unwrap() {
                    let frame = frame::client_frame(frame).unwrap();
                    assert!(matches!(frame, client_frame::Frame::Call(_)), "calls alone");
                    let _ = frames.send(frame).await;
                }
            }
            order = orders.recv() => match order {
                Some(Order::Low(bytes)) => low_send.unwrap().write_all(&bytes).await.unwrap(),
                Some(Order::EndLow) => {
                    low_send.unwrap().finish().unwrap();
                    low = None;
                    low_decoder = Decoder::default();
                }
                Some(Order::Bytes(bytes)) => send.write_all(&bytes).await.unwrap(),
                Some(Order::Datagram(bytes)) => {
                    connection.send_datagram([&[0], bytes.as_ref()].concat().into()).unwrap();
                }
                Some(Order::Close(code, reason)) => {
                    let mut capsule = BytesMut::from(&[0x00, 9 + reason.len() as u8 - 2, 0x68, 0x43][..]);
                    capsule.extend([4 + reason.len() as u8]);
                    capsule.extend(u32::from(code).to_be_bytes());
                    capsule.extend(reason.as_bytes());
                    connect.write_all(&capsule).await.unwrap();
                    connect.finish().unwrap();
                }
                None => return connection.close(0_u32.into(), b""),
            },
            chunk = recv.read_chunk(usize::MAX, true) => match chunk {
                Ok(Some(chunk)) => {
                    decoder.push(&chunk.bytes);
                    while let Some(frame) = decoder.next().unwrap() {
                        let _ = frames.send(frame::client_frame(frame).unwrap()).await;
                    }
                }
                Ok(None) | Err(_) => return,
            },
            datagram = connection.read_datagram() => {
                let Ok(datagram) = datagram else { return };
                assert_eq!(datagram[0], 0, "a datagram of session 0");
                let _ = frames.send(frame::client_frame(datagram.slice(1..)).unwrap()).await;
            }
        }
    }
}

async fn serving(
    transport: Transport,
    accepted: &mpsc::Sender<Serving>,
) -> (mpsc::Sender<client_frame::Frame>, mpsc::Receiver<Order>) {
    let (frames, frame_queue) = mpsc::channel(4096);
    let (orders, order_queue) = mpsc::channel(4096);
    let _ = accepted.send(Serving { transport, frames: frame_queue, orders }).await;
    (frames, order_queue)
}
