//! Certificates: the one of the edge, reloadable; the short one that `dev` makes; a private CA for a first cluster.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, bail};
use parking_lot::RwLock;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};
use rustls::{
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

/// A certificate and key in PEM files that may be replaced while the server runs.
#[derive(Debug)]
pub(crate) struct Reloadable {
    certificate: PathBuf,
    key: PathBuf,
    pinned: bool,
    current: RwLock<Arc<CertifiedKey>>,
}

impl Reloadable {
    /// Reads both files.
    ///
    /// # Errors
    /// A file is missing or holds no certificate or key, the key is of another certificate, or the certificate has expired.
    pub(crate) fn open(certificate: &Path, key: &Path) -> anyhow::Result<Arc<Self>> {
        Self::with(certificate, key, false)
    }

    fn with(certificate: &Path, key: &Path, pinned: bool) -> anyhow::Result<Arc<Self>> {
        let current = RwLock::new(Arc::new(read(certificate, key)?));
        Ok(Arc::new(Self { certificate: certificate.into(), key: key.into(), pinned, current }))
    }

    /// Whether no CA vouches for it, so that pages have to know it by its hash.
    pub(crate) fn is_pinned(&self) -> bool {
        self.pinned
    }

    /// SHA-256 of a pinned certificate, as `serverCertificateHashes` takes it.
    pub(crate) fn pin(&self) -> Option<[u8; 32]> {
        self.current.read().cert.first().filter(|_| self.pinned).map(|der| Sha256::digest(der).into())
    }

    /// A secret that follows from the private key, for one purpose and one node alone, and stays the same for as long as the key does.
    ///
    /// # Errors
    /// The key cannot be read any more.
    pub(crate) fn derive(&self, purpose: &str, node: &str) -> anyhow::Result<[u8; 32]> {
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .with_context(|| format!("{}: not a PEM private key", self.key.display()))?;
        let mut hash = Sha256::new();
        for part in ["gogochat derived secret".as_bytes(), purpose.as_bytes(), node.as_bytes(), key.secret_der()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Ok(hash.finalize().into())
    }

    /// Reads the files anew whenever they change, for as long as the future lives. New connections get the new certificate; a pair that
    /// cannot be used is reported and the old one kept.
    pub(crate) async fn watch(self: Arc<Self>) {
        let mut seen = self.modified();
        let mut tick = tokio::time::interval(Duration::from_secs(5));
        loop {
            tick.tick().await;
            let now = self.modified();
            if now == seen {
                continue;
            }
            seen = now;
            match read(&self.certificate, &self.key) {
                Ok(pair) => {
                    *self.current.write() = Arc::new(pair);
                    tracing::info!(certificate = %self.certificate.display(), "certificate reloaded");
                }
                Err(error) => tracing::error!(
                    error = format!("{error:#}"),
                    "the new certificate is not usable: the old one stays"
                ),
            }
        }
    }

    fn modified(&self) -> [Option<SystemTime>; 2] {
        [&self.certificate, &self.key].map(|path| fs::metadata(path).and_then(|m| m.modified()).ok())
    }
}

impl ResolvesServerCert for Reloadable {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().clone())
    }
}

fn read(certificate: &Path, key: &Path) -> anyhow::Result<CertifiedKey> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("{}: not a PEM certificate chain", certificate.display()))?;
    let first = chain.first().with_context(|| format!("{}: no certificate inside", certificate.display()))?;
    let expires = expires(first).with_context(|| format!("{}: not an X.509 certificate", certificate.display()))?;
    if expires <= OffsetDateTime::now_utc() {
        bail!("{}: expired at {expires}: renew it", certificate.display());
    }
    let private =
        PrivateKeyDer::from_pem_file(key).with_context(|| format!("{}: not a PEM private key", key.display()))?;
    CertifiedKey::from_der(chain, private, &aws_lc_rs::default_provider())
        .with_context(|| format!("{} does not belong to {}", key.display(), certificate.display()))
}

fn expires(der: &CertificateDer<'_>) -> anyhow::Result<OffsetDateTime> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der)?;
    Ok(certificate.validity().not_after.to_datetime())
}

/// The certificate that `dev` keeps in its data folder: P-256, of 13 days, because a browser takes `serverCertificateHashes` only for
/// ECDSA P-256 certificates of at most 14 days (W3C WebTransport, "custom certificate requirements"). Made anew when less than a day is left.
///
/// # Errors
/// The folder cannot be written.
pub(crate) fn dev(data: &Path) -> anyhow::Result<Arc<Reloadable>> {
    let (certificate, key) = (data.join("cert.pem"), data.join("key.pem"));
    let fresh = CertificateDer::from_pem_file(&certificate)
        .ok()
        .and_then(|der| expires(&der).ok())
        .is_some_and(|expires| expires > OffsetDateTime::now_utc() + time::Duration::DAY);
    if !fresh || !key.exists() {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::new(vec!["localhost".into()])?;
        params.subject_alt_names.extend(loopback());
        params.distinguished_name = named("gogochat dev");
        valid_for(&mut params, time::Duration::days(13));
        private_file(&key, &pair.serialize_pem())?;
        fs::write(&certificate, params.self_signed(&pair)?.pem())?;
    }
    Reloadable::with(&certificate, &key, true)
}

/// Makes a private CA in `out` (or takes the one that is there), and a certificate for each node, good as client and as server.
///
/// # Errors
/// The folder cannot be written, or the CA in it cannot be read.
pub(crate) fn cluster(out: &Path, nodes: &[String], hosts: &[String]) -> anyhow::Result<Vec<PathBuf>> {
    fs::create_dir_all(out).with_context(|| format!("{}", out.display()))?;
    let (ca_file, ca_key_file) = (out.join("ca.pem"), out.join("ca.key"));
    if !ca_file.exists() {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = named("gogochat private CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        valid_for(&mut params, time::Duration::days(3650));
        private_file(&ca_key_file, &key.serialize_pem())?;
        fs::write(&ca_file, params.self_signed(&key)?.pem())?;
    }
    let ca_key =
        KeyPair::from_pem(&fs::read_to_string(&ca_key_file).with_context(|| format!("{}", ca_key_file.display()))?)?;
    let issuer = Issuer::from_ca_cert_pem(&fs::read_to_string(&ca_file)?, ca_key)?;
    let mut written = vec![ca_file];
    for node in nodes {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut names = vec![node.clone()];
        names.extend(hosts.iter().cloned());
        let mut params = CertificateParams::new(names)?;
        params.subject_alt_names.extend(loopback());
        params.distinguished_name = named(node);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        valid_for(&mut params, time::Duration::days(397));
        let (certificate, key_file) = (out.join(format!("{node}.pem")), out.join(format!("{node}.key")));
        private_file(&key_file, &key.serialize_pem())?;
        fs::write(&certificate, params.signed_by(&key, &issuer)?.pem())?;
        written.extend([certificate, key_file]);
    }
    Ok(written)
}

fn loopback() -> [SanType; 2] {
    [SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)), SanType::IpAddress(IpAddr::V6(Ipv6Addr::LOCALHOST))]
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

/// From an hour ago, for clocks that lag.
fn valid_for(params: &mut CertificateParams, span: time::Duration) {
    let begin = OffsetDateTime::now_utc() - time::Duration::HOUR;
    params.not_before = begin;
    params.not_after = begin + span;
}

/// Writes a file that its owner alone may read.
fn private_file(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    let mut file = fs::OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("{}", path.display()))?;
    Ok(file.write_all(text.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn dev_keeps_its_certificate_for_13_days() {
        let data = tempfile::tempdir().unwrap();
        let first = dev(data.path()).unwrap().pin();
        assert_eq!(dev(data.path()).unwrap().pin(), first);
        let der = CertificateDer::from_pem_file(data.path().join("cert.pem")).unwrap();
        let (_, certificate) = x509_parser::parse_x509_certificate(&der).unwrap();
        let validity = certificate.validity();
        assert_eq!(validity.not_after.timestamp() - validity.not_before.timestamp(), 13 * 86_400);
        assert_eq!(fs::metadata(data.path().join("key.pem")).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_follows_from_a_key_is_of_one_node_and_purpose() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (first, other) = (dev(a.path()).unwrap(), dev(b.path()).unwrap());
        let secret = first.derive("reset", "edge-1").unwrap();
        assert_eq!(dev(a.path()).unwrap().derive("reset", "edge-1").unwrap(), secret);
        for different in
            [first.derive("reset", "edge-2"), first.derive("other", "edge-1"), other.derive("reset", "edge-1")]
        {
            assert_ne!(different.unwrap(), secret);
        }
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        dev(a.path()).unwrap();
        dev(b.path()).unwrap();
        let error = Reloadable::open(&a.path().join("cert.pem"), &b.path().join("key.pem")).unwrap_err();
        assert!(error.to_string().contains("does not belong to"), "{error:#}");
    }

    #[test]
    fn a_cluster_is_signed_by_one_ca() {
        let out = tempfile::tempdir().unwrap();
        let first = cluster(out.path(), &["core-1".into()], &[]).unwrap();
        let ca = fs::read(out.path().join("ca.pem")).unwrap();
        cluster(out.path(), &["edge-1".into()], &["edge.example.org".into()]).unwrap();
        assert_eq!(fs::read(out.path().join("ca.pem")).unwrap(), ca);
        assert_eq!(first.len(), 3);
        Reloadable::open(&out.path().join("edge-1.pem"), &out.path().join("edge-1.key")).unwrap();
    }
}
