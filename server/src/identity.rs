//! What this node shows to others, and whom it believes: both sides of mutual TLS, read anew when
//! the files change.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail, ensure};
use parking_lot::RwLock;
use rustls::{
    CertificateError, ClientConfig, RootCertStore, ServerConfig,
    client::{Resumption, WebPkiServerVerifier, danger::ServerCertVerifier as _},
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    sign::{CertifiedKey, SingleCertAndKey},
};
use time::OffsetDateTime;

use crate::{
    certificate::{self, Life, Pair},
    config::Cluster,
    expiry::End,
    reload::Reload,
};

/// A node's certificate and key, and the private CA.
#[derive(Debug)]
pub(crate) struct Identity {
    node: String,
    pair: Pair,
    ca: PathBuf,
    current: RwLock<Sides>,
}

/// TLS as it is spoken from the last reading on.
#[derive(Debug)]
struct Sides {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    life: Option<Life>,
    authority: Option<Life>,
}

impl Identity {
    /// Reads the files, and makes sure that other nodes will take them for this one's.
    ///
    /// # Errors
    /// Names the key of the configuration and the file: it cannot be read, is not valid now, is of
    /// another CA or for another node.
    pub(crate) fn open(node: &str, cluster: &Cluster) -> anyhow::Result<Arc<Self>> {
        let pair = Pair { section: "cluster", certificate: cluster.certificate.clone(), key: cluster.key.clone() };
        let current = RwLock::new(read(node, &pair, &cluster.ca)?);
        Ok(Arc::new(Self { node: node.to_owned(), pair, ca: cluster.ca.clone(), current }))
    }

    /// For a handshake with a node that has dialled this one.
    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        self.current.read().server.clone()
    }

    /// For a handshake with a node that this one has dialled.
    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        self.current.read().client.clone()
    }
}

impl Reload for Identity {
    fn name(&self) -> &'static str {
        "node certificate"
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.pair.certificate.clone(), self.pair.key.clone(), self.ca.clone()]
    }

    fn reload(&self) -> anyhow::Result<()> {
        let read = read(&self.node, &self.pair, &self.ca)?;
        *self.current.write() = read;
        Ok(())
    }

    fn ends(&self) -> Vec<End> {
        let current = self.current.read();
        let own = current.life.map(|life| ("node", "cluster.certificate", &self.pair.certificate, life));
        let authority = current.authority.map(|life| ("ca", "cluster.ca", &self.ca, life));
        let end =
            |(which, key, file, (from, at)): (_, _, &PathBuf, Life)| End { which, key, file: file.clone(), from, at };
        own.into_iter().chain(authority).map(end).collect()
    }
}

fn read(node: &str, pair: &Pair, ca: &Path) -> anyhow::Result<Sides> {
    let own = pair.read(OffsetDateTime::now_utc())?;
    let authorities = authorities(ca)?;
    let roots = Arc::new(roots(ca, &authorities)?);
    let provider = Arc::new(aws_lc_rs::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
        .build()
        .with_context(|| format!("cluster.ca: {}", ca.display()))?;
    let servers = WebPkiServerVerifier::builder_with_provider(roots, provider.clone())
        .build()
        .with_context(|| format!("cluster.ca: {}", ca.display()))?;
    check(node, pair, ca, &own, &servers)?;

    let life = certificate::life(&own.cert);
    let authority = certificate::life_of_issuer(&own.cert, &authorities);
    let own = Arc::new(SingleCertAndKey::from(own));
    let mut server = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(clients)
        .with_cert_resolver(own.clone());
    server.alpn_protocols = vec![H2.to_vec()];
    // Who comes back has to show its certificate again: it may have expired, or its CA been let go.
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_webpki_verifier(servers)
        .with_client_cert_resolver(own);
    client.alpn_protocols = vec![H2.to_vec()];
    client.resumption = Resumption::disabled();
    Ok(Sides { server: Arc::new(server), client: Arc::new(client), life, authority })
}

/// The CAs of the file: several while one follows another.
fn authorities(ca: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_file_iter(ca).and_then(Iterator::collect).with_context(|| unreadable(ca))
}

fn unreadable(ca: &Path) -> String {
    format!("cluster.ca: {}: not a PEM file of certificates", ca.display())
}

fn roots(ca: &Path, authorities: &[CertificateDer<'static>]) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for der in authorities {
        roots.add(der.clone()).with_context(|| unreadable(ca))?;
    }
    ensure!(!roots.is_empty(), "cluster.ca: {}: no certificate inside", ca.display());
    Ok(roots)
}

/// Sees the certificate as other nodes will, as long as they have the same CA.
fn check(node: &str, pair: &Pair, ca: &Path, own: &CertifiedKey, servers: &WebPkiServerVerifier) -> anyhow::Result<()> {
    let (file, ca) = (pair.certificate.display(), ca.display());
    let name = ServerName::try_from(node.to_owned()).with_context(|| format!("node: {node:?} is no name for TLS"))?;
    let Some((first, rest)) = own.cert.split_first() else { bail!("cluster.certificate: {file}: no certificate") };
    let Err(error) = servers.verify_server_cert(first, rest, &name, &[], UnixTime::now()) else { return Ok(()) };
    match &error {
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => bail!("cluster.certificate: {file} is not for a node named {node:?}: set node, or make one for it"),
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            bail!("cluster.certificate: {file} is not signed by cluster.ca, {ca}: take both from the same CA")
        }
        _ => bail!("cluster.certificate: {file} is not valid under cluster.ca, {ca}: {error}"),
    }
}

/// HTTP/2 (RFC 7301, RFC 9113).
const H2: &[u8] = b"h2";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::issue::{self, Order};

    fn cluster(dir: &Path, node: &str) -> Cluster {
        Cluster {
            ca: dir.join("ca.pem"),
            certificate: dir.join(format!("{node}.pem")),
            key: dir.join(format!("{node}.key")),
            ..Cluster::default()
        }
    }

    fn make(dir: &Path, order: Order) {
        issue::cluster(&Order { out: dir.into(), ..order }).unwrap();
    }

    fn nodes() -> Order {
        Order { nodes: vec!["core-1".into(), "edge-1".into()], ..Order::default() }
    }

    #[test]
    fn what_others_would_refuse_is_refused_here_by_key_and_file() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        make(dir.path(), nodes());
        make(other.path(), nodes());
        Identity::open("core-1", &cluster(dir.path(), "core-1")).unwrap();

        let refused = |node: &str, cluster: &Cluster| format!("{:#}", Identity::open(node, cluster).unwrap_err());
        let name = refused("core-2", &cluster(dir.path(), "core-1"));
        assert!(name.contains("cluster.certificate") && name.contains("\"core-2\""), "{name}");
        let strange = Cluster { ca: other.path().join("ca.pem"), ..cluster(dir.path(), "core-1") };
        let strange = refused("core-1", &strange);
        assert!(strange.contains("cluster.certificate") && strange.contains("not signed by cluster.ca"), "{strange}");
        let swapped = Cluster { key: dir.path().join("edge-1.key"), ..cluster(dir.path(), "core-1") };
        let swapped = refused("core-1", &swapped);
        assert!(swapped.contains("cluster.key") && swapped.contains("does not belong"), "{swapped}");
        let none = Cluster { ca: dir.path().join("core-1.key"), ..cluster(dir.path(), "core-1") };
        let none = refused("core-1", &none);
        assert!(none.contains("cluster.ca") && none.contains("no certificate"), "{none}");
    }

    #[test]
    fn a_new_ca_follows_the_old_one_file_by_file() {
        let dir = tempfile::tempdir().unwrap();
        make(dir.path(), nodes());
        let identity = Identity::open("core-1", &cluster(dir.path(), "core-1")).unwrap();
        let before = identity.server();
        make(dir.path(), Order { new_ca: true, ..Order::default() });
        identity.reload().unwrap();
        make(dir.path(), Order { renew: true, ..nodes() });
        identity.reload().unwrap();
        assert!(!Arc::ptr_eq(&before, &identity.server()));
        // The old one is taken out of the file.
        let both = std::fs::read_to_string(dir.path().join("ca.pem")).unwrap();
        let first = both.split_inclusive("-----END CERTIFICATE-----\n").next().unwrap();
        std::fs::write(dir.path().join("ca.pem"), first).unwrap();
        identity.reload().unwrap();
        std::fs::write(dir.path().join("ca.pem"), "").unwrap();
        let kept = identity.server();
        identity.reload().unwrap_err();
        assert!(Arc::ptr_eq(&kept, &identity.server()));
    }
}
