//! What `check-config` and every start examine beyond names and types. Each problem names the key
//! and says what to do.

mod address;
mod folders;
mod services;

use gogochat_edge::Origin;

use self::address::has_port;
use crate::{
    certificate::Reloadable,
    config::{Config, DiscoveryKind, Given, Problem, Problems, Role, Runner, Service, listeners},
    edges,
    identity::Identity,
    telemetry,
};

/// A configuration without mistakes.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) config: Config,
    /// What is worth saying of it.
    pub(crate) advice: Vec<Problem>,
}

/// Looks at all that was given.
///
/// # Errors
/// All mistakes. `runner`: who will run the server; `None`: the user of this process.
pub(crate) fn accept(given: &Given, runner: Option<&Runner>) -> Result<Accepted, Vec<Problem>> {
    let config = given.config();
    let mut problems = given.problems.clone();
    if let (Some(file), Some(runner)) = (&given.file, runner)
        && let Err(refusal) = runner.reads(file)
    {
        problems.push(Problem { place: Some(Given::FILE.to_owned()), key: "".into(), advice: refusal });
    }
    // What hangs on a key that is not known to be right would be guessed at.
    if !given.is_unread && !DECISIVE.iter().any(|key| given.is_suspect(key)) {
        let found = check(&config, runner).into_iter().filter(|problem| !given.is_suspect(&problem.key));
        problems.extend(found.map(|problem| given.placed(problem)));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let advice = advice(&config).into_iter().map(|problem| given.placed(problem));
    let advice = advice.chain(given.advice.iter().cloned()).collect();
    Ok(Accepted { config, advice })
}

/// Everything that is wrong with a configuration for `serve`. `runner`: who will run it; `None`:
/// the user of this process.
pub(crate) fn check(config: &Config, runner: Option<&Runner>) -> Vec<Problem> {
    let mut problems = Problems { runner: runner.cloned(), ..Problems::default() };
    if config.roles.is_empty() {
        problems.add("roles", "no role: give \"edge\", \"core\" or both");
    }
    if config.node.is_empty() || !config.node.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.') {
        problems.add("node", "a node name has letters, digits, '-' and '.' only, as in a certificate");
    }
    if config.has(Role::Edge) {
        edge(config, &mut problems);
    } else if !config.http.proxy_protocol_from.is_empty() {
        problems.add("http.proxy_protocol_from", "only an edge reads PROXY protocol headers: leave it empty");
    }
    if config.has(Role::Core) {
        core(config, &mut problems);
    }
    cluster(config, &mut problems);
    for clash in listeners::clashes(config) {
        problems.add(clash.key, clash.to_string());
    }
    if let Err(error) = telemetry::filter(&config.log.level) {
        problems.add("log.level", format!("{error}: give a filter such as \"info\" or \"gogochat_edge=debug,info\""));
    }
    problems.found
}

/// What stays without effect: nothing is wrong with it, but whoever wrote it may expect something of it.
pub(crate) fn advice(config: &Config) -> Vec<Problem> {
    let mut advice = Problems::default();
    if config.has(Role::Edge) && !config.edge.public.is_empty() && config.cluster.discovery != DiscoveryKind::Etcd {
        advice.add(
            "edge.public",
            "has no effect without cluster.discovery = \"etcd\", by which edges know of each other: set that too, or leave it empty",
        );
    }
    advice.found
}

fn edge(config: &Config, problems: &mut Problems) {
    if config.edge.listen.is_empty() {
        problems.add("edge.listen", "no address: give at least one, as \"[::]:443\"");
    }
    problems.networks("http.proxy_protocol_from", &config.http.proxy_protocol_from);
    problems.networks("edge.proxy_protocol_from", &config.edge.proxy_protocol_from);
    problems.file("edge.certificate", &config.edge.certificate, "the certificate chain as a PEM file");
    problems.file("edge.key", &config.edge.key, "the certificate's private key as a PEM file");
    if !problems.has(&["edge.certificate", "edge.key"])
        && let Err(error) = Reloadable::open(config.edge.certificate.clone(), config.edge.key.clone())
    {
        problems.said("edge.certificate", &format!("{error:#}"));
    }
    for origin in &config.edge.origins {
        if let Err(error) = origin.parse::<Origin>() {
            problems.add("edge.origins", error.to_string());
        }
    }
    if config.edge.hsts_seconds > MAX_HSTS {
        problems
            .add("edge.hsts_seconds", format!("{} is out of range: give 0 to {MAX_HSTS}", config.edge.hsts_seconds));
    }
    if config.edge.sessions > MAX_SESSIONS {
        let advice = format!(
            "{} is out of range: give 1 to {MAX_SESSIONS}, or 0 for what the memory is for",
            config.edge.sessions
        );
        problems.add("edge.sessions", advice);
    }
    let public = &config.edge.public;
    if !public.is_empty() && edges::authority(public).is_none() {
        problems.add(
            "edge.public",
            "write https, host and port alone, as \"https://edge-2.example.org:443\", or leave it empty",
        );
    }
    let url = &config.edge.webtransport_url;
    if !url.is_empty() && (!url.starts_with("https://") || url.parse::<http::Uri>().is_err()) {
        problems.add(
            "edge.webtransport_url",
            "write an https URL, as \"https://chat.example.org:443/wt\", or leave it empty",
        );
    }
}

fn core(config: &Config, problems: &mut Problems) {
    services::store(config, problems);
    if config.core.services.is_empty() {
        problems
            .add("core.services", "no service: give some of \"account\", \"social\", \"chat\", \"sync\", \"presence\"");
    }
    if config.core.bus_queue == 0 {
        problems.add("core.bus_queue", "must be at least 1");
    }
    if config.core.store_read_ms == 0 {
        problems.add("core.store_read_ms", "must be at least 1");
    }
    services::core(config, problems);
    folders::check(config, problems);
}

fn cluster(config: &Config, problems: &mut Problems) {
    let (edge, core) = (config.has(Role::Edge), config.has(Role::Core));
    let etcd = config.cluster.discovery == DiscoveryKind::Etcd;
    if etcd {
        services::etcd(config, problems);
    }
    let chat =
        config.runs(Service::Chat) || config.cluster.cores.iter().any(|core| core.services.contains(&Service::Chat));
    if edge && !etcd && !chat {
        problems.add(
            "cluster.cores",
            "an edge needs a core that runs \"chat\": give [{ name = \"core-1\", address = \"HOST:7443\" }]",
        );
    }
    let name = &config.cluster.name;
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
        problems.add("cluster.name", "a name has letters, digits, '-', '_' and '.' only");
    }
    if core
        && etcd
        && config.cluster.address.is_empty()
        && config.cluster.listen.is_some_and(|at| at.ip().is_unspecified())
    {
        problems.add("cluster.address", "edges cannot call this core by what cluster.listen says: give \"HOST:7443\"");
    }
    if core && !config.cluster.address.is_empty() && !has_port(&config.cluster.address) {
        problems
            .add("cluster.address", format!("{:?} is no host and port: give \"HOST:7443\"", config.cluster.address));
    }
    for (at, core) in config.cluster.cores.iter().enumerate() {
        if !has_port(&core.address) {
            problems.add(
                "cluster.cores",
                format!("the address of {:?}, {:?}, is no host and port: give \"HOST:7443\"", core.name, core.address),
            );
        }
        if config.cluster.cores.iter().take(at).any(|other| other.name == core.name) {
            problems.add(
                "cluster.cores",
                format!("two are named {:?}: give each the name in its certificate (its node)", core.name),
            );
        }
    }
    if core && !edge && config.cluster.listen.is_none() {
        problems.add("cluster.listen", "a core alone needs an address for its edges, as \"0.0.0.0:7443\"");
    }
    if config.is_joined() {
        problems.file("cluster.ca", &config.cluster.ca, "the private CA's certificate (`gogochat certs` makes one)");
        problems.file(
            "cluster.certificate",
            &config.cluster.certificate,
            "this node's certificate (`gogochat certs` makes it)",
        );
        problems.file("cluster.key", &config.cluster.key, "this node's private key (`gogochat certs` makes it)");
        if !problems.has(&["node", "cluster.ca", "cluster.certificate", "cluster.key"])
            && let Err(error) = Identity::open(&config.node, &config.cluster)
        {
            problems.said("cluster.certificate", &format!("{error:#}"));
        }
    }
}

/// When a core is lost, all of its sessions move at once: as many as may wait for another core's stream.
const MAX_SESSIONS: usize = 1_000_000;
/// Keys that say which others count.
const DECISIVE: [&str; 5] = ["roles", "core.services", "core.bus", "core.presence", "cluster.discovery"];
/// Ten years: what is longer was meant otherwise, perhaps as milliseconds.
const MAX_HSTS: u64 = 10 * 366 * 24 * 60 * 60;
