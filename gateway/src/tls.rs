//! Certificates and keys as they lie on disk: read, named, compared. What listens and what connects
//! get them from here, so that both refuse the same files in the same words.

mod client;
mod name;
mod server;
mod shelf;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};

pub use client::{Towards, Trust};
pub(crate) use server::tickets;
pub use server::{Clients, Served, Version};
pub use shelf::{Certificate, Shelf};

/// Why a certificate, or what goes with it, is of no use.
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
    /// It can't be used for what it was named for.
    #[error("{path} is of no use here: {why}")]
    Useless {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// Tells contents apart: the SHA-256 over files.
pub type Fingerprint = [u8; 32];

/// A chain and its key, which are each other's.
pub struct Pair {
    /// The chain, leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key.
    pub key: PrivateKeyDer<'static>,
    /// What does signatures with them.
    pub certified: Arc<CertifiedKey>,
}

/// The one provider of cryptography of the process.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

impl Pair {
    /// Reads a chain and its key (PEM), and tells whether they are each other's.
    pub fn read(cert: &Path, key: &Path) -> Result<Self, CertificateError> {
        let chain = certificates(cert)?;
        let der = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, &error))?;
        let certified = CertifiedKey::from_der(chain.clone(), der.clone_key(), &provider());
        let certified = certified.map_err(|error| CertificateError::Unfit {
            cert: cert.to_owned(),
            key: key.to_owned(),
            why: error.to_string(),
        })?;
        Ok(Self {
            chain,
            key: der,
            certified: Arc::new(certified),
        })
    }

    fn add_to(&self, hash: &mut Sha256) {
        add(hash, self.key.secret_der());
        self.chain.iter().for_each(|one| add(hash, one));
    }
}

/// All certificates of a file (PEM); at least one.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let all = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable(path, &error))?;
    match all.is_empty() {
        false => Ok(all),
        true => Err(unreadable(path, &"it holds no certificate")),
    }
}

/// The authorities of a file (PEM). Each of them must be usable: one that is silently left out
/// would refuse clients that the operator believes in.
pub(crate) fn roots(
    path: &Path,
) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), CertificateError> {
    let all = certificates(path)?;
    let mut store = RootCertStore::empty();
    for one in &all {
        store
            .add(one.clone())
            .map_err(|error| CertificateError::Useless {
                path: path.to_owned(),
                why: error.to_string(),
            })?;
    }
    Ok((store, all))
}

fn revoked(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, CertificateError> {
    let all = CertificateRevocationListDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable(path, &error))?;
    match all.is_empty() {
        false => Ok(all),
        true => Err(unreadable(path, &"it holds no revocation list")),
    }
}

fn unreadable(path: &Path, why: &dyn std::fmt::Display) -> CertificateError {
    CertificateError::Unreadable {
        path: path.to_owned(),
        why: why.to_string(),
    }
}

/// One part after another, so that no two lists of parts look alike.
fn add(hash: &mut Sha256, part: &[u8]) {
    hash.update((part.len() as u64).to_be_bytes());
    hash.update(part);
}
