//! Trust of a command in its own daemon, independent of the name and issuer of the certificate.
//!
//! Invariant: the handshake proves that the peer holds the key of its certificate. Only the choice of
//! accepted certificates is made here.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

/// Certificates that a command accepts of its own daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Own {
    /// The first of these, which are read from the daemon's file.
    Of(Vec<CertificateDer<'static>>),
    /// Any certificate: for a health probe, which sends no secret.
    Any,
}

impl Own {
    /// TLS configuration of a client.
    pub fn client_config(self) -> ClientConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = Verifier {
            own: self,
            provider: Arc::clone(&provider),
        };
        ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has suites for the versions that we were built with")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth()
    }
}

#[derive(Debug)]
struct Verifier {
    own: Own,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.own {
            Own::Any => Ok(ServerCertVerified::assertion()),
            Own::Of(own) if own.first().is_some_and(|own| own == shown) => {
                Ok(ServerCertVerified::assertion())
            }
            Own::Of(_) => Err(Error::General(
                "it shows another certificate than that of tls_cert_file; if that file is new, \
                 reload the daemon"
                    .to_owned(),
            )),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, shown, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, shown, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
