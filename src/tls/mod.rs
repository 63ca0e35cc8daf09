//! What a listener proves itself with: a certificate and its private key, from two PEM files.
//!
//! Invariant: no error holds a line of a file; one of them is a private key.

mod own;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
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

/// The same certificates.
impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.chain == other.chain
    }
}

/// Why a listener cannot speak TLS; names the key.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// One key without the other.
    #[error(
        "{section}.{set} is set without {section}.{unset}: TLS takes both, set that, too, or neither"
    )]
    Half {
        /// `server` or `admin`.
        section: &'static str,
        /// The key that is set.
        set: &'static str,
        /// The key that is not.
        unset: &'static str,
    },
    /// The program cannot do it.
    #[error("{section}.tls_cert_file is set, but this program was built without the feature tls")]
    NotBuilt {
        /// `server` or `admin`.
        section: &'static str,
    },
    /// A file that cannot be used.
    #[error("{section}.{key}: the file {} {problem}", file.display())]
    File {
        /// `server` or `admin`.
        section: &'static str,
        /// The key that names it.
        key: &'static str,
        /// Its path.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

const CERT: &str = "tls_cert_file";
const KEY: &str = "tls_key_file";

/// Reads the files of `[section]`; `None` where neither is set.
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

/// The certificates of a PEM file, that of the listener first.
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

impl Identity {
    /// How a listener speaks with it.
    pub fn server_config(&self) -> Arc<rustls::ServerConfig> {
        Arc::clone(&self.config)
    }

    /// Whether its certificate has run out at `now` (Unix seconds), or does not count yet.
    pub fn is_outdated(&self, now: u64) -> bool {
        use rustls::CertificateError as Fault;
        use rustls::client::WebPkiServerVerifier;
        use rustls::client::danger::ServerCertVerifier as _;

        let Some((own, chain)) = self.chain.split_first() else {
            return false;
        };
        // Trusting it by itself leaves its dates as what can be wrong with it; all else that may
        // be said is not asked for here.
        let mut roots = rustls::RootCertStore::empty();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        if roots.add(own.clone()).is_err() {
            return false;
        }
        let Ok(verifier) =
            WebPkiServerVerifier::builder_with_provider(roots.into(), provider).build()
        else {
            return false;
        };
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now));
        let name = ServerName::try_from("localhost").expect("it is a name");
        let verdict = verifier.verify_server_cert(own, chain, &name, &[], now);
        matches!(
            verdict,
            Err(rustls::Error::InvalidCertificate(
                Fault::Expired
                    | Fault::ExpiredContext { .. }
                    | Fault::NotValidYet
                    | Fault::NotValidYetContext { .. }
            ))
        )
    }
}

#[cfg(all(test, feature = "tls"))]
mod tests;
