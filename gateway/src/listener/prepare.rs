use std::collections::BTreeMap;

use rustls::sign::CertifiedKey;
use tokio::net::TcpListener;

use super::tls::{Certificate, certified};
use super::{ListenError, Listeners};
use crate::plan::{self, Plan};

/// What the listeners of a plan need that the open ones have not.
#[derive(Default)]
pub struct Prepared {
    /// For a listener that stays: the certificate as it lies there now.
    pub(super) keys: BTreeMap<String, CertifiedKey>,
    /// For one that starts: its socket, unless another listener has to close first.
    pub(super) fresh: BTreeMap<String, (Option<TcpListener>, Option<Certificate>)>,
}

impl Listeners {
    /// Gets what the listeners of a plan need: sockets, certificates. All that may fail is tried
    /// here, and when it does nothing has changed.
    pub async fn prepare(&self, plan: &Plan) -> Result<Prepared, ListenError> {
        let open = self.open.lock().await;
        let stays = |name: &String| {
            let (one, new) = (open.get(name), plan.listeners.get(name));
            one.zip(new).is_some_and(|(one, new)| one.fits(new))
        };
        let freed = |port| {
            let mut all = open.iter();
            all.any(|(name, one)| one.address.port() == port && !stays(name))
        };
        let mut prepared = Prepared::default();
        for (name, new) in &plan.listeners {
            let at = |source| ListenError::Certificate {
                name: name.clone(),
                source,
            };
            if stays(name) {
                let key = new.tls.as_ref().map(certified).transpose().map_err(at)?;
                prepared.keys.extend(key.map(|key| (name.clone(), key)));
            } else {
                let read = |files| Certificate::read(files, new.h2);
                let certificate = new.tls.as_ref().map(read).transpose().map_err(at)?;
                let socket = match bind(name, new).await {
                    Ok(socket) => Some(socket),
                    // One of ours has the port, and gives it up for this one.
                    Err(_) if freed(new.bind.port()) => None,
                    Err(error) => return Err(error),
                };
                prepared.fresh.insert(name.clone(), (socket, certificate));
            }
        }
        Ok(prepared)
    }
}

pub(super) async fn bind(
    name: &str,
    settings: &plan::Listener,
) -> Result<TcpListener, ListenError> {
    TcpListener::bind(settings.bind)
        .await
        .map_err(|source| unbound(name, settings, source))
}

pub(super) fn unbound(
    name: &str,
    settings: &plan::Listener,
    source: std::io::Error,
) -> ListenError {
    ListenError::Bind {
        name: name.to_owned(),
        bind: settings.bind,
        source,
    }
}
