use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ProducesTickets, WebPkiClientVerifier};
use sha2::{Digest, Sha256};

use super::{CertificateError, Fingerprint, Shelf, add, provider, revoked, roots};

/// The oldest TLS that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// TLS 1.2, with forward secrecy and authenticated ciphers only, and TLS 1.3.
    V1_2,
    /// TLS 1.3 alone.
    V1_3,
}

/// Whom a listener asks for a certificate of their own.
pub struct Clients {
    /// Whether who has none is refused already in the handshake.
    pub required: bool,
    verifier: Arc<dyn ClientCertVerifier>,
    fingerprint: Fingerprint,
}

impl Clients {
    /// Reads the authorities (PEM) that clients' certificates come from, and what these have
    /// revoked.
    pub fn read(ca: &Path, crl: Option<&Path>, required: bool) -> Result<Self, CertificateError> {
        let (store, all) = roots(ca)?;
        let mut hash = Sha256::new();
        hash.update([u8::from(required)]);
        all.iter().for_each(|one| add(&mut hash, one));
        let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider());
        if let Some(crl) = crl {
            let lists = revoked(crl)?;
            lists.iter().for_each(|one| add(&mut hash, one));
            builder = builder.with_crls(lists);
        }
        if !required {
            builder = builder.allow_unauthenticated();
        }
        let verifier = builder.build().map_err(|error| CertificateError::Useless {
            path: crl.unwrap_or(ca).to_owned(),
            why: error.to_string(),
        })?;
        Ok(Self {
            required,
            verifier,
            fingerprint: hash.finalize().into(),
        })
    }
}

/// How a listener proves who it is, and to whom it listens.
pub struct Served {
    /// The certificates.
    pub shelf: Arc<Shelf>,
    /// The oldest TLS that is spoken.
    pub min: Version,
    /// Whether HTTP/2 is offered.
    pub h2: bool,
    /// Whom it asks for a certificate.
    pub clients: Option<Clients>,
}

impl Served {
    /// Tells apart what handshakes depend on.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        let mut hash = Sha256::new();
        hash.update(self.terms());
        hash.update([u8::from(self.h2)]);
        for certificate in self.shelf.certificates() {
            hash.update(certificate.fingerprint());
        }
        hash.finalize().into()
    }

    /// Tells apart the terms on which clients are let in. When these change, what was agreed on
    /// under the old ones must not go on: neither connections nor tickets.
    pub(crate) fn terms(&self) -> Fingerprint {
        let mut hash = Sha256::new();
        hash.update([u8::from(self.min == Version::V1_3)]);
        if let Some(clients) = &self.clients {
            hash.update(clients.fingerprint);
        }
        hash.finalize().into()
    }

    /// What handshakes are made with. A ticket is good with the `tickets` that made it, and for the
    /// name that it was made for.
    pub(crate) fn config(
        &self,
        tickets: Arc<dyn ProducesTickets>,
    ) -> Result<ServerConfig, rustls::Error> {
        let versions: &[&rustls::SupportedProtocolVersion] = match self.min {
            Version::V1_2 => &[&rustls::version::TLS13, &rustls::version::TLS12],
            Version::V1_3 => &[&rustls::version::TLS13],
        };
        let builder =
            ServerConfig::builder_with_provider(provider()).with_protocol_versions(versions)?;
        let builder = match &self.clients {
            Some(clients) => builder.with_client_cert_verifier(clients.verifier.clone()),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(self.shelf.clone());
        config.alpn_protocols = match self.h2 {
            true => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            false => vec![b"http/1.1".to_vec()],
        };
        config.ticketer = tickets;
        Ok(config)
    }
}

/// Keys for tickets, new ones every six hours; they never leave the process.
pub(crate) fn tickets() -> Result<Arc<dyn ProducesTickets>, rustls::Error> {
    ring::Ticketer::new()
}

impl std::fmt::Debug for Served {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Served")
            .field("shelf", &self.shelf)
            .field("min", &self.min)
            .field("h2", &self.h2)
            .field("asks_clients", &self.clients.is_some())
            .finish()
    }
}
