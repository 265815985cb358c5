use std::any::Any;
use std::sync::Arc;

use arc_swap::ArcSwap;
use pingora::http::ResponseHeader;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::proxy::Session;
use plugin_sdk::Connection;
use tokio::sync::watch;

use crate::plan;
use crate::tls::Served;

/// What is known of a connection before its first request: which listener took it, and what the
/// client proved in its handshake.
pub struct Visit {
    /// The listener as the table says it now.
    pub listener: Arc<ArcSwap<plan::Listener>>,
    /// What plugins see of it.
    pub connection: Connection,
    /// How TLS was spoken when it began; `None` on a plain connection.
    pub(super) served: Option<Arc<Served>>,
    /// Set when the connection should end with its present requests.
    pub(super) ending: watch::Receiver<bool>,
}

impl Visit {
    /// The visit that a request is made on. A background refresh has that of the request before it.
    pub fn of(session: &Session) -> Option<Arc<Self>> {
        let digest = session.digest()?.proxy_digest.as_ref()?;
        digest
            .user_data
            .as_ref()?
            .downcast_ref::<Arc<Self>>()
            .cloned()
    }

    /// Whether the connection should end with its present requests.
    pub fn is_ending(&self) -> bool {
        *self.ending.borrow()
    }

    /// Whether a request is served on it. Besides requests, two hold it: who drives the connection,
    /// and what is [carried](Self::carried).
    pub(super) fn is_in_use(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) > 2
    }

    /// Whether a request for `host` came to the wrong connection: see [`crate::tls::Shelf`].
    pub fn misdirects(&self, host: &str) -> bool {
        let asked = self.connection.server_name.as_deref();
        let served = self.served.as_ref();
        served.is_some_and(|served| served.shelf.misdirects(asked, host))
    }

    /// The one thing of ours that the transport carries from a connection to its requests, on
    /// HTTP/1 and on HTTP/2 alike. It is made for gateways that connect through a proxy, and says
    /// what that answered; nobody did.
    pub(super) fn carried(self: &Arc<Self>) -> Option<Arc<ProxyDigest>> {
        let said = ResponseHeader::build(200, Some(0)).ok()?;
        let ours: Box<dyn Any + Send + Sync> = Box::new(self.clone());
        Some(Arc::new(ProxyDigest::new(Box::new(said), Some(ours))))
    }
}
