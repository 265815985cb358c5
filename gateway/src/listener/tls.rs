use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use pingora::listeners::tls::Acceptor;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::plan::TlsFiles;

/// Why a certificate is of no use.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// Missing, unreadable, or without what it should hold.
    #[error("{path} can't be read: {why}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The chain and the key are not each other's.
    #[error("{cert} and {key} can't serve together: {why}")]
    Unfit {
        /// The chain's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong with them.
        why: String,
    },
}

/// A listener's certificate. It is swapped under running connections; the next handshake gets the
/// new one.
pub(super) struct Certificate {
    chosen: Arc<Chosen>,
    acceptor: Acceptor,
}

#[derive(Debug)]
struct Chosen {
    key: ArcSwap<CertifiedKey>,
}

impl ResolvesServerCert for Chosen {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.key.load_full())
    }
}

impl Certificate {
    /// Reads a certificate and makes what does handshakes with it: TLS 1.2 and 1.3, tickets for
    /// resumption, HTTP/2 offered when `h2` says so.
    pub(super) fn read(files: &TlsFiles, h2: bool) -> Result<Self, CertificateError> {
        let chosen = Arc::new(Chosen {
            key: ArcSwap::from_pointee(certified(files)?),
        });
        let unfit = |error: rustls::Error| CertificateError::Unfit {
            cert: files.cert.clone(),
            key: files.key.clone(),
            why: error.to_string(),
        };
        let provider = Arc::new(ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(unfit)?
            .with_no_client_auth()
            .with_cert_resolver(chosen.clone());
        config.alpn_protocols = match h2 {
            true => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            false => vec![b"http/1.1".to_vec()],
        };
        config.ticketer = ring::Ticketer::new().map_err(unfit)?;
        Ok(Self {
            chosen,
            acceptor: Acceptor::from_server_config(Arc::new(config)),
        })
    }

    /// The next handshake gets this one.
    pub(super) fn swap(&self, key: CertifiedKey) {
        self.chosen.key.store(Arc::new(key));
    }

    /// What does handshakes.
    pub(super) fn acceptor(&self) -> &Acceptor {
        &self.acceptor
    }

    /// When it ends, in Unix seconds; 0 when that can't be read from it.
    pub(super) fn expires(&self) -> i64 {
        let key = self.chosen.key.load();
        key.cert
            .first()
            .and_then(|leaf| x509_parser::parse_x509_certificate(leaf).ok())
            .map_or(0, |(_, leaf)| leaf.validity().not_after.timestamp())
    }
}

/// Reads a chain and its key, and tells whether they are each other's.
pub(crate) fn certified(files: &TlsFiles) -> Result<CertifiedKey, CertificateError> {
    let unreadable = |path: &PathBuf, why: String| CertificateError::Unreadable {
        path: path.clone(),
        why,
    };
    let chain = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable(&files.cert, error.to_string()))?;
    if chain.is_empty() {
        return Err(unreadable(&files.cert, "it holds no certificate".into()));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| unreadable(&files.key, error.to_string()))?;
    CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|error| {
        CertificateError::Unfit {
            cert: files.cert.clone(),
            key: files.key.clone(),
            why: error.to_string(),
        }
    })
}
