//! Checks the links to services: their addresses, and whether they are encrypted.

use std::path::Path;

use gogochat_storage::{
    open,
    services::{MISSING, NotBuilt},
    tls, userinfo,
};

use super::address::has_port;
use crate::{
    config::{BusKind, Config, Core, PresenceKind, Problems},
    settings,
};

/// A core's store.
pub(super) fn store(config: &Config, problems: &mut Problems) {
    match open::check_store(&config.store_url()) {
        Ok(files) => files.iter().for_each(|file| problems.readable("core.store", file)),
        Err(error) => problems.said("core.store", &error.to_string()),
    }
    // The data folder is made; another that is not there is more likely mistyped.
    let folder = config.core.store.strip_prefix("sqlite:").and_then(|path| Path::new(path).parent());
    let is_there = |folder: &Path| folder.as_os_str().is_empty() || folder.is_dir();
    if let Some(folder) = folder.filter(|folder| !is_there(folder) && !config.keeps_store_in_data()) {
        problems.add("core.store", format!("the folder {} is not there: make it, or name another", folder.display()));
    }
}

/// A core's others.
pub(super) fn core(config: &Config, problems: &mut Problems) {
    if config.core.bus == BusKind::Kafka && has_client("core.bus", "Kafka", problems) {
        kafka_bus(config, problems);
    }
    if config.core.kafka_session_ms < 1_000 {
        problems.add("core.kafka_session_ms", "must be at least 1000");
    }
    let Core { presence, redis, redis_ca, .. } = &config.core;
    if *presence == PresenceKind::Redis && has_client("core.presence", "Redis", problems) {
        if !begins(redis, &["redis://", "rediss://"]) {
            problems.add(
                "core.redis",
                "core.presence = \"redis\" needs \"redis://HOST:6379\" or, with TLS, \"rediss://HOST:6379\"",
            );
        } else if let Err(error) = userinfo::check(redis) {
            problems.add("core.redis", error.to_string());
        }
        authority("core.redis_ca", redis_ca, ("core.redis", "rediss://", redis.starts_with("rediss://")), problems);
    }
    blobs(&config.core, problems);
}

/// Every node's.
pub(super) fn etcd(config: &Config, problems: &mut Problems) {
    if !has_client("cluster.discovery", "etcd", problems) {
        return;
    }
    let endpoints = &config.cluster.etcd;
    if endpoints.is_empty() {
        problems.add("cluster.etcd", "cluster.discovery = \"etcd\" needs endpoints: give [\"http://HOST:2379\"]");
    }
    for endpoint in endpoints.iter().filter(|endpoint| !is_endpoint(endpoint)) {
        problems.add(
            "cluster.etcd",
            format!("{} is no endpoint: give \"http://HOST:2379\" or \"https://HOST:2379\", and a user by cluster.etcd_user", shown(endpoint)),
        );
    }
    let over_tls = endpoints.iter().all(|endpoint| endpoint.starts_with("https://"));
    authority("cluster.etcd_ca", &config.cluster.etcd_ca, ("cluster.etcd", "https://", over_tls), problems);
}

fn kafka_bus(config: &Config, problems: &mut Problems) {
    if config.core.kafka.is_empty() {
        problems.add("core.kafka", "core.bus = \"kafka\" needs brokers: give [\"HOST:9092\"]");
    }
    for broker in config.core.kafka.iter().filter(|broker| !has_port(broker) || broker.contains('@')) {
        let shown = shown(broker);
        problems.add("core.kafka", format!("{shown:?} is no host and port: give \"HOST:9092\""));
    }
    if config.store_url().starts_with("sqlite:") {
        problems.add(
            "core.bus",
            "\"kafka\" shares commands among cores, and an SQLite store (core.store) serves one alone: give core.store a MySQL database, or set core.bus = \"channel\"",
        );
    }
    let properties = &config.core.kafka_properties;
    let protocol = properties.get("security.protocol").map(|protocol| protocol.to_lowercase()).unwrap_or_default();
    // librdkafka connects in clear without a word, whatever else is set.
    for (kind, used, protocols) in [
        ("ssl.", protocol.ends_with("ssl"), "\"ssl\" or \"sasl_ssl\""),
        ("sasl.", protocol.starts_with("sasl"), "\"sasl_ssl\" or \"sasl_plaintext\""),
    ] {
        if let Some(key) = properties.keys().find(|key| key.starts_with(kind) && !used) {
            let advice = format!("{key:?} is of no use without \"security.protocol\" = {protocols}");
            problems.add("core.kafka_properties", advice);
        }
    }
    for (_, file) in properties.iter().filter(|(key, _)| key.ends_with(".location")) {
        problems.readable("core.kafka_properties", Path::new(file));
    }
    // It may name a folder too, or say "probe".
    let ca = properties.get("ssl.ca.location").map(Path::new).filter(|ca| !ca.is_dir() && *ca != Path::new("probe"));
    if let Some(Err(error)) = ca.map(tls::authorities) {
        problems.add("core.kafka_properties", format!("\"ssl.ca.location\": {error}"));
    } else if let Err(reason) = open::check_bus(&settings::kafka(config)) {
        problems.add("core.kafka_properties", reason);
    }
}

fn blobs(core: &Core, problems: &mut Problems) {
    let Core { blobs, s3_endpoint, s3_ca, s3_access_key, s3_secret_key, .. } = core;
    let Some(place) = blobs.strip_prefix("s3://") else {
        if blobs != "folder" && blobs.strip_prefix("folder:").is_none_or(str::is_empty) {
            problems.add("core.blobs", "give \"folder\", \"folder:PATH\" or \"s3://BUCKET\"");
        }
        return;
    };
    if !has_client("core.blobs", "S3", problems) {
        return;
    }
    let bucket = place.split('/').next().unwrap_or_default();
    let usual = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if bucket.is_empty() || !place.bytes().all(|byte| usual(byte) || byte == b'/') {
        problems.add(
            "core.blobs",
            "give \"s3://BUCKET\" or \"s3://BUCKET/PREFIX\", in letters, digits, '-', '_' and '.'; the rest has keys of its own",
        );
    }
    let http = begins(s3_endpoint, &["http://", "https://"]) && !s3_endpoint.contains('@');
    if !s3_endpoint.is_empty() && (!http || s3_endpoint.parse::<http::Uri>().is_err()) {
        problems.add("core.s3_endpoint", "give \"https://HOST\" or \"http://HOST:PORT\", or nothing for Amazon's own");
    }
    let over_tls = !s3_endpoint.starts_with("http://");
    authority("core.s3_ca", s3_ca, ("core.s3_endpoint", "https://", over_tls), problems);
    for (key, value) in [("core.s3_access_key", s3_access_key), ("core.s3_secret_key", s3_secret_key)] {
        if value.is_empty() {
            problems.add(key, "missing: core.blobs in S3 needs an access key and its secret");
        }
    }
}

/// Whether this build has a client of the service that a key names. Nothing else of the service is
/// looked at where it has none.
fn has_client(key: &'static str, service: &'static str, problems: &mut Problems) -> bool {
    let missing = MISSING.contains(&service);
    if missing {
        problems.add(key, NotBuilt(service).to_string());
    }
    !missing
}

/// An authority's file, where one is given: it has to be one, and to be for a link over TLS, which
/// another key says.
fn authority(key: &'static str, file: &Path, (place, scheme, used): (&str, &str, bool), problems: &mut Problems) {
    if file.as_os_str().is_empty() {
        return;
    }
    if !used {
        problems.add(key, format!("of no use without TLS: let {place} begin with {scheme}, or leave this empty"));
    } else if let Err(error) = tls::authorities(file) {
        problems.add(key, error.to_string());
    } else {
        problems.readable(key, file);
    }
}

/// An address for a message. With an '@' it may have a password in it.
fn shown(address: &str) -> &str {
    if address.contains('@') { "one with '@'" } else { address }
}

fn begins(url: &str, schemes: &[&str]) -> bool {
    schemes.iter().any(|scheme| url.starts_with(scheme))
}

/// Scheme, host and port alone.
fn is_endpoint(url: &str) -> bool {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    rest.is_some_and(|rest| has_port(rest.trim_end_matches('/')) && !rest.contains('@'))
}
