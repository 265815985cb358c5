use std::collections::BTreeMap;

use std::sync::Arc;

use tokio::net::TcpListener;

use super::{Current, Handshakes, ListenError, Listeners};
use crate::plan::{self, Plan};

/// What the listeners of a plan need that the open ones have not.
#[derive(Default)]
pub struct Prepared {
    /// For a listener that stays: what its next handshakes are made with.
    pub(super) next: BTreeMap<String, Arc<Current>>,
    /// For one that starts: its socket, unless another listener has to close first.
    pub(super) fresh: BTreeMap<String, (Option<TcpListener>, Option<Handshakes>)>,
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
            let at = |source| ListenError::Tls {
                name: name.clone(),
                source,
            };
            if let Some(one) = open.get(name).filter(|one| one.fits(new)) {
                let both = one.door.handshakes.as_ref().zip(new.tls.clone());
                let next = both.map(|(handshakes, served)| handshakes.next(served));
                let next = next.transpose().map_err(at)?;
                prepared.next.extend(next.map(|next| (name.clone(), next)));
            } else {
                let handshakes = new.tls.clone().map(Handshakes::new);
                let handshakes = handshakes.transpose().map_err(at)?;
                let socket = match bind(name, new).await {
                    Ok(socket) => Some(socket),
                    // One of ours has the port, and gives it up for this one.
                    Err(_) if freed(new.bind.port()) => None,
                    Err(error) => return Err(error),
                };
                prepared.fresh.insert(name.clone(), (socket, handshakes));
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
