//! Whom to trust: the TLS settings of a dialer.

use std::sync::Arc;

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};
use sha2::{Digest as _, Sha256};

use crate::ConnectError;

/// Which certificates a client takes.
#[derive(Debug, Clone, Default)]
pub enum Trust {
    /// Those of the system's authorities.
    #[default]
    System,
    /// Any from a server on this machine's loopback addresses; from elsewhere those of the system's
    /// authorities.
    AnyOnLoopback,
    /// Those of these authorities alone: PEM, one or more certificates.
    Authorities(Vec<u8>),
    /// Those whose SHA-256 (of the DER) is one of these, as `serverCertificateHashes` in browsers.
    Pinned(Vec<[u8; 32]>),
}

/// The settings for TCP (HTTP/1.1, WebSocket) and for QUIC.
pub(crate) struct Tls {
    pub(crate) tcp: Arc<ClientConfig>,
    pub(crate) quic: Arc<quinn::crypto::rustls::QuicClientConfig>,
}

impl Tls {
    /// `resume`: whether TLS sessions are resumed; each connection makes a full handshake without.
    pub(crate) fn new(trust: &Trust, resume: bool) -> Result<Self, ConnectError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = |alpn: &[u8], versions: &[&'static rustls::SupportedProtocolVersion]| {
            let verifier = Verifier::new(trust, &provider)?;
            let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
                .with_protocol_versions(versions)
                .map_err(ConnectError::Tls)?
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier))
                .with_no_client_auth();
            config.alpn_protocols = vec![alpn.to_vec()];
            if !resume {
                config.resumption = Resumption::disabled();
            }
            Ok::<_, ConnectError>(config)
        };
        let tcp = Arc::new(config(b"http/1.1", &[&rustls::version::TLS13, &rustls::version::TLS12])?);
        let quic = config(b"h3", &[&rustls::version::TLS13])?;
        let quic = quinn::crypto::rustls::QuicClientConfig::try_from(quic)
            .map_err(|_| ConnectError::Tls(rustls::Error::General("no cipher suite for QUIC".to_owned())))?;
        Ok(Self { tcp, quic: Arc::new(quic) })
    }
}

/// The policy of a [`Trust`]. A handshake's signature is always verified: whoever shows a
/// certificate holds its key.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    policy: Policy,
}

#[derive(Debug)]
enum Policy {
    /// A machine without authorities has no verifier, and can still talk to itself.
    Authorities {
        verifier: Option<Arc<WebPkiServerVerifier>>,
        any_on_loopback: bool,
    },
    Pinned(Vec<[u8; 32]>),
}

impl Verifier {
    fn new(trust: &Trust, provider: &Arc<CryptoProvider>) -> Result<Self, ConnectError> {
        let verifier = |roots: RootCertStore| {
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
                .build()
                .map_err(|error| ConnectError::Tls(rustls::Error::General(error.to_string())))
        };
        let policy = match trust {
            Trust::Pinned(hashes) => Policy::Pinned(hashes.clone()),
            Trust::Authorities(pem) => {
                let mut roots = RootCertStore::empty();
                for certificate in CertificateDer::pem_slice_iter(pem) {
                    let certificate = certificate
                        .map_err(|error| ConnectError::Tls(rustls::Error::General(format!("PEM: {error}"))))?;
                    roots.add(certificate).map_err(ConnectError::Tls)?;
                }
                Policy::Authorities { verifier: Some(verifier(roots)?), any_on_loopback: false }
            }
            Trust::System => Policy::Authorities { verifier: Some(verifier(system_roots())?), any_on_loopback: false },
            Trust::AnyOnLoopback => {
                Policy::Authorities { verifier: verifier(system_roots()).ok(), any_on_loopback: true }
            }
        };
        Ok(Self { provider: Arc::clone(provider), policy })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match &self.policy {
            Policy::Pinned(hashes) => {
                let hash: [u8; 32] = Sha256::digest(end_entity).into();
                if hashes.contains(&hash) {
                    Ok(ServerCertVerified::assertion())
                } else {
                    Err(rustls::Error::InvalidCertificate(rustls::CertificateError::ApplicationVerificationFailure))
                }
            }
            Policy::Authorities { any_on_loopback: true, .. } if is_loopback(server_name) => {
                Ok(ServerCertVerified::assertion())
            }
            Policy::Authorities { verifier: Some(verifier), .. } => {
                verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            }
            Policy::Authorities { verifier: None, .. } => {
                Err(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer))
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The name that was dialled, not the address it led to: only names that cannot lead elsewhere count.
fn is_loopback(name: &ServerName<'_>) -> bool {
    match name {
        ServerName::DnsName(name) => name.as_ref() == "localhost",
        ServerName::IpAddress(ip) => std::net::IpAddr::from(*ip).is_loopback(),
        _ => false,
    }
}

fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::debug!(%error, "an authority of the system cannot be read");
    }
    roots.add_parsable_certificates(found.certs);
    roots
}
