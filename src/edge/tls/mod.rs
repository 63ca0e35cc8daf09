//! Certificate and private key of a listener, from two PEM files.
//!
//! Invariant: no error quotes a file, since one of them is a private key.

mod own;
mod validity;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

pub use own::Own;

/// A certificate with its chain, and the key that belongs to it.
#[derive(Clone)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    config: Arc<rustls::ServerConfig>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({} certificates)", self.chain.len())
    }
}

/// Two identities are equal if their certificates are.
impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.chain == other.chain
    }
}

/// Reason why a listener cannot serve TLS, with the setting.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Only one of the two settings is set.
    #[error(
        "{section}.{set} is set without {section}.{unset}: TLS takes both, set that, too, or neither"
    )]
    Half {
        /// `server` or `admin`.
        section: &'static str,
        /// The setting that is set.
        set: &'static str,
        /// The setting that is missing.
        unset: &'static str,
    },
    /// The program was built without TLS.
    #[error("{section}.tls_cert_file is set, but this program was built without the feature tls")]
    NotBuilt {
        /// `server` or `admin`.
        section: &'static str,
    },
    /// A file cannot be used.
    #[error("{section}.{key}: the file {} {problem}", file.display())]
    File {
        /// `server` or `admin`.
        section: &'static str,
        /// The setting that names the file.
        key: &'static str,
        /// Its path.
        file: PathBuf,
        /// The fault of the file.
        problem: String,
    },
}

const CERT: &str = "tls_cert_file";
const KEY: &str = "tls_key_file";

/// Reads the files of `[section]`; `None` if neither is set.
pub fn identity(
    section: &'static str,
    cert: Option<&Path>,
    key: Option<&Path>,
) -> Result<Option<Identity>, TlsError> {
    let half = |set, unset| TlsError::Half {
        section,
        set,
        unset,
    };
    let (cert, key) = match (cert, key) {
        (None, None) => return Ok(None),
        (Some(_), None) => return Err(half(CERT, KEY)),
        (None, Some(_)) => return Err(half(KEY, CERT)),
        (Some(_), Some(_)) if !cfg!(feature = "tls") => {
            return Err(TlsError::NotBuilt { section });
        }
        (Some(cert), Some(key)) => (cert, key),
    };
    let fault = |key, file: &Path| {
        let file = file.to_owned();
        move |problem: String| TlsError::File {
            section,
            key,
            file,
            problem,
        }
    };
    let chain = certificates(cert).map_err(fault(CERT, cert))?;
    let private = private_key(key).map_err(fault(KEY, key))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let certified = CertifiedKey::from_der(chain.clone(), private, &provider);
    // Each error is blamed on the file that can be wrong: mostly, one of the two was renewed alone.
    let certified = certified.map_err(|error| {
        if matches!(error, rustls::Error::InconsistentKeys(_)) {
            fault(KEY, key)("does not belong to the certificate of tls_cert_file".to_owned())
        } else if matches!(error, rustls::Error::InvalidCertificate(_)) {
            fault(CERT, cert)("holds a certificate that cannot be read".to_owned())
        } else {
            fault(KEY, key)(format!("cannot be used: {error}"))
        }
    })?;
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has suites for the versions that we were built with")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let config = Arc::new(config);
    Ok(Some(Identity { chain, config }))
}

/// Reads the certificates of a PEM file; the first one is the listener's own.
pub fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = std::fs::read(file).map_err(|error| format!("cannot be read: {error}"))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err("holds no certificate: expected PEM, -----BEGIN CERTIFICATE-----".to_owned()),
        Err(_) => Err("is no PEM that can be read".to_owned()),
    }
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let pem = std::fs::read(file).map_err(|error| format!("cannot be read: {error}"))?;
    if pem.windows(9).any(|word| word == b"ENCRYPTED") {
        return Err("holds an encrypted key: decrypt it, and guard the file".to_owned());
    }
    PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
        "holds no private key that can be read: expected PEM, -----BEGIN PRIVATE KEY-----"
            .to_owned()
    })
}

/// Last moment at which a certificate counts; `None`: it cannot be read.
pub fn end_of(certificate: &[u8]) -> Option<Timestamp> {
    validity::validity(certificate).map(|(_, until)| until)
}

impl Identity {
    /// TLS configuration of a listener with this identity.
    pub fn server_config(&self) -> Arc<rustls::ServerConfig> {
        Arc::clone(&self.config)
    }

    /// First and last moment at which the certificate counts; `None`: its dates cannot be read.
    pub fn validity(&self) -> Option<(Timestamp, Timestamp)> {
        validity::validity(self.chain.first()?)
    }

    /// True if the certificate is expired or not yet valid at `now`.
    pub fn is_outdated(&self, now: Timestamp) -> bool {
        self.validity()
            .is_some_and(|(from, until)| now < from || until < now)
    }
}

#[cfg(all(test, feature = "tls"))]
mod tests;
