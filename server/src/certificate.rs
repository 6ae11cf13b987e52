//! A certificate and its key as files: what is wrong with them, and the edge's own, which may be
//! replaced while it runs.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context as _, bail};
use parking_lot::RwLock;
use rustls::{
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use crate::{expiry::End, reload::Reload};

/// A certificate chain and its key, each a PEM file.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    /// The section of the configuration that names them, for messages.
    pub(crate) section: &'static str,
    /// The chain.
    pub(crate) certificate: PathBuf,
    /// The key.
    pub(crate) key: PathBuf,
}

impl Pair {
    /// Reads both. `now`: at which they have to be valid.
    ///
    /// # Errors
    /// Names the key of the configuration and the file: it is missing or holds no certificate or
    /// key, the key is of another certificate, or the certificate is not valid at the time.
    pub(crate) fn read(&self, now: OffsetDateTime) -> anyhow::Result<CertifiedKey> {
        let certificate = format!("{}.certificate: {}", self.section, self.certificate.display());
        let chain = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .with_context(|| format!("{certificate}: not a PEM certificate chain"))?;
        if chain.is_empty() {
            bail!("{certificate}: no certificate inside");
        }
        for der in &chain {
            let (begin, end) = validity(der).with_context(|| format!("{certificate}: not an X.509 certificate"))?;
            if end <= now {
                bail!("{certificate}: expired at {end} (here it is {now}): renew it");
            }
            if now < begin {
                bail!("{certificate}: not valid before {begin} (here it is {now}): set this machine's clock, or wait");
            }
        }
        CertifiedKey::from_der(chain, self.private()?, &aws_lc_rs::default_provider()).with_context(|| {
            format!(
                "{}.key: {} does not belong to {}.certificate, {}",
                self.section,
                self.key.display(),
                self.section,
                self.certificate.display()
            )
        })
    }

    fn private(&self) -> anyhow::Result<PrivateKeyDer<'static>> {
        PrivateKeyDer::from_pem_file(&self.key)
            .with_context(|| format!("{}.key: {}: not a PEM private key", self.section, self.key.display()))
    }
}

/// From when and until when a certificate is valid.
pub(crate) fn validity(der: &CertificateDer<'_>) -> anyhow::Result<Life> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der)?;
    let validity = certificate.validity();
    Ok((validity.not_before.to_datetime(), validity.not_after.to_datetime()))
}

/// How long that one of a chain, each of which was read, is valid which ends first.
pub(crate) fn life(chain: &[CertificateDer<'_>]) -> Option<Life> {
    chain.iter().filter_map(|der| validity(der).ok()).min_by_key(|(_, end)| *end)
}

/// How long the authority is valid that has signed a chain; of several of its name, which follow
/// each other, the one that ends last.
pub(crate) fn life_of_issuer(chain: &[CertificateDer<'_>], authorities: &[CertificateDer<'_>]) -> Option<Life> {
    let (_, last) = x509_parser::parse_x509_certificate(chain.last()?).ok()?;
    let signed = |der: &&CertificateDer<'_>| {
        x509_parser::parse_x509_certificate(der).is_ok_and(|(_, authority)| authority.subject() == last.issuer())
    };
    authorities.iter().filter(signed).filter_map(|der| validity(der).ok()).max_by_key(|(_, end)| *end)
}

/// When it begins and ends.
pub(crate) type Life = (OffsetDateTime, OffsetDateTime);

/// The edge's certificate, which may be replaced while the server runs: handshakes take what was read last.
#[derive(Debug)]
pub(crate) struct Reloadable {
    files: Pair,
    /// Where no CA vouches for it: what makes another.
    issue: Option<Issue>,
    current: RwLock<Arc<CertifiedKey>>,
}

/// Writes a pair that is valid from `now` on, in place of the one that is there.
pub(crate) type Issue = fn(&Pair, now: OffsetDateTime) -> anyhow::Result<()>;

impl Reloadable {
    /// Reads both files of a certificate that a CA vouches for.
    ///
    /// # Errors
    /// See [`Pair::read`].
    pub(crate) fn open(certificate: PathBuf, key: PathBuf) -> anyhow::Result<Arc<Self>> {
        Self::read(Pair { section: "edge", certificate, key }, None)
    }

    /// Reads both files of a certificate that no CA vouches for, so that pages have to know it by its
    /// hash. Before it ends, `issue` makes the next.
    ///
    /// # Errors
    /// See [`Pair::read`].
    pub(crate) fn open_pinned(files: Pair, issue: Issue) -> anyhow::Result<Arc<Self>> {
        Self::read(files, Some(issue))
    }

    fn read(files: Pair, issue: Option<Issue>) -> anyhow::Result<Arc<Self>> {
        let current = RwLock::new(Arc::new(files.read(OffsetDateTime::now_utc())?));
        Ok(Arc::new(Self { files, issue, current }))
    }

    /// Whether no CA vouches for it, so that pages have to know it by its hash.
    pub(crate) fn is_pinned(&self) -> bool {
        self.issue.is_some()
    }

    /// SHA-256 of a pinned certificate, as `serverCertificateHashes` takes it.
    pub(crate) fn pin(&self) -> Option<[u8; 32]> {
        self.current.read().cert.first().filter(|_| self.is_pinned()).map(|der| Sha256::digest(der).into())
    }

    /// A secret that follows from the private key, for one purpose and one node alone, and stays
    /// the same for as long as the key does.
    ///
    /// # Errors
    /// The key cannot be read any more.
    pub(crate) fn derive(&self, purpose: &str, node: &str) -> anyhow::Result<[u8; 32]> {
        let key = self.files.private()?;
        let mut hash = Sha256::new();
        for part in ["gogochat derived secret".as_bytes(), purpose.as_bytes(), node.as_bytes(), key.secret_der()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Ok(hash.finalize().into())
    }
}

impl Reload for Reloadable {
    fn name(&self) -> &'static str {
        "edge certificate"
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.files.certificate.clone(), self.files.key.clone()]
    }

    fn reload(&self) -> anyhow::Result<()> {
        *self.current.write() = Arc::new(self.files.read(OffsetDateTime::now_utc())?);
        Ok(())
    }

    fn renew(&self, now: OffsetDateTime) -> anyhow::Result<bool> {
        let Some(issue) = self.issue else { return Ok(false) };
        if life(&self.current.read().cert).is_some_and(|(_, end)| end > now + RENEW_BEFORE) {
            return Ok(false);
        }
        issue(&self.files, now)?;
        *self.current.write() = Arc::new(self.files.read(now)?);
        Ok(true)
    }

    /// A pinned one is made anew by itself.
    fn ends(&self) -> Vec<End> {
        let life = life(&self.current.read().cert).filter(|_| !self.is_pinned());
        let end =
            |(from, at)| End { which: "edge", key: "edge.certificate", file: self.files.certificate.clone(), from, at };
        life.map(end).into_iter().collect()
    }
}

impl ResolvesServerCert for Reloadable {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().clone())
    }
}

/// A pinned certificate is replaced so long before its end.
pub(crate) const RENEW_BEFORE: time::Duration = time::Duration::DAY;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::issue;

    fn pair(dir: &Path) -> Pair {
        Pair { section: "edge", certificate: dir.join("cert.pem"), key: dir.join("key.pem") }
    }

    #[test]
    fn what_follows_from_a_key_is_of_one_node_and_purpose() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (first, other) = (issue::dev(a.path()).unwrap(), issue::dev(b.path()).unwrap());
        let secret = first.derive("reset", "edge-1").unwrap();
        assert_eq!(issue::dev(a.path()).unwrap().derive("reset", "edge-1").unwrap(), secret);
        for different in
            [first.derive("reset", "edge-2"), first.derive("other", "edge-1"), other.derive("reset", "edge-1")]
        {
            assert_ne!(different.unwrap(), secret);
        }
    }

    #[test]
    fn a_pair_of_no_use_is_refused_by_key_and_file_and_the_old_one_stays() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let kept = issue::dev(a.path()).unwrap();
        issue::dev(b.path()).unwrap();
        let pin = kept.pin().unwrap();

        std::fs::copy(pair(b.path()).key, pair(a.path()).key).unwrap();
        let error = kept.reload().unwrap_err().to_string();
        assert!(error.contains("edge.key") && error.contains("does not belong to edge.certificate"), "{error}");
        assert_eq!(kept.pin(), Some(pin));
        std::fs::write(pair(a.path()).key, "").unwrap();
        let error = kept.reload().unwrap_err().to_string();
        assert!(error.contains("edge.key") && error.contains("not a PEM private key"), "{error}");
        std::fs::remove_file(pair(a.path()).certificate).unwrap();
        let error = kept.reload().unwrap_err().to_string();
        assert!(error.contains("edge.certificate") && error.contains("cert.pem"), "{error}");
        assert_eq!(kept.pin(), Some(pin));

        for file in ["cert.pem", "key.pem"] {
            std::fs::copy(b.path().join(file), a.path().join(file)).unwrap();
        }
        kept.reload().unwrap();
        assert_ne!(kept.pin(), Some(pin));
    }

    #[test]
    fn a_pinned_one_is_replaced_a_day_before_its_end_and_others_never() {
        let dir = tempfile::tempdir().unwrap();
        let pinned = issue::dev(dir.path()).unwrap();
        let (_, end) = validity(&pinned.current.read().cert[0]).unwrap();
        let early = end - time::Duration::DAY - time::Duration::SECOND;
        let (pin, derived) = (pinned.pin(), pinned.derive("reset", "dev").unwrap());
        assert!(!pinned.renew(early).unwrap());
        assert_eq!(pinned.pin(), pin);

        let now = end - time::Duration::DAY;
        assert!(pinned.renew(now).unwrap());
        assert_ne!(pinned.pin(), pin);
        assert_eq!(
            validity(&pinned.current.read().cert[0]).unwrap().1,
            now - time::Duration::HOUR + time::Duration::days(13)
        );
        // The key stays: what follows from it does too.
        assert_eq!(pinned.derive("reset", "dev").unwrap(), derived);
        let fresh = pinned.pin();
        assert!(!pinned.renew(now).unwrap());
        assert_eq!(pinned.pin(), fresh);

        let files = pair(dir.path());
        let signed = Reloadable::read(files.clone(), None);
        // It was made for then, and is not valid yet.
        assert!(signed.is_err());
        issue::dev_pair(&files, OffsetDateTime::now_utc()).unwrap();
        let signed = Reloadable::open(files.certificate, files.key).unwrap();
        assert!(!signed.renew(now + time::Duration::days(365)).unwrap());
    }

    #[test]
    fn a_certificate_out_of_its_time_is_refused_and_the_times_are_said() {
        let dir = tempfile::tempdir().unwrap();
        issue::dev(dir.path()).unwrap();
        let (now, files) = (OffsetDateTime::now_utc(), pair(dir.path()));
        files.read(now).unwrap();
        let late = files.read(now + time::Duration::days(13)).unwrap_err().to_string();
        assert!(late.contains("edge.certificate") && late.contains("expired at"), "{late}");
        let early = files.read(now - time::Duration::hours(2)).unwrap_err().to_string();
        assert!(early.contains("not valid before") && early.contains("clock"), "{early}");
    }
}
