//! QUIC connections: WebTransport sessions and HTTP/3 requests.

use std::{pin::Pin, sync::Arc};

use axum::Router;
use bytes::Bytes;
use h3::server::RequestResolver;
use quinn::{Endpoint, VarInt};
use tokio::{task::coop::consume_budget, time::Sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    admission::{Admission, Place},
    host::ServeSession,
};
use crate::{
    config::EdgeConfig,
    metrics as names,
    transport::{
        Transport,
        h3_backend::Backend,
        http::{self, HEADER_TIMEOUT, MAX_HEADERS},
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
                handshake = tokio::time::timeout(HEADER_TIMEOUT, incoming) => handshake,
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
    let sessions = Arc::new(Sessions::default());
    let backend = Backend::new(connection.clone(), sessions.clone());
    // Boxed, for it is needed but once.
    let Ok(mut h3) = Box::pin(begin_h3(backend)).await else { return };
    let limit = served.config.limits.unused;
    // Gone once a session was seen: the connection ends with its last session anyway.
    let mut unused = Some(Box::pin(tokio::time::sleep(limit)));
    loop {
        tokio::select! {
            () = expired(&mut unused) => {
                if sessions.len() > 0 {
                    unused = None;
                } else if Arc::strong_count(&sessions) > IDLE_HOLDERS {
                    // A request is under way.
                    unused = Some(Box::pin(tokio::time::sleep(limit)));
                } else {
                    connection.close(H3_NO_ERROR, b"");
                    break;
                }
            },
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
    let resolved = tokio::time::timeout(HEADER_TIMEOUT, resolver.resolve_request()).await;
    let Ok(Ok((request, stream))) = resolved else { return };
    let address = connection.remote_address();
    if request.extensions().get::<h3::ext::Protocol>() == Some(&h3::ext::Protocol::WEB_TRANSPORT) {
        let (origins, limits) = (&served.config.allowed_origins, served.config.limits);
        match webtransport::accept(&request, stream, connection, sessions, origins, limits).await {
            Some(session) => {
                let transport = Transport::WebTransport(Box::new(session));
                // On its own the future is small; what it needed to get here is freed.
                served.tasks.spawn(served.host.clone().serve(transport));
            }
            None => metrics::counter!(names::REFUSED, "transport" => "wt", "reason" => "refused").increment(1),
        }
    } else if let Err(error) = http::serve_h3(request, stream, address, served.router.clone()).await {
        tracing::debug!(%address, %error, "an HTTP/3 request failed");
    }
}

type H3Connection = h3::server::Connection<Backend, Bytes>;

/// Who holds the table of sessions when nothing is under way: the connection's task and its backend.
const IDLE_HOLDERS: usize = 2;
/// H3_NO_ERROR (RFC 9114 section 8.1).
const H3_NO_ERROR: VarInt = VarInt::from_u32(0x100);
