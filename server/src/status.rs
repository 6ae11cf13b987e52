//! Health and metrics over HTTP: alive, ready, counted.

use std::{sync::Arc, time::Duration};

use axum::{Json, Router, extract::State, response::IntoResponse, routing::get};
use gogochat_core::Core;
use http::{StatusCode, header};
use serde::Serialize;

/// The parts of this process whose state makes it ready.
pub(crate) type Checks = Vec<(&'static str, Check)>;
/// Says what is missing for a part to be ready, or what is amiss though it is.
pub(crate) type Check = Arc<dyn Fn() -> Result<Option<String>, String> + Send + Sync>;

/// `/livez`: the process runs. `/readyz`: it can serve, or which part cannot and why. `/metrics`:
/// Prometheus text, which `render` gives.
pub(crate) fn router(checks: Arc<Checks>, render: impl Fn() -> String + Clone + Send + Sync + 'static) -> Router {
    let metrics = move || {
        let text = render();
        async move { ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text) }
    };
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready).with_state(checks))
        .route("/metrics", get(metrics))
}

/// Keeps what gRPC health says of a core the same as what `/readyz` says of the process.
pub(crate) async fn follow(core: Arc<Core>, checks: Arc<Checks>) {
    let mut told = None;
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        let ready = checks.iter().all(|(_, check)| check().is_ok());
        if told != Some(ready) {
            core.set_serving(ready).await;
            told = Some(ready);
        }
    }
}

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    parts: Vec<Part>,
}

#[derive(Serialize)]
struct Part {
    name: &'static str,
    ready: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

async fn ready(State(checks): State<Arc<Checks>>) -> impl IntoResponse {
    let parts: Vec<Part> = checks
        .iter()
        .map(|(name, check)| {
            let checked = check();
            Part { name, ready: checked.is_ok(), reason: checked.unwrap_or_else(Some) }
        })
        .collect();
    let ready = parts.iter().all(|part| part.ready);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, parts }))
}

/// How soon callers of gRPC health are told.
const LOOK: Duration = Duration::from_millis(200);
