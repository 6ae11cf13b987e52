//! Makes certificates: the short one of `dev`; a private CA for a cluster, and what it signs.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, ensure};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use time::OffsetDateTime;
use x509_parser::extensions::GeneralName;

use crate::certificate::{Pair, RENEW_BEFORE, Reloadable, validity};

/// The certificate that `dev` keeps in its data folder: P-256, of 13 days, because a browser takes
/// `serverCertificateHashes` only for ECDSA P-256 certificates of at most 14 days (W3C
/// WebTransport, "custom certificate requirements"). Made anew when less than a day is left.
///
/// # Errors
/// The folder cannot be written.
pub(crate) fn dev(data: &Path) -> anyhow::Result<Arc<Reloadable>> {
    let files = Pair { section: "edge", certificate: data.join("cert.pem"), key: data.join("key.pem") };
    let now = OffsetDateTime::now_utc();
    let fresh = CertificateDer::from_pem_file(&files.certificate)
        .ok()
        .and_then(|der| validity(&der).ok())
        .is_some_and(|(_, end)| end > now + RENEW_BEFORE);
    if !fresh || !files.key.exists() {
        dev_pair(&files, now)?;
    }
    Reloadable::open_pinned(files, dev_pair)
}

/// Makes the certificate of `dev`, with the key that is there, or with a new one.
pub(crate) fn dev_pair(files: &Pair, now: OffsetDateTime) -> anyhow::Result<()> {
    let kept = fs::read_to_string(&files.key).ok().and_then(|pem| KeyPair::from_pem(&pem).ok());
    let kept = kept.filter(|pair| pair.is_compatible(&PKCS_ECDSA_P256_SHA256));
    let pair = match kept {
        Some(pair) => pair,
        None => {
            let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
            write(&files.key, &pair.serialize_pem(), 0o600)?;
            pair
        }
    };
    let mut params = CertificateParams::new(vec!["localhost".into()])?;
    params.subject_alt_names.extend(loopback());
    params.distinguished_name = named("gogochat dev");
    valid_for(&mut params, now, time::Duration::days(13));
    write(&files.certificate, &params.self_signed(&pair)?.pem(), 0o644)
}

/// What `certs` is to make.
#[derive(Debug, Default)]
pub(crate) struct Order {
    /// The folder of the CA and of what it signs.
    pub(crate) out: PathBuf,
    /// The nodes.
    pub(crate) nodes: Vec<String>,
    /// Further names that each of them answers to.
    pub(crate) hosts: Vec<String>,
    /// Nodes that have a key already get a new one, and a certificate of the names they had.
    pub(crate) renew: bool,
    /// A new CA takes the place of the one that is there, which stays trusted.
    pub(crate) new_ca: bool,
}

/// Makes a private CA (or takes the one that is there), and a certificate for each node, good as
/// client and as server. Says what it wrote.
///
/// # Errors
/// The folder cannot be written, the CA in it cannot be read, or a node has a key already.
pub(crate) fn cluster(order: &Order) -> anyhow::Result<Vec<PathBuf>> {
    let Order { out, nodes, .. } = order;
    fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    for node in nodes {
        let key = out.join(format!("{node}.key"));
        ensure!(order.renew || !key.exists(), "{} is there already: --renew replaces it", key.display());
    }
    let (ca_file, ca_key_file) = (out.join("ca.pem"), out.join("ca.key"));
    let mut written = Vec::new();
    if order.new_ca || !ca_file.exists() {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let now = OffsetDateTime::now_utc();
        let mut params = CertificateParams::default();
        // Two CAs of one name could not be told apart by who has to find the one that has signed.
        params.distinguished_name = named(&format!("gogochat private CA of {} {}", now.date(), now.time()));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        valid_for(&mut params, now, time::Duration::days(3650));
        // The new one comes first: it is the one that signs.
        let before = if ca_file.exists() { fs::read_to_string(&ca_file)? } else { String::new() };
        write(&ca_key_file, &key.serialize_pem(), 0o600)?;
        write(&ca_file, &format!("{}{before}", params.self_signed(&key)?.pem()), 0o644)?;
        written.extend([ca_file.clone(), ca_key_file.clone()]);
    }
    let ca_key = fs::read_to_string(&ca_key_file).with_context(|| ca_key_file.display().to_string())?;
    let issuer = Issuer::from_ca_cert_pem(&fs::read_to_string(&ca_file)?, KeyPair::from_pem(&ca_key)?)?;
    for node in nodes {
        let (certificate, key_file) = (out.join(format!("{node}.pem")), out.join(format!("{node}.key")));
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut names = vec![node.clone()];
        // An address of IPv6 may have the brackets that it has in a URL.
        names.extend(order.hosts.iter().map(|host| host.trim_matches(['[', ']']).to_owned()));
        if order.renew {
            names.extend(hosts_of(&certificate));
        }
        names.sort();
        names.dedup();
        let mut params = CertificateParams::new(names)?;
        for name in loopback() {
            if !params.subject_alt_names.contains(&name) {
                params.subject_alt_names.push(name);
            }
        }
        params.distinguished_name = named(node);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        valid_for(&mut params, OffsetDateTime::now_utc(), time::Duration::days(397));
        write(&key_file, &key.serialize_pem(), 0o600)?;
        write(&certificate, &params.signed_by(&key, &issuer)?.pem(), 0o644)?;
        written.extend([certificate, key_file]);
    }
    Ok(written)
}

/// The DNS names of a certificate; none, where there is no certificate.
fn hosts_of(certificate: &Path) -> Vec<String> {
    let Ok(der) = CertificateDer::from_pem_file(certificate) else { return Vec::new() };
    let Ok((_, parsed)) = x509_parser::parse_x509_certificate(&der) else { return Vec::new() };
    let Ok(Some(names)) = parsed.subject_alternative_name() else { return Vec::new() };
    let names = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match (<[u8; 4]>::try_from(*bytes), <[u8; 16]>::try_from(*bytes)) {
            (Ok(v4), _) => Some(Ipv4Addr::from(v4).to_string()),
            (_, Ok(v6)) => Some(Ipv6Addr::from(v6).to_string()),
            _ => None,
        },
        _ => None,
    });
    names.collect()
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
fn valid_for(params: &mut CertificateParams, now: OffsetDateTime, span: time::Duration) {
    let begin = now - time::Duration::HOUR;
    params.not_before = begin;
    params.not_after = begin + span;
}

/// Writes a file all at once: a server that runs may read it at any time.
fn write(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let _ = fs::remove_file(&new);
    let writing = || {
        let mut file = fs::OpenOptions::new().create_new(true).write(true).mode(mode).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    writing().with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn order(out: &Path, nodes: &[&str]) -> Order {
        Order { out: out.into(), nodes: nodes.iter().map(|node| (*node).to_owned()).collect(), ..Order::default() }
    }

    #[test]
    fn dev_keeps_its_certificate_for_13_days() {
        let data = tempfile::tempdir().unwrap();
        let first = dev(data.path()).unwrap().pin();
        assert_eq!(dev(data.path()).unwrap().pin(), first);
        let der = CertificateDer::from_pem_file(data.path().join("cert.pem")).unwrap();
        let (begin, end) = validity(&der).unwrap();
        assert_eq!(end - begin, time::Duration::days(13));
        assert_eq!(fs::metadata(data.path().join("key.pem")).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_cluster_is_signed_by_one_ca() {
        let out = tempfile::tempdir().unwrap();
        let first = cluster(&order(out.path(), &["core-1"])).unwrap();
        let ca = fs::read(out.path().join("ca.pem")).unwrap();
        let second = cluster(&order(out.path(), &["edge-1"])).unwrap();
        assert_eq!(fs::read(out.path().join("ca.pem")).unwrap(), ca);
        // What was made, and nothing else.
        let files = |names: &[&str]| names.iter().map(|name| out.path().join(name)).collect::<Vec<_>>();
        assert_eq!(first, files(&["ca.pem", "ca.key", "core-1.pem", "core-1.key"]));
        assert_eq!(second, files(&["edge-1.pem", "edge-1.key"]));
        let (certificate, key) = (out.path().join("edge-1.pem"), out.path().join("edge-1.key"));
        Pair { section: "edge", certificate, key }.read(OffsetDateTime::now_utc()).unwrap();
    }

    #[test]
    fn a_key_is_replaced_when_that_is_asked_for_and_keeps_its_names() {
        let out = tempfile::tempdir().unwrap();
        let (certificate, key) = (out.path().join("core-1.pem"), out.path().join("core-1.key"));
        let hosts = vec!["core.example.org".to_owned(), "10.0.0.5".to_owned()];
        cluster(&Order { hosts, ..order(out.path(), &["core-1"]) }).unwrap();
        let (names, before) = (hosts_of(&certificate), fs::read(&key).unwrap());
        assert!(names.contains(&"core.example.org".to_owned()) && names.contains(&"10.0.0.5".to_owned()), "{names:?}");

        let refused = cluster(&order(out.path(), &["edge-1", "core-1"])).unwrap_err().to_string();
        assert!(refused.contains("core-1.key") && refused.contains("--renew"), "{refused}");
        assert!(!out.path().join("edge-1.key").exists(), "nothing is made by halves");
        assert_eq!(fs::read(&key).unwrap(), before);

        cluster(&Order { renew: true, ..order(out.path(), &["core-1"]) }).unwrap();
        assert_ne!(fs::read(&key).unwrap(), before);
        let mut after = hosts_of(&certificate);
        after.sort();
        let mut names = names;
        names.sort();
        assert_eq!(after, names);
    }

    #[test]
    fn a_new_ca_signs_and_the_old_one_stays_trusted() {
        let out = tempfile::tempdir().unwrap();
        cluster(&order(out.path(), &["core-1"])).unwrap();
        let old = fs::read_to_string(out.path().join("ca.pem")).unwrap();
        cluster(&Order { new_ca: true, ..order(out.path(), &[]) }).unwrap();
        let both = fs::read_to_string(out.path().join("ca.pem")).unwrap();
        assert!(both.ends_with(&old) && both.matches("BEGIN CERTIFICATE").count() == 2);
        cluster(&order(out.path(), &["edge-1"])).unwrap();
        let issuer = |node: &str| {
            let der = CertificateDer::from_pem_file(out.path().join(format!("{node}.pem"))).unwrap();
            x509_parser::parse_x509_certificate(&der).unwrap().1.issuer().to_string()
        };
        assert_ne!(issuer("edge-1"), issuer("core-1"));
    }
}
