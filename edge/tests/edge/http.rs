//! HTTP over versions 1.1, 2 and 3: the same answers.

use std::time::Duration;

use axum::body::Body;
use bytes::{Buf as _, Bytes};
use gogochat_proto::limits::MAX_JSON;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper::client::conn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{FILE, FILE_HEADERS, ORIGIN, Setup, World, soon, within};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    H1,
    H2,
    H3,
}

const VERSIONS: [Version; 3] = [Version::H1, Version::H2, Version::H3];

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Calls by REST, or asks for a page, over a new connection.
async fn ask(world: &World, version: Version, verb: Method, path: &str, token: Option<&str>, body: Bytes) -> Answer {
    let mut request = Request::builder().method(verb).uri(path).header("content-type", "application/json");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    send(world, version, request.body(body).unwrap()).await
}

/// Sends any request over a new connection; its URI is a path.
async fn send(world: &World, version: Version, request: Request<Bytes>) -> Answer {
    let authority = format!("localhost:{}", world.edge_address().port());
    let (mut parts, body) = request.into_parts();
    parts.uri = format!("https://{authority}{}", parts.uri).parse().unwrap();
    soon(async {
        match version {
            Version::H1 => {
                let tls = TokioIo::new(world.tls_stream(&[b"http/1.1"]).await);
                let (mut sender, connection) = conn::http1::handshake(tls).await.unwrap();
                tokio::spawn(connection);
                parts.headers.insert("host", authority.parse().unwrap());
                collect(sender.send_request(Request::from_parts(parts, Body::from(body))).await.unwrap()).await
            }
            Version::H2 => {
                let tls = TokioIo::new(world.tls_stream(&[b"h2"]).await);
                let (mut sender, connection) = conn::http2::handshake(TokioExecutor::new(), tls).await.unwrap();
                tokio::spawn(connection);
                collect(sender.send_request(Request::from_parts(parts, Body::from(body))).await.unwrap()).await
            }
            Version::H3 => ask_h3(world, Request::from_parts(parts, ()), body).await,
        }
    })
    .await
}

async fn collect(response: http::Response<hyper::body::Incoming>) -> Answer {
    let (parts, body) = response.into_parts();
    Answer { status: parts.status, headers: parts.headers, body: body.collect().await.unwrap().to_bytes() }
}

async fn ask_h3(world: &World, request: Request<()>, body: Bytes) -> Answer {
    let (endpoint, config) = world.quic_client();
    let connection = endpoint.connect_with(config, world.edge_address(), "localhost").unwrap().await.unwrap();
    let (mut driver, mut sender) = h3::client::new(h3_quinn::Connection::new(connection)).await.unwrap();
    let driving = tokio::spawn(async move { std::future::poll_fn(|cx| driver.poll_close(cx)).await });
    let mut stream = sender.send_request(request).await.unwrap();
    for piece in body.chunks(10_000) {
        // The server may have answered before it read all.
        if stream.send_data(Bytes::copy_from_slice(piece)).await.is_err() {
            break;
        }
    }
    let _ = stream.finish().await;
    let (parts, ()) = stream.recv_response().await.unwrap().into_parts();
    let mut whole = Vec::new();
    while let Some(mut data) = stream.recv_data().await.unwrap() {
        whole.extend(data.copy_to_bytes(data.remaining()));
    }
    driving.abort();
    Answer { status: parts.status, headers: parts.headers, body: whole.into() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rest_is_the_same_over_each_version() {
    let world = World::new().await;
    let none = Bytes::new;
    for version in VERSIONS {
        // The core answers with what it was asked: a LogIn has the fields of a Session's first.
        let ok = ask(&world, version, Method::GET, "/v1/conversations", Some("token"), none()).await;
        assert_eq!(ok.status, 200, "{version:?}");
        assert_eq!(ok.headers["content-type"], "application/json");
        assert!(ok.json().is_object());

        let refused = ask(&world, version, Method::GET, "/v1/account", None, none()).await;
        assert_eq!((refused.status.as_u16(), refused.json()["code"].as_str()), (401, Some("unauthenticated")));
        let expired = ask(&world, version, Method::GET, "/v1/account", Some("expired"), none()).await;
        assert_eq!((expired.status.as_u16(), expired.json()["code"].as_str()), (401, Some("token_expired")));

        let id = "0190163d-8694-739b-aea5-966c26f8ad91";
        let hidden = ask(&world, version, Method::GET, &format!("/v1/conversations/{id}"), Some("t"), none()).await;
        assert_eq!((hidden.status.as_u16(), hidden.json()["code"].as_str()), (404, Some("not_a_member")));

        let nowhere = ask(&world, version, Method::GET, "/v1/nothing", None, none()).await;
        assert_eq!((nowhere.status.as_u16(), nowhere.json()["code"].as_str()), (404, Some("unknown_method")));
        let verb = ask(&world, version, Method::PUT, "/v1/account", None, none()).await;
        assert_eq!((verb.status.as_u16(), &verb.headers["allow"]), (405, &"GET, HEAD, PATCH".parse().unwrap()));
        assert_eq!(verb.json()["code"], "unknown_method");
        let verb = ask(&world, version, Method::POST, "/client-config.json", None, none()).await;
        assert_eq!((verb.status.as_u16(), &verb.headers["allow"]), (405, &"GET, HEAD".parse().unwrap()));
        assert_eq!(verb.json()["code"], "unknown_method");
        for root in ["/v1", "/v1/"] {
            let nowhere = ask(&world, version, Method::GET, root, None, none()).await;
            assert_eq!((nowhere.status.as_u16(), nowhere.json()["code"].as_str()), (404, Some("unknown_method")));
        }
        let head = ask(&world, version, Method::HEAD, "/v1/conversations", Some("token"), none()).await;
        assert_eq!((head.status.as_u16(), head.body.len()), (200, 0), "{version:?}");
        assert_eq!(head.headers["content-length"], ok.body.len().to_string(), "{version:?}");

        let garbage = ask(&world, version, Method::POST, "/v1/sync", Some("t"), "{".into()).await;
        assert_eq!((garbage.status.as_u16(), garbage.json()["code"].as_str()), (400, Some("malformed_body")));

        let page = ask(&world, version, Method::GET, "/page", None, none()).await;
        assert_eq!((page.status.as_u16(), &page.body[..]), (200, &b"a page"[..]));
        let openapi = ask(&world, version, Method::GET, "/openapi.json", None, none()).await;
        assert_eq!(openapi.json()["openapi"], "3.1.0");
        for (path, kind, _) in gogochat_proto::openapi::PAGE {
            let page = ask(&world, version, Method::GET, path, None, none()).await;
            assert_eq!((page.status.as_u16(), &page.headers["content-type"]), (200, &kind.parse().unwrap()));
            assert_eq!(page.headers["content-security-policy"], gogochat_proto::openapi::PAGE_POLICY);
            assert_eq!(page.headers["x-content-type-options"], "nosniff");
        }
    }
}

/// The edge passes on what the application answers: it adds and removes no content coding, and
/// loses no header.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_the_application_is_the_same_over_each_version() {
    let world = World::new().await;
    for version in VERSIONS {
        for (verb, have, status, body) in [
            (Method::GET, None, 200, FILE),
            (Method::HEAD, None, 200, b"".as_slice()),
            (Method::GET, Some("\"a\""), 304, b""),
        ] {
            let mut request = Request::builder().method(verb).uri("/file").header("accept-encoding", "gzip, br;q=0.5");
            if let Some(tag) = have {
                request = request.header("if-none-match", tag);
            }
            let answer = send(&world, version, request.body(Bytes::new()).unwrap()).await;
            assert_eq!((answer.status.as_u16(), &answer.body[..]), (status, body), "{version:?}");
            for (name, value) in FILE_HEADERS {
                assert_eq!(answer.headers[name], value, "{version:?}");
            }
            assert_eq!(answer.headers["x-accept-encoding"], "gzip, br;q=0.5", "{version:?}");
            // Over HTTP/1.1 hyper leaves it out of a 304.
            if status != 304 || version != Version::H1 {
                assert_eq!(answer.headers["content-length"], FILE.len().to_string(), "{version:?}");
            }
        }
        let nothing = Request::head("/nothing").body(Bytes::new()).unwrap();
        let nothing = send(&world, version, nothing).await;
        assert_eq!((nothing.status.as_u16(), nothing.body.len()), (404, 0), "{version:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_at_the_limit_and_past_it() {
    let world = World::new().await;
    for version in VERSIONS {
        let body = |size: usize| {
            let mut body = json!({ "ownCursor": "1" }).to_string().into_bytes();
            body.resize(size, b' ');
            Bytes::from(body)
        };
        let fits = ask(&world, version, Method::POST, "/v1/sync", Some("t"), body(MAX_JSON)).await;
        assert_ne!(fits.status, 413, "{version:?}");
        let past = ask(&world, version, Method::POST, "/v1/sync", Some("t"), body(MAX_JSON + 1)).await;
        assert_eq!((past.status.as_u16(), past.json()["code"].as_str()), (413, Some("body_too_large")), "{version:?}");
    }
}

/// A page of another site may send a form or plain text without asking first: nothing of it is carried out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_not_said_to_be_json() {
    let world = World::new().await;
    for version in VERSIONS {
        let post = async |kind: Option<&str>, body: &'static str| {
            let mut request = Request::post("/v1/sessions");
            if let Some(kind) = kind {
                request = request.header("content-type", kind);
            }
            send(&world, version, request.body(Bytes::from_static(body.as_bytes())).unwrap()).await
        };
        let form = "application/x-www-form-urlencoded";
        for kind in [None, Some("text/plain"), Some("text/plain;charset=UTF-8"), Some(form), Some("application/jsonx")]
        {
            let refused = post(kind, "{}").await;
            let code = refused.json()["code"].clone();
            assert_eq!((refused.status.as_u16(), code), (415, "unsupported_media_type".into()), "{version:?} {kind:?}");
        }
        for kind in ["application/json", "Application/JSON; charset=utf-8"] {
            assert_eq!(post(Some(kind), "{}").await.status, 200, "{version:?} {kind:?}");
        }
        // Without a body there is nothing to be of a kind.
        assert_eq!(post(None, "").await.status, 200, "{version:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_listed_origins_may_use_rest_and_no_others() {
    let world = World::new().await;
    for version in VERSIONS {
        let preflight = async |origin: &str| {
            let request = Request::options("/v1/sessions")
                .header("origin", origin)
                .header("access-control-request-method", "POST")
                .header("access-control-request-headers", "authorization,content-type");
            send(&world, version, request.body(Bytes::new()).unwrap()).await
        };
        let allowed = preflight(ORIGIN).await;
        assert!(allowed.status.is_success(), "{version:?}: {}", allowed.status);
        assert_eq!(allowed.headers["access-control-allow-origin"], ORIGIN);
        let headers = allowed.headers["access-control-allow-headers"].to_str().unwrap();
        assert!(headers.contains("authorization") && headers.contains("content-type"), "{headers}");
        assert!(allowed.headers["access-control-allow-methods"].to_str().unwrap().contains("POST"));
        let ask = async |origin: &str, path: &str| {
            let request = Request::get(path).header("origin", origin).header("authorization", "Bearer t");
            send(&world, version, request.body(Bytes::new()).unwrap()).await
        };
        for path in ["/v1/conversations", "/v1/nothing", "/client-config.json"] {
            let answer = ask(ORIGIN, path).await;
            assert_eq!(answer.headers["access-control-allow-origin"], ORIGIN, "{version:?} {path}");
            // A cache must not give one origin's answer to another.
            assert!(answer.headers["vary"].to_str().unwrap().to_ascii_lowercase().contains("origin"), "{path}");
            // The token is in a header: no cookies, no credentials.
            assert!(!answer.headers.contains_key("access-control-allow-credentials"));
        }
        for other in ["https://evil.example", "http://chat.example.org", "https://chat.example.org:8443", "null"] {
            assert!(!preflight(other).await.headers.contains_key("access-control-allow-origin"), "{other}");
            let answer = ask(other, "/v1/conversations").await;
            assert!(!answer.headers.contains_key("access-control-allow-origin"), "{other}");
            assert!(answer.headers["vary"].to_str().unwrap().to_ascii_lowercase().contains("origin"), "{other}");
        }
        // The application's files are for its own pages.
        assert!(!ask(ORIGIN, "/page").await.headers.contains_key("access-control-allow-origin"));
    }
    let closed = World::start(Setup { origins: Vec::new(), ..Setup::new() }).await;
    let request =
        Request::options("/v1/sessions").header("origin", ORIGIN).header("access-control-request-method", "POST");
    let answer = send(&closed, Version::H2, request.body(Bytes::new()).unwrap()).await;
    assert_eq!((answer.status.as_u16(), answer.json()["code"].as_str()), (405, Some("unknown_method")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browsers_are_told_to_come_over_tls_where_that_is_configured() {
    let year = Duration::from_secs(365 * 24 * 60 * 60);
    let world = World::start(Setup { strict_transport: Some(year), ..Setup::new() }).await;
    let told = async |host: &str, tls: bool| {
        let head = format!("GET /page HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        let mut answer = Vec::new();
        if tls {
            let mut stream = world.tls_stream(&[b"http/1.1"]).await;
            stream.write_all(head.as_bytes()).await.unwrap();
            let _ = soon(stream.read_to_end(&mut answer)).await;
        } else {
            let mut stream = TcpStream::connect(world.http_address()).await.unwrap();
            stream.write_all(head.as_bytes()).await.unwrap();
            soon(stream.read_to_end(&mut answer)).await.unwrap();
        }
        let answer = String::from_utf8_lossy(&answer).to_lowercase();
        assert!(answer.starts_with("http/1.1 200 "), "{host}: {answer}");
        answer.contains("strict-transport-security: max-age=31536000\r\n")
    };
    assert!(told("chat.example.org", true).await);
    assert!(told("chat.example.org:8443", true).await);
    for host in ["localhost", "localhost:8443", "LOCALHOST", "app.localhost", "127.0.0.1:8443", "[::1]:8443"] {
        assert!(!told(host, true).await, "{host}");
    }
    assert!(!told("chat.example.org", false).await, "in clear (RFC 6797 section 7.2)");
    // Over HTTP/3 and HTTP/2 the host is the authority.
    for version in VERSIONS {
        let answer = send(&world, version, Request::get("/page").body(Bytes::new()).unwrap()).await;
        assert!(!answer.headers.contains_key("strict-transport-security"), "localhost, {version:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_learns_where_to_connect() {
    let world = World::new().await;
    let port = world.edge_address().port();
    for version in VERSIONS {
        let config = ask(&world, version, Method::GET, "/client-config.json", None, Bytes::new()).await;
        let expected = json!({
            "webtransportUrl": format!("https://localhost:{port}/wt"),
            "certificateHash": "abcd",
            "websocketUrl": "/ws",
            "version": env!("CARGO_PKG_VERSION"),
        });
        assert_eq!((config.json(), &config.headers["cache-control"]), (expected, &"no-store".parse().unwrap()));
        // Over TCP it is told that HTTP/3 is there too.
        if version != Version::H3 {
            assert_eq!(config.headers["alt-svc"], format!("h3=\":{port}\"; ma=86400"));
        }
    }
    // In clear there is no WebTransport, and the page's policy would forbid any but its own host and port.
    let tcp = TcpStream::connect(world.http_address()).await.unwrap();
    let (mut sender, connection) = conn::http1::handshake(TokioIo::new(tcp)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("/client-config.json").header("host", "localhost").body(Body::empty()).unwrap();
    let config = soon(async { collect(sender.send_request(request).await.unwrap()).await }).await;
    assert_eq!(
        (config.json()["webtransportUrl"].as_str(), config.json()["websocketUrl"].as_str()),
        (Some(""), Some("/ws"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_handshake_that_is_none() {
    let world = World::new().await;
    let good = [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-protocol", "other, gogochat.v1.proto"),
    ];
    let handshake = async |replace: &str, with: Option<&str>| {
        let mut tcp = TcpStream::connect(world.http_address()).await.unwrap();
        let mut request = "GET /ws HTTP/1.1\r\nhost: localhost\r\n".to_owned();
        for (name, value) in good {
            match with {
                Some(with) if name == replace => request += &format!("{name}: {with}\r\n"),
                None if name == replace => {}
                _ => request += &format!("{name}: {value}\r\n"),
            }
        }
        tcp.write_all(format!("{request}\r\n").as_bytes()).await.unwrap();
        let mut answer = vec![0; 1_000];
        let size = soon(tcp.read(&mut answer)).await.unwrap();
        String::from_utf8_lossy(&answer[..size]).into_owned()
    };
    let answer = handshake("", None).await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    // The example of RFC 6455 section 1.3.
    assert!(answer.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{answer}");
    assert!(answer.contains("sec-websocket-protocol: gogochat.v1.proto"), "{answer}");
    for (name, value, status) in [
        ("connection", Some("close"), 426),
        ("upgrade", Some("h2c"), 426),
        ("sec-websocket-version", Some("8"), 426),
        ("sec-websocket-key", Some("short"), 400),
        ("sec-websocket-key", None, 400),
        ("sec-websocket-protocol", None, 400),
        ("sec-websocket-protocol", Some("chat"), 400),
    ] {
        let answer = handshake(name, value).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{name}: {value:?}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_that_never_end_and_headers_that_are_too_many() {
    let world = World::new().await;
    let mut slow = TcpStream::connect(world.http_address()).await.unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nhost: ").await.unwrap();
    let mut large = TcpStream::connect(world.http_address()).await.unwrap();
    large.write_all(format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(40_000)).as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = soon(large.read_to_end(&mut answer)).await;
    assert!(answer.starts_with(b"HTTP/1.1 431 "), "{}", String::from_utf8_lossy(&answer));
    let mut answer = Vec::new();
    within(Duration::from_secs(20), slow.read_to_end(&mut answer)).await.unwrap();
}
