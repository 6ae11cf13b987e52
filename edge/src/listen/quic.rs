//! QUIC connections: WebTransport sessions and HTTP/3 requests.

use std::{
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::Router;
use bytes::Bytes;
use h3::{error::Code, ext::Protocol, server::RequestResolver};
use http::{Method, StatusCode};
use quinn::Endpoint;
use tokio::{task::coop::consume_budget, time::Sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    admission::{Admission, Place},
    host::ServeSession,
};
use crate::{
    config::EdgeConfig,
    limits::quic::{ANSWER, BEGIN, HANDSHAKE, MAX_HEADERS},
    metrics as names,
    transport::{
        Transport,
        h3_backend::{Backend, Guard},
        http3,
        streams::Sessions,
        webtransport,
    },
};

/// What the connections of all QUIC sockets come to.
pub(super) struct Served<H> {
    /// Serves the sessions.
    pub(super) host: Arc<H>,
    pub(super) config: Arc<EdgeConfig>,
    pub(super) tasks: TaskTracker,
    /// Answers the HTTP/3 requests.
    pub(super) router: Router,
    pub(super) admission: Arc<Admission>,
    pub(super) stop: CancellationToken,
}

/// Accepts connections until they are to stop.
pub(super) async fn accept<H: ServeSession>(endpoint: Endpoint, served: Arc<Served<H>>) {
    loop {
        let incoming = tokio::select! {
            incoming = endpoint.accept() => incoming,
            () = served.stop.cancelled() => return,
        };
        let Some(incoming) = incoming else { return };
        if served.admission.is_pressed() && incoming.may_retry() && !incoming.remote_address_validated() {
            // The address may be a forged one: it costs no state to ask.
            let _ = incoming.retry();
            continue;
        }
        let address = incoming.remote_address().ip();
        let Some((place, shaking)) = served.admission.admit(address).zip(served.admission.shake(address)) else {
            metrics::counter!(names::REFUSED, "transport" => "quic", "reason" => "too many").increment(1);
            incoming.refuse();
            continue;
        };
        let own = served.clone();
        served.tasks.spawn(async move {
            let handshake = tokio::select! {
                handshake = tokio::time::timeout(HANDSHAKE, incoming) => handshake,
                () = shaking.evicted() => {
                    metrics::counter!(names::REFUSED, "transport" => "quic", "reason" => "evicted").increment(1);
                    return;
                }
            };
            drop(shaking);
            match handshake {
                // In a task of its own: what the handshake took is freed.
                Ok(Ok(connection)) => {
                    let tasks = own.tasks.clone();
                    tasks.spawn(serve(connection, place, own));
                }
                Ok(Err(error)) => {
                    tracing::debug!(%error, "a QUIC handshake failed");
                    metrics::counter!(names::REFUSED, "transport" => "quic", "reason" => "handshake").increment(1);
                }
                Err(_) => {
                    metrics::counter!(names::REFUSED, "transport" => "quic", "reason" => "timeout").increment(1);
                }
            }
        });
    }
}

/// Serves a QUIC connection: WebTransport sessions and HTTP/3 requests, until it closes.
async fn serve<H: ServeSession>(connection: quinn::Connection, _place: Place, served: Arc<Served<H>>) {
    let opened = Instant::now();
    let sessions = Arc::new(Sessions::default());
    let guard = Guard::new(connection.clone());
    let backend = Backend::new(connection.clone(), sessions.clone(), guard.clone());
    // Boxed, for it is needed but once.
    let begun = tokio::time::timeout_at((opened + BEGIN).into(), Box::pin(begin_h3(backend))).await;
    let Ok(begun) = begun else {
        refused("begin");
        return guard.close(Code::H3_GENERAL_PROTOCOL_ERROR, "no unidirectional streams for HTTP/3");
    };
    let Ok(mut h3) = begun else { return };
    let unused = served.config.limits.unused;
    // Gone once a session was seen: the connection ends with its last session anyway.
    let mut check = Some(Box::pin(tokio::time::sleep_until((opened + unused.min(BEGIN)).into())));
    let mut stopping = false;
    loop {
        tokio::select! {
            () = expired(&mut check) => {
                // A request is under way.
                let is_used = Arc::strong_count(&sessions) > IDLE_HOLDERS;
                if sessions.len() > 0 {
                    check = None;
                } else if !guard.has_settings() {
                    refused("begin");
                    guard.close(Code::H3_MISSING_SETTINGS, "SETTINGS did not come in time");
                    break;
                } else if stopping && is_used {
                    check = Some(Box::pin(tokio::time::sleep(DRAIN_LOOK)));
                } else if !stopping && opened.elapsed() < unused {
                    check = Some(Box::pin(tokio::time::sleep_until((opened + unused).into())));
                } else if !stopping && is_used {
                    check = Some(Box::pin(tokio::time::sleep(unused)));
                } else {
                    guard.close(Code::H3_NO_ERROR, "");
                    break;
                }
            },
            () = served.stop.cancelled(), if !stopping => {
                stopping = true;
                check = Some(Box::pin(tokio::time::sleep(Duration::ZERO)));
            }
            accepted = h3.accept() => match accepted {
                Ok(Some(resolver)) => {
                    let request = serve_request(resolver, connection.clone(), sessions.clone(), served.clone());
                    served.tasks.spawn(request);
                }
                Ok(None) | Err(_) => break,
            },
            datagram = connection.read_datagram() => match datagram {
                Ok(datagram) => {
                    sessions.datagram(datagram);
                    // quinn does not count for tokio what it has ready.
                    consume_budget().await;
                }
                Err(_) => break,
            },
        }
    }
}

/// Never, when there is no timer.
async fn expired(timer: &mut Option<Pin<Box<Sleep>>>) {
    match timer {
        Some(timer) => timer.await,
        None => std::future::pending().await,
    }
}

fn refused(reason: &'static str) {
    metrics::counter!(names::REFUSED, "transport" => "quic", "reason" => reason).increment(1);
}

async fn begin_h3(backend: Backend) -> Result<H3Connection, h3::error::ConnectionError> {
    h3::server::builder()
        .max_field_section_size(MAX_HEADERS as u64)
        .send_grease(false)
        .enable_webtransport(true)
        .enable_extended_connect(true)
        .enable_datagram(true)
        .max_webtransport_sessions(1)
        .build(backend)
        .await
}

async fn serve_request<H: ServeSession>(
    resolver: RequestResolver<Backend, Bytes>,
    connection: quinn::Connection,
    sessions: Arc<Sessions>,
    served: Arc<Served<H>>,
) {
    // Its headers are there. What takes time is to answer that they are too large.
    let resolved = tokio::time::timeout(ANSWER, resolver.resolve_request()).await;
    let Ok(Ok((request, stream))) = resolved else { return };
    let address = connection.remote_address();
    let protocol = request.extensions().get::<Protocol>().copied();
    match (request.method() == Method::CONNECT, protocol) {
        (true, Some(Protocol::WEB_TRANSPORT)) => {
            let (origins, limits) = (&served.config.allowed_origins, served.config.limits);
            match webtransport::accept(&request, stream, connection, sessions, origins, limits).await {
                Some(session) => {
                    let transport = Transport::WebTransport(Box::new(session));
                    // On its own the future is small; what it needed to get here is freed.
                    served.tasks.spawn(served.host.clone().serve(transport));
                }
                None => metrics::counter!(names::REFUSED, "transport" => "wt", "reason" => "refused").increment(1),
            }
        }
        // Any other protocol, or a proxy (RFC 9220 section 3).
        (true, _) => http3::refuse(stream, StatusCode::NOT_IMPLEMENTED).await,
        // Only CONNECT has one (RFC 8441 section 4).
        (false, Some(_)) => http3::refuse_malformed(stream),
        (false, None) => {
            if let Err(error) = http3::serve(request, stream, address, served.router.clone()).await {
                tracing::debug!(%address, %error, "an HTTP/3 request failed");
            }
        }
    }
}

type H3Connection = h3::server::Connection<Backend, Bytes>;

/// Who holds the table of sessions when nothing is under way: the connection's task and its backend.
const IDLE_HOLDERS: usize = 2;
/// How often a connection that is to stop looks whether its requests are answered.
const DRAIN_LOOK: Duration = Duration::from_millis(50);
