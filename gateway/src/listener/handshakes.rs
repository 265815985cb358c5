use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use pingora::listeners::TlsAccept;
use pingora::listeners::tls::{Acceptor, TlsSettings};
use pingora::protocols::tls::TlsRef;
use rustls::server::ProducesTickets;

use crate::tls::{Fingerprint, Served, tickets};

/// What a listener does handshakes with. It is swapped under running connections; the next
/// handshake gets the new one.
pub(super) struct Handshakes {
    current: ArcSwap<Current>,
}

/// All that one handshake needs.
pub(super) struct Current {
    pub(super) served: Arc<Served>,
    pub(super) acceptor: Acceptor,
    fingerprint: Fingerprint,
    terms: Fingerprint,
    tickets: Arc<dyn ProducesTickets>,
}

impl Handshakes {
    pub(super) fn new(served: Arc<Served>) -> Result<Self, rustls::Error> {
        let tickets = tickets()?;
        Ok(Self {
            current: ArcSwap::from_pointee(Current::new(served, tickets)?),
        })
    }

    pub(super) fn current(&self) -> Arc<Current> {
        self.current.load_full()
    }

    /// What the next handshakes are to be made with. Tickets stay good, unless clients are let in
    /// on other terms: a resumed session is not asked for its certificate again.
    pub(super) fn next(&self, served: Arc<Served>) -> Result<Arc<Current>, rustls::Error> {
        let current = self.current();
        if current.fingerprint == served.fingerprint() {
            return Ok(current);
        }
        let tickets = match current.terms == served.terms() {
            true => current.tickets.clone(),
            false => tickets()?,
        };
        Current::new(served, tickets).map(Arc::new)
    }

    /// The next handshake gets this one. Tells whether what was agreed on before must end.
    pub(super) fn swap(&self, next: Arc<Current>) -> bool {
        let other = self.current().terms != next.terms;
        self.current.store(next);
        other
    }
}

impl Current {
    fn new(served: Arc<Served>, tickets: Arc<dyn ProducesTickets>) -> Result<Self, rustls::Error> {
        let config = served.config(tickets.clone())?;
        // The settings' own choice of files and versions is not used: the configuration is ours.
        // Only they let us look at a finished handshake.
        let mut settings =
            TlsSettings::with_callbacks(Box::new(Look)).map_err(|error| unusable(&error))?;
        settings.set_cert_resolver(served.shelf.clone());
        let mut acceptor = settings.build();
        acceptor.acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        Ok(Self {
            fingerprint: served.fingerprint(),
            terms: served.terms(),
            served,
            acceptor,
            tickets,
        })
    }
}

fn unusable(error: &pingora::Error) -> rustls::Error {
    rustls::Error::General(error.to_string())
}

/// What a handshake told of the client.
pub(super) struct Shaken {
    /// The name that it asked for, in lower case.
    pub(super) server_name: Option<Box<str>>,
    /// Its certificate (DER), verified; on a resumed connection that of the first.
    pub(super) certificate: Option<Bytes>,
}

struct Look;

#[async_trait]
impl TlsAccept for Look {
    async fn handshake_complete_callback(
        &self,
        tls: &TlsRef,
    ) -> Option<Arc<dyn std::any::Any + Send + Sync>> {
        let leaf = tls.peer_cert_chain_der().and_then(<[_]>::first);
        let name = tls.server_name().map(str::to_ascii_lowercase);
        Some(Arc::new(Shaken {
            // As hosts are compared: without the dot of the root.
            server_name: name.map(|name| name.trim_end_matches('.').into()),
            certificate: leaf.map(|leaf| Bytes::copy_from_slice(leaf)),
        }))
    }
}
