//! Logs and metrics.

use std::{
    io::{IsTerminal as _, Write as _},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::bail;
use metrics::{describe_gauge, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use crate::{
    config::{Log, LogFormat},
    expiry,
};

/// Starts logging to standard error.
///
/// # Errors
/// The level is no filter, or logging runs already.
pub(crate) fn start_logs(log: &Log) -> anyhow::Result<()> {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(&log.level)?)
        .with_writer(std::io::stderr)
        // Colours are for a terminal: in a file, or for a program that reads it, they stand in the way.
        .with_ansi(std::io::stderr().is_terminal() && std::env::var("NO_COLOR").map_or(true, |no| no.is_empty()));
    match log.format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Text => builder.with_target(false).try_init(),
    }
    .map_err(|error| anyhow::anyhow!("logging: {error}"))
}

/// What is logged.
///
/// # Errors
/// It is no filter. A word alone has to be a level: as the name of a part it would leave that part
/// alone to be heard.
pub(crate) fn filter(level: &str) -> anyhow::Result<EnvFilter> {
    let words: Vec<_> = level.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    let alone: Vec<_> = words.iter().filter(|word| !word.contains(['=', '['])).collect();
    if let [one, other, ..] = alone.as_slice() {
        bail!("{one:?} and {other:?}: one level is for all, and a part has its own by gogochat_edge=debug");
    }
    if let Some(word) = alone.iter().find(|word| word.parse::<LevelFilter>().is_err()) {
        bail!(
            "{word:?} is no level: there are error, warn, info, debug, trace and off, and a part has its own by {word}=debug"
        );
    }
    // Redis's client says of each lost connection what presence says too, with names of files of
    // the build. Where there is no level for all it is not heard.
    let named = words.iter().any(|word| word.starts_with("fred"));
    let quiet = (!alone.is_empty() && !named).then_some("fred=off");
    // With blanks between, the filter would take them into names; where it says nothing, errors are heard.
    let whole = words.into_iter().chain(quiet).collect::<Vec<_>>().join(",");
    Ok(EnvFilter::builder().with_default_directive(LevelFilter::ERROR.into()).parse(whole)?)
}

/// What has been counted.
#[derive(Clone)]
pub(crate) struct Counted {
    recorder: PrometheusHandle,
    process: Collector,
}

impl Counted {
    /// In Prometheus's text form, with how the process stands at the moment.
    pub(crate) fn render(&self) -> String {
        self.process.collect();
        self.recorder.render()
    }
}

/// Starts counting.
///
/// # Errors
/// Something else counts already.
pub(crate) fn start_metrics() -> anyhow::Result<Counted> {
    let recorder = PrometheusBuilder::new()
        .set_buckets(&SECONDS)?
        .set_buckets_for_metric(Matcher::Full(gogochat_core::metrics::BATCH.to_owned()), &ITEMS)?
        .set_buckets_for_metric(Matcher::Full(gogochat_core::metrics::BATCH_ROWS.to_owned()), &ROWS)?
        .set_buckets_for_metric(Matcher::Full(gogochat_edge::metrics::BATCH.to_owned()), &ITEMS)?
        .build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder)?;
    let upkeep = handle.clone();
    // Samples are kept one by one until they are put into their buckets, which a scrape does too:
    // but nobody may ever scrape.
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
    let process = Collector::default();
    process.describe();
    // The collector reads it from where a unit with ProcSubset=pid may not look.
    let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    gauge!("process_start_time_seconds").set(start.as_secs_f64());
    describe_gauge!("gogochat_build_info", "1, with the version of the program");
    gauge!("gogochat_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(Counted { recorder: handle, process })
}

/// Says on standard error why the program ends: the cause, and what led to it.
pub(crate) fn complain(error: &anyhow::Error) {
    let _ = writeln!(std::io::stderr(), "gogochat: {error:#}");
}

const UPKEEP: Duration = Duration::from_secs(5);
const SECONDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];
/// Up to what a batch may have, and one command alone.
const ROWS: [f64; 10] = [8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1_024.0, 2_048.0, 8_192.0];
const ITEMS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_no_level_silences_nothing() {
        for (good, means) in [
            ("info", "fred=off,info"),
            ("info ", "fred=off,info"),
            (" WARN , quinn=debug", "fred=off,quinn=debug,warn"),
            ("fred=info, off", "fred=info,off"),
            ("gogochat_edge=debug", "gogochat_edge=debug"),
            ("gogochat_edge=debug, info", "fred=off,gogochat_edge=debug,info"),
            ("gogochat_edge[open]=trace,info", "fred=off,gogochat_edge[open]=trace,info"),
        ] {
            let said = filter(good).unwrap().to_string();
            let mut words: Vec<_> = said.split(',').collect();
            words.sort_unstable();
            assert_eq!(words.join(","), means, "{good}");
        }
        assert_eq!(filter("").unwrap().max_level_hint(), Some(LevelFilter::ERROR), "errors are heard");
        for bad in ["verbose", "gogochat_edge=debug,verbose", "a=b=c", "info,gogochat_edge", "info, debug"] {
            assert!(filter(bad).is_err(), "{bad}");
        }
        let said = filter("verbose").unwrap_err().to_string();
        assert!(said.contains("\"verbose\"") && said.contains("info"), "{said}");
    }
}
