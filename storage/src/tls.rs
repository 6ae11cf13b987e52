//! TLS to services: whom a connection believes, and how it is noticed that it does not.

use std::path::{Path, PathBuf};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};

/// A file that should have authorities' certificates, and has none that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} has to be a PEM file with the certificate of an authority: {reason}", .file.display())]
pub struct NoAuthority {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// The authorities of a PEM file, one at least.
///
/// # Errors
/// It cannot be read, or one of its certificates is none, or it has none.
pub fn authorities(file: &Path) -> Result<RootCertStore, NoAuthority> {
    let no = |reason: String| NoAuthority { file: file.to_owned(), reason };
    let pem = std::fs::read(file).map_err(|error| no(error.to_string()))?;
    let mut authorities = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| no(error.to_string()))?;
        authorities.add(certificate).map_err(|error| no(error.to_string()))?;
    }
    if authorities.is_empty() { Err(no("there is none inside".into())) } else { Ok(authorities) }
}

/// A client that believes these authorities alone.
#[cfg(feature = "cluster")]
pub(crate) fn client(authorities: RootCertStore) -> Result<rustls::ClientConfig, rustls::Error> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let client = rustls::ClientConfig::builder_with_provider(provider.into());
    let client = client.with_safe_default_protocol_versions()?;
    Ok(client.with_root_certificates(authorities).with_no_client_auth())
}

/// Whether a connection was given up for the certificate that the service has shown: waiting does not
/// mend that. Several libraries are between, and keep no more of rustls's `Error::InvalidCertificate`
/// than its words.
#[cfg(feature = "cluster")]
pub(crate) fn is_untrusted(reason: &str) -> bool {
    ["invalid peer certificate", "InvalidCertificate"].iter().any(|words| reason.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "cluster")]
    #[test]
    fn rustls_says_it_so() {
        let error = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        assert!(is_untrusted(&error.to_string()) && is_untrusted(&format!("{error:?}")));
        assert!(!is_untrusted("Connection refused"));
    }

    #[test]
    fn a_file_without_an_authority_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        for (text, says) in [
            (None, "No such file"),
            (Some(""), "none inside"),
            (Some("a certificate"), "none inside"),
            (Some("-----BEGIN CERTIFICATE-----\n"), ""),
            (Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), ""),
        ] {
            if let Some(text) = text {
                std::fs::write(&file, text).unwrap();
            }
            let error = authorities(&file).unwrap_err().to_string();
            assert!(error.contains("ca.pem has to be a PEM file") && error.contains(says), "{error}");
        }
    }
}
