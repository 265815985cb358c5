use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use sha2::{Digest, Sha256};

use super::{CertificateError, Fingerprint, Pair, add, provider, roots};

/// Whom an upstream's certificate must come from.
pub enum Trust {
    /// The authorities that the system trusts.
    System,
    /// These and no others.
    Authorities(Vec<CertificateDer<'static>>),
}

/// How an upstream is spoken to in TLS.
pub struct Towards {
    /// The name that its certificate must prove, where it is not that of the target.
    pub server_name: Option<String>,
    /// Whom it must come from.
    pub trust: Trust,
    /// What we prove ourselves with.
    pub own: Option<Pair>,
    fingerprint: Fingerprint,
    store: Arc<RootCertStore>,
}

impl Towards {
    /// Reads what is named: authorities, our own chain and key (all PEM).
    pub fn read(
        server_name: Option<String>,
        ca: Option<&Path>,
        own: Option<(&Path, &Path)>,
    ) -> Result<Self, CertificateError> {
        let own = own.map(|(cert, key)| Pair::read(cert, key)).transpose()?;
        let (store, trust) = match ca {
            Some(ca) => {
                let (store, all) = roots(ca)?;
                (store, Trust::Authorities(all))
            }
            None => (system(), Trust::System),
        };
        let mut hash = Sha256::new();
        add(
            &mut hash,
            server_name.as_deref().unwrap_or_default().as_bytes(),
        );
        if let Trust::Authorities(all) = &trust {
            all.iter().for_each(|one| add(&mut hash, one));
        }
        hash.update([u8::from(own.is_some())]);
        if let Some(own) = &own {
            own.add_to(&mut hash);
        }
        Ok(Self {
            server_name,
            trust,
            own,
            fingerprint: hash.finalize().into(),
            store: Arc::new(store),
        })
    }

    /// Whether anybody is trusted at all.
    pub fn trusts_nobody(&self) -> bool {
        self.store.is_empty()
    }

    /// Tells contents apart: a connection made with one must not be used for the other.
    pub(crate) fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// What our own questions are asked with, those for health for instance.
    pub(crate) fn config(&self, h2: bool) -> Result<ClientConfig, rustls::Error> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(self.store.clone());
        let mut config = match &self.own {
            Some(own) => builder.with_client_auth_cert(own.chain.clone(), own.key.clone_key())?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![if h2 {
            b"h2".to_vec()
        } else {
            b"http/1.1".to_vec()
        }];
        Ok(config)
    }
}

/// What the system trusts, as the transport finds it: `SSL_CERT_FILE` and `SSL_CERT_DIR` count.
fn system() -> RootCertStore {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    store
}

impl PartialEq for Towards {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for Towards {}

impl std::fmt::Debug for Towards {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Towards")
            .field("server_name", &self.server_name)
            .field("shows_a_certificate", &self.own.is_some())
            .finish_non_exhaustive()
    }
}
