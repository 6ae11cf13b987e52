//! `gogochat dev`.

use std::{
    fs,
    io::Write as _,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    path::PathBuf,
};

use anyhow::Context as _;
use clap::Args;

use crate::{
    assemble, built,
    config::{Config, Core, Edge, Http, Log, LogFormat},
    issue, telemetry,
};

/// Starts everything on this machine.
#[derive(Debug, Args)]
pub(super) struct Dev {
    /// The folder for the store and the certificate.
    #[arg(long, value_name = "DIR", default_value = "./data")]
    data: PathBuf,
    /// Page, REST and WebSocket in clear, health and metrics [default: port 8080 of both loopback addresses].
    #[arg(long, value_name = "ADDRESS")]
    http: Option<SocketAddr>,
    /// WebTransport, HTTP/3, HTTPS and wss [default: port 8443 of both loopback addresses].
    #[arg(long, value_name = "ADDRESS")]
    edge: Option<SocketAddr>,
    /// Public gRPC in clear [default: port 50051 of both loopback addresses].
    #[arg(long, value_name = "ADDRESS")]
    grpc: Option<SocketAddr>,
    /// A log filter, as "gogochat_edge=debug,info".
    #[arg(long, value_name = "FILTER", default_value = "warn", env = "GOGOCHAT_LOG")]
    log: String,
}

impl Dev {
    pub(super) fn run(self) -> anyhow::Result<()> {
        telemetry::start_logs(&Log { format: LogFormat::Text, level: self.log.clone() })?;
        fs::create_dir_all(&self.data).with_context(|| format!("--data {}", self.data.display()))?;
        let certificate = issue::dev(&self.data)?;
        let config = self.config();
        let text = self.announcement(&config);
        assemble::run(config, Some(certificate), move || Ok(std::io::stdout().write_all(text.as_bytes())?))
    }

    fn config(&self) -> Config {
        let (http, edge) = (addresses(self.http, 8080), addresses(self.edge, 8443));
        Config {
            node: "dev".into(),
            data: self.data.clone(),
            drain_ms: 3_000,
            edge: Edge {
                certificate: self.data.join("cert.pem"),
                key: self.data.join("key.pem"),
                webtransport_url: format!("https://{}/wt", host(self.edge, 8443)),
                origins: origins(&http, &edge),
                listen: edge,
                ..Edge::default()
            },
            http: Http { listen: http, ..Http::default() },
            core: Core { grpc: addresses(self.grpc, 50051), trust_loopback: true, ..Core::default() },
            ..Config::default()
        }
    }

    fn announcement(&self, config: &Config) -> String {
        format!(
            "gogochat {version} is ready\n\
             \n  page           http://{http}\n  WebTransport   {wt}\n  WebSocket      ws://{http}/ws  wss://{edge}/ws\
             \n  REST           http://{http}/v1/  (documentation: http://{http}/docs/)\n  gRPC           {grpc}\
             \n  data           {data}\n\
             \nThe page trusts the certificate in {cert} by its hash; it is valid for 13 days and made anew by itself.\n\
             {lacks}Stop with Ctrl-C.\n",
            version = env!("CARGO_PKG_VERSION"),
            http = host(self.http, 8080),
            edge = host(self.edge, 8443),
            grpc = host(self.grpc, 50051),
            wt = config.edge.webtransport_url,
            data = self.data.display(),
            cert = config.edge.certificate.display(),
            lacks = built::LACKS.map(|line| format!("{line}\n")).unwrap_or_default(),
        )
    }
}

/// The given address alone, or a port of every loopback address that this machine has.
fn addresses(given: Option<SocketAddr>, port: u16) -> Vec<SocketAddr> {
    if let Some(given) = given {
        return vec![given];
    }
    let v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    std::iter::once(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .chain(v6.then(|| SocketAddr::from((Ipv6Addr::LOCALHOST, port))))
        .collect()
}

/// How a browser on this machine names the address.
fn host(given: Option<SocketAddr>, port: u16) -> String {
    given.map_or_else(|| format!("localhost:{port}"), |address| address.to_string())
}

/// Every way in which a browser on this machine may name the page it came from.
fn origins(http: &[SocketAddr], edge: &[SocketAddr]) -> Vec<String> {
    let named = |scheme: &'static str, addresses: &[SocketAddr]| {
        let addresses = addresses.to_vec();
        addresses.into_iter().flat_map(move |address| {
            [format!("{scheme}://{address}"), format!("{scheme}://localhost:{}", address.port())]
        })
    };
    let mut origins: Vec<String> = named("http", http).chain(named("https", edge)).collect();
    origins.sort();
    origins.dedup();
    origins
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_announcement_says_what_the_build_lacks() {
        let (data, log) = ("./data".into(), "warn".into());
        let dev = Dev { data, http: None, edge: None, grpc: None, log };
        let text = dev.announcement(&dev.config());
        assert!(built::LACKS.is_none_or(|lacks| text.contains(lacks)), "{text}");
        assert_eq!(text.contains("no clients of"), !cfg!(feature = "cluster"), "{text}");
    }
}
