//! Health and metrics over HTTP: alive, ready, counted.

use std::sync::Arc;

use axum::{Json, Router, extract::State, response::IntoResponse, routing::get};
use http::{StatusCode, header};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;

/// The parts of this process whose state makes it ready.
pub(crate) type Checks = Vec<(&'static str, Check)>;
/// Says what is missing for a part to be ready, or what is amiss though it is.
pub(crate) type Check = Arc<dyn Fn() -> Result<Option<String>, String> + Send + Sync>;

/// `/livez`: the process runs. `/readyz`: it can serve, or which part cannot and why. `/metrics`:
/// Prometheus text.
pub(crate) fn router(checks: Checks, metrics: PrometheusHandle) -> Router {
    let checks = Arc::new(checks);
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready).with_state(checks))
        .route("/metrics", get(render).with_state(metrics))
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

async fn render(State(metrics): State<PrometheusHandle>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], metrics.render())
}
