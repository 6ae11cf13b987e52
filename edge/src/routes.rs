//! What HTTP serves here, the same over every version: WebSocket, REST, the settings of a page, and
//! the application that the server adds.

mod browser;

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request, State},
    response::Response,
    routing::{any, get},
};
use gogochat_proto::{
    error::ErrorCode,
    http::{RouteError, error_to_json, route},
    limits::MAX_JSON,
    node::{InvokeRequest, invoke_request::Caller},
    openapi,
    trace::trace_id,
    v1,
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;

use crate::{
    config::EdgeConfig,
    hub::Hub,
    limits::tcp::{BODY, UPGRADE},
    listen::ServeSession as _,
    metrics as names,
    transport::{
        Transport,
        body::{self, BodyError},
        handshake,
    },
};

/// What the handlers share.
pub(crate) struct Site {
    /// The connections.
    pub(crate) hub: Arc<Hub>,
    /// The settings.
    pub(crate) config: Arc<EdgeConfig>,
}

/// How a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// In clear.
    Clear,
    /// Over TLS or QUIC.
    Secure,
}

/// The router of every listener of a scheme. What it does not know goes to `app`.
pub(crate) fn router(site: Arc<Site>, app: Router, scheme: Scheme) -> Router {
    let shared = Router::new()
        .route("/v1", any(rest))
        .route("/v1/", any(rest))
        .route("/v1/{*path}", any(rest))
        .route("/client-config.json", get(move |site, request| client_config(site, scheme, request)))
        .route("/openapi.json", get(|| async { ([JSON], openapi::json()) }));
    let mut router = browser::share(shared, &site.config.allowed_origins).route("/ws", any(websocket));
    for (path, kind, bytes) in openapi::PAGE {
        let headers = [
            (header::CONTENT_TYPE, *kind),
            (header::CONTENT_SECURITY_POLICY, openapi::PAGE_POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        router = router.route(path, get(move || async move { (headers, *bytes) }));
    }
    let strict = site.config.strict_transport.filter(|_| scheme == Scheme::Secure);
    let router = router.method_not_allowed_fallback(wrong_verb).with_state(site).fallback_service(app);
    browser::insist(router, strict)
}

/// Of what is no method of REST and is read alone.
async fn wrong_verb() -> Response {
    refuse(&RouteError::WrongVerb { allow: "GET, HEAD".to_owned() })
}

async fn websocket(
    State(site): State<Arc<Site>>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let (response, accepted) = match handshake::accept(request, address, &site.config.allowed_origins) {
        Ok(accepted) => accepted,
        Err(refusal) => {
            let reason = refusal.status().as_u16().to_string();
            metrics::counter!(names::REFUSED, "transport" => "ws", "reason" => reason).increment(1);
            return *refusal;
        }
    };
    let hub = site.hub.clone();
    hub.tasks.clone().spawn(async move {
        // Fails when the client has gone meanwhile.
        let socket = tokio::time::timeout(UPGRADE, accepted.socket(address, hub.limits)).await;
        if let Ok(Ok(socket)) = socket {
            hub.serve(Transport::WebSocket(Box::new(socket))).await;
        }
    });
    response
}

async fn rest(
    State(site): State<Arc<Site>>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    match call(&site.hub, address, request).await {
        Ok(body) => respond(StatusCode::OK, body),
        Err(RestError::Call(error)) => {
            let (status, body) = error_to_json(&error);
            let mut response = respond(status_code(status), body);
            if error.retryable() {
                let seconds = error.retry_after_ms.max(0).cast_unsigned().div_ceil(1_000);
                response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            }
            response
        }
        Err(RestError::Route(error)) => refuse(&error),
    }
}

/// Nothing is called by this verb and path.
fn refuse(error: &RouteError) -> Response {
    let (_, body) = error_to_json(&error.error());
    let mut response = respond(status_code(error.status()), body);
    if let RouteError::WrongVerb { allow } = error
        && let Ok(allow) = HeaderValue::from_str(allow)
    {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}

enum RestError {
    Call(v1::Error),
    Route(RouteError),
}

impl From<v1::Error> for RestError {
    fn from(error: v1::Error) -> Self {
        Self::Call(error)
    }
}

async fn call(hub: &Hub, address: SocketAddr, request: Request) -> Result<Vec<u8>, RestError> {
    let (parts, body) = request.into_parts();
    let route = route(&parts.method, parts.uri.path()).map_err(RestError::Route)?;
    let body = match tokio::time::timeout(BODY, body::collect(body, MAX_JSON)).await {
        Ok(Ok(body)) => body,
        Ok(Err(BodyError::TooLarge)) => {
            return Err(ErrorCode::BodyTooLarge.with(format!("a body has at most {MAX_JSON} bytes")).into());
        }
        Ok(Err(BodyError::Broken(_))) | Err(_) => {
            return Err(ErrorCode::DeadlineExceeded.with("the body did not come in time").into());
        }
    };
    if !body.is_empty() && !is_json(&parts.headers) {
        let advice = "a body is JSON, and says so: send the header Content-Type: application/json";
        return Err(ErrorCode::UnsupportedMediaType.with(advice).into());
    }
    let body = route.request(parts.uri.query(), &body)?;
    metrics::counter!(names::CALLS, "lane" => "rest").increment(1);
    let request = InvokeRequest {
        method: route.method().name.clone(),
        body,
        caller: bearer(&parts.headers).map(Caller::AccessToken),
        address: address.ip().to_canonical().to_string(),
        trace_id: traced(&parts.headers).unwrap_or_default().to_owned(),
    };
    let reply = hub.upstreams.invoke(request).await?;
    if let Some(error) = reply.error {
        return Err(error.into());
    }
    Ok(route.response(&reply.body).map_err(|cause| {
        let error_id = uuid::Uuid::now_v7().simple().to_string();
        let (method, trace_id) = (&route.method().name, traced(&parts.headers));
        tracing::error!(error_id, %cause, method, trace_id, "a core's answer cannot be read");
        ErrorCode::Internal.with("the core's answer cannot be read").named(error_id)
    })?)
}

/// The trace that a request belongs to.
fn traced(headers: &HeaderMap) -> Option<&str> {
    trace_id(headers.get("traceparent")?.to_str().ok()?)
}

/// Whether the body is said to be JSON. What a page may send to any site without asking it first, a form and
/// plain text, is not.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

/// The token of `Authorization: Bearer` (RFC 6750 section 2.1).
fn bearer(headers: &HeaderMap) -> Option<String> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

async fn client_config(State(site): State<Arc<Site>>, scheme: Scheme, request: Request) -> Response {
    let config = &site.config;
    // By its Content-Security-Policy a page may dial where it came from, and nothing else. In clear there
    // is no WebTransport.
    let own = || {
        let authority = browser::authority(&request).filter(|_| scheme == Scheme::Secure)?;
        Some(format!("https://{authority}/wt"))
    };
    let url = config.webtransport_url.clone().or_else(own);
    let body = json!({
        "webtransportUrl": url.unwrap_or_default(),
        "certificateHash": (config.certificate_hash)(),
        "websocketUrl": "/ws",
        "version": env!("CARGO_PKG_VERSION"),
    });
    let mut response = respond(StatusCode::OK, body.to_string().into_bytes());
    // The certificate of `dev` changes.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn respond(status: StatusCode, json: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(json));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(JSON.0, HeaderValue::from_static(JSON.1));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn status_code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

const JSON: (header::HeaderName, &str) = (header::CONTENT_TYPE, "application/json");
