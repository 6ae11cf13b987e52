//! Logs and metrics.

use std::{io::Write as _, time::Duration};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::{
    config::{Log, LogFormat},
    expiry,
};

/// Starts logging to standard error.
///
/// # Errors
/// The level is no filter, or logging runs already.
pub(crate) fn start_logs(log: &Log) -> anyhow::Result<()> {
    let builder =
        tracing_subscriber::fmt().with_env_filter(EnvFilter::try_new(&log.level)?).with_writer(std::io::stderr);
    match log.format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Text => builder.with_target(false).try_init(),
    }
    .map_err(|error| anyhow::anyhow!("logging: {error}"))
}

/// Starts counting; the handle renders what has been counted for `/metrics`.
///
/// # Errors
/// Something else counts already.
pub(crate) fn start_metrics() -> anyhow::Result<PrometheusHandle> {
    let recorder = PrometheusBuilder::new()
        .set_buckets(&SECONDS)?
        .set_buckets_for_metric(Matcher::Full(gogochat_core::metrics::BATCH.to_owned()), &ITEMS)?
        .set_buckets_for_metric(Matcher::Full(gogochat_edge::metrics::BATCH.to_owned()), &ITEMS)?
        .build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder)?;
    let upkeep = handle.clone();
    // Samples are kept one by one until they are put into their buckets, which a scrape does too: but nobody may ever scrape.
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(UPKEEP);
        loop {
            ticks.tick().await;
            upkeep.run_upkeep();
        }
    });
    gogochat_core::metrics::describe();
    gogochat_edge::metrics::describe();
    expiry::describe();
    Ok(handle)
}

/// Says on standard error why the program ends: the cause, and what led to it.
pub(crate) fn complain(error: &anyhow::Error) {
    let _ = writeln!(std::io::stderr(), "gogochat: {error:#}");
}

const UPKEEP: Duration = Duration::from_secs(5);
const SECONDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];
const ITEMS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];
