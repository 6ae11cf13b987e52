//! Certificates are replaced under running sessions: the public one, the nodes', and the CA that signs them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "helpers of tests")]

use std::{
    net::SocketAddr,
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use gogochat_client::{Account, Client, Dialer, Options, Rest, Target, Transport, Trust, Update, proto::ids::LogId};
use gogochat_testkit::{
    cluster::Cluster,
    device::Device,
    http,
    people::{PASSWORD, Person},
    process::Dev,
};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, rustls};

const GOGOCHAT: &str = env!("CARGO_BIN_EXE_gogochat");

#[tokio::test(flavor = "multi_thread")]
async fn sessions_and_attachments_outlive_their_certificates_and_the_ca() {
    let mut cluster = Cluster::start(GOGOCHAT).await.unwrap();
    let certs = cluster.dir().join("certs");
    let mut talk = Talk::begin(&cluster).await;
    let (public, node) = (shown(cluster.edge).await, shown(cluster.node).await);

    let year = 390.0..398.0;
    for (address, which) in [(cluster.http, "edge"), (cluster.http, "node"), (cluster.core_http, "node")] {
        let days = days_left(address, which).await;
        assert!(year.contains(&days), "{which}: {days}");
    }
    let days = days_left(cluster.core_http, "ca").await;
    assert!((3_640.0..3_651.0).contains(&days), "{days}");

    // Of the same CA, and nobody is told: the files are looked at every few seconds.
    make(&certs, &["--renew", "--node", "core-1", "--node", "edge-1"]);
    let (second_public, second_node) = (other_than(cluster.edge, &public).await, other_than(cluster.node, &node).await);
    for (name, file) in [("edge certificate", "edge-1.pem"), ("node certificate", "edge-1.pem")] {
        let reloaded = format!("{name} reloaded file={} until=2", certs.join(file).display());
        until(&reloaded, async || log(&cluster, "edge").contains(&reloaded)).await;
    }
    talk.goes_on(&cluster).await;

    // A new CA: everybody trusts both, then is signed by the new one, then trusts that alone.
    make(&certs, &["--new-ca"]);
    reloaded(&cluster, &certs, &[]).await;
    talk.goes_on(&cluster).await;
    make(&certs, &["--renew", "--node", "core-1", "--node", "edge-1"]);
    reloaded(&cluster, &certs, &[(cluster.edge, second_public), (cluster.node, second_node)]).await;
    talk.goes_on(&cluster).await;
    let both = std::fs::read_to_string(certs.join("ca.pem")).unwrap();
    let (new, _) = both.split_at(both.find("-----END CERTIFICATE-----\n").unwrap() + 26);
    std::fs::write(certs.join("ca.pem"), new).unwrap();
    reloaded(&cluster, &certs, &[]).await;
    talk.goes_on(&cluster).await;
    assert_eq!(talk.attachments(&cluster), 1, "the stream of the first minute still stands");

    // Newcomers see what the new CA has signed, by both transports.
    for transport in [Transport::WebTransport, Transport::WebSocket] {
        online(cluster.edge, transport, Trust::Authorities(new.into())).await;
    }
    // The edge comes to a core that was started anew with what it has read since.
    cluster.restart_core().await.unwrap();
    talk.says("after the restart").await;
    assert_eq!(talk.attachments(&cluster), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_of_no_use_is_reported_and_the_old_one_stays() {
    let cluster = Cluster::start(GOGOCHAT).await.unwrap();
    let certs = cluster.dir().join("certs");
    let mut talk = Talk::begin(&cluster).await;
    let (public, node) = (shown(cluster.edge).await, shown(cluster.node).await);

    std::fs::copy(certs.join("edge-1.key"), cluster.dir().join("kept.key")).unwrap();
    std::fs::copy(certs.join("core-1.key"), certs.join("edge-1.key")).unwrap();
    std::fs::write(certs.join("core-1.pem"), "no certificate").unwrap();
    cluster.hang_up().unwrap();
    let complaints = [
        ("edge", "the new edge certificate cannot be used: the old one stays"),
        ("edge", "edge.key: "),
        ("edge", "the new node certificate cannot be used: the old one stays"),
        ("edge", "does not belong to cluster.certificate"),
        ("core", "the new node certificate cannot be used: the old one stays"),
        ("core", "cluster.certificate: "),
    ];
    for (role, complaint) in complaints {
        until(complaint, async || log(&cluster, role).contains(complaint)).await;
    }
    assert_eq!((shown(cluster.edge).await, shown(cluster.node).await), (public.clone(), node.clone()));
    talk.goes_on(&cluster).await;

    // Mended, each file for itself.
    std::fs::copy(cluster.dir().join("kept.key"), certs.join("edge-1.key")).unwrap();
    make(&certs, &["--renew", "--node", "core-1", "--node", "edge-1"]);
    other_than(cluster.edge, &public).await;
    other_than(cluster.node, &node).await;
    talk.goes_on(&cluster).await;
}

/// `dev`: while the server runs, its certificate is replaced a day before its end, and who asks is told its hash.
#[tokio::test(flavor = "multi_thread")]
async fn devs_certificate_is_renewed_while_it_runs() {
    let dev = Dev::start(GOGOCHAT).await.unwrap();
    let told = async || {
        let answer = http::get(dev.http, "/client-config.json").await.unwrap();
        assert_eq!(answer.headers["cache-control"], "no-store");
        answer.json().unwrap()["certificateHash"].as_str().unwrap().to_owned()
    };
    let hash = |der: &[u8]| Sha256::digest(der).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let first = told().await;
    assert_eq!(hash(&shown(dev.edge).await), first);
    let ann = Person::register(dev.http, "ann").await.unwrap();
    let ben = Person::register(dev.http, "ben").await.unwrap();
    let log: LogId = ann.befriend(&ben).await.unwrap().parse().unwrap();
    let mut ann = Device::sign_in(dev.edge, "ann", Transport::WebTransport).await.unwrap();

    // One of the same key that has half a day left takes its place, as after twelve days.
    let key = rcgen::KeyPair::from_pem(&std::fs::read_to_string(dev.data().join("key.pem")).unwrap()).unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap();
    let now = time::OffsetDateTime::now_utc();
    (params.not_before, params.not_after) = (now - time::Duration::days(12), now + time::Duration::hours(12));
    let short = params.self_signed(&key).unwrap();
    let new = dev.data().join("cert.pem.test");
    std::fs::write(&new, short.pem()).unwrap();
    std::fs::rename(new, dev.certificate()).unwrap();

    let begin = Instant::now();
    let renewed = loop {
        let shown = shown(dev.edge).await;
        if hash(&shown) != first && shown != short.der().to_vec() {
            break shown;
        }
        assert!(begin.elapsed() < Duration::from_secs(90), "it was not renewed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(told().await, hash(&renewed));
    let said = std::fs::read_to_string(dev.log()).unwrap();
    assert!(said.contains("edge certificate renewed"), "{said}");
    // Who is there stays, and who comes is let in.
    ann.client.send(log, "still here".to_owned()).await.unwrap();
    let ben = Device::sign_in(dev.edge, "ben", Transport::WebTransport).await.unwrap();
    ben.client.send(log, "here too".to_owned()).await.unwrap();
    assert_eq!(ann.next_text().await.unwrap(), "still here");
    assert_eq!(ann.next_text().await.unwrap(), "here too");
}

/// Two people on one edge, by either transport, who have to stay online.
struct Talk {
    ann: Device,
    ben: Device,
    log: LogId,
    said: usize,
    opened: String,
}

impl Talk {
    async fn begin(cluster: &Cluster) -> Self {
        let ann = Person::register(cluster.http, "ann").await.unwrap();
        let ben = Person::register(cluster.http, "ben").await.unwrap();
        let log = ann.befriend(&ben).await.unwrap().parse().unwrap();
        let ann = Device::sign_in(cluster.edge, "ann", Transport::WebTransport).await.unwrap();
        let ben = Device::sign_in(cluster.edge, "ben", Transport::WebSocket).await.unwrap();
        Self { ann, ben, log, said: 0, opened: opened(cluster).await }
    }

    /// A message each way, and no session was opened meanwhile.
    async fn goes_on(&mut self, cluster: &Cluster) {
        self.said += 1;
        self.says(&format!("message {}", self.said)).await;
        assert_eq!(opened(cluster).await, self.opened, "no session was opened anew");
    }

    async fn says(&mut self, text: &str) {
        self.ann.client.send(self.log, text.to_owned()).await.unwrap();
        assert_eq!(self.ann.next_text().await.unwrap(), text);
        assert_eq!(self.ben.next_text().await.unwrap(), text);
        self.ben.client.send(self.log, text.to_owned()).await.unwrap();
        assert_eq!(self.ann.next_text().await.unwrap(), text);
        assert_eq!(self.ben.next_text().await.unwrap(), text);
    }

    fn attachments(&self, cluster: &Cluster) -> usize {
        log(cluster, "core").matches("an edge attached").count()
    }
}

/// The counters of sessions that were ever opened.
async fn opened(cluster: &Cluster) -> String {
    let answer = http::get(cluster.http, "/metrics").await.unwrap();
    let metrics = String::from_utf8(answer.body.to_vec()).unwrap();
    let mut lines: Vec<_> =
        metrics.lines().filter(|line| line.starts_with("gogochat_edge_sessions_opened_total")).collect();
    assert!(!lines.is_empty(), "{metrics}");
    lines.sort_unstable();
    lines.join("\n")
}

/// Until a certificate ends, by the metrics.
async fn days_left(address: SocketAddr, which: &str) -> f64 {
    let answer = http::get(address, "/metrics").await.unwrap();
    let metrics = String::from_utf8(answer.body.to_vec()).unwrap();
    let name = format!("gogochat_certificate_not_after_seconds{{which=\"{which}\"}} ");
    let end: f64 = metrics.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    (end - now.as_secs_f64()) / 86_400.0
}

fn log(cluster: &Cluster, role: &str) -> String {
    std::fs::read_to_string(cluster.dir().join(format!("{role}.log"))).unwrap()
}

fn make(certs: &Path, args: &[&str]) {
    let made = Command::new(GOGOCHAT).args(["certs", "--out"]).arg(certs).args(args).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// Sends SIGHUP, and waits until both have read everything anew; those of `before` show something else then.
async fn reloaded(cluster: &Cluster, certs: &Path, before: &[(SocketAddr, Vec<u8>)]) {
    let count = |role: &str| log(cluster, role).matches("node certificate reloaded").count();
    let (edge, core) = (count("edge"), count("core"));
    cluster.hang_up().unwrap();
    let what = format!("both have read {} anew", certs.display());
    until(&what, async || count("edge") > edge && count("core") > core).await;
    for (address, old) in before {
        other_than(*address, old).await;
    }
}

async fn other_than(address: SocketAddr, old: &[u8]) -> Vec<u8> {
    until(&format!("{address} shows another certificate"), async || shown(address).await != old).await;
    shown(address).await
}

async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let begin = Instant::now();
    while !condition().await {
        assert!(begin.elapsed() < Duration::from_secs(90), "{what}: not after 90 s");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Signs ann in where these authorities alone are trusted.
async fn online(edge: SocketAddr, transport: Transport, trust: Trust) {
    let dialer = Dialer::new(trust).unwrap();
    let target: Target = format!("https://{edge}").parse().unwrap();
    let rest = Arc::new(Rest::new(dialer.clone(), target.clone()));
    let account = Account::log_in(rest, "ann", PASSWORD, "another").await.unwrap();
    let (_client, mut updates) = Client::start(&dialer, Arc::new(account), Options::new(target, transport));
    let first = async {
        loop {
            match updates.recv().await.unwrap() {
                Update::Online { .. } => return,
                Update::Offline { why } => panic!("{transport:?}: {why}"),
                _ => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), first).await.unwrap();
}

/// The certificate that a server shows to a new connection (DER), whoever has signed it.
async fn shown(address: SocketAddr) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    let tcp = TcpStream::connect(address).await.unwrap();
    let name = rustls::pki_types::ServerName::from(address.ip());
    let tls = TlsConnector::from(Arc::new(client)).connect(name, tcp).await.unwrap();
    tls.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

/// Believes everything: what is shown is to be seen.
#[derive(Debug)]
struct Anybody(Arc<rustls::crypto::CryptoProvider>);

impl rustls::client::danger::ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
