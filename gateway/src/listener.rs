//! Sockets: accepted here, capped, encrypted, given deadlines, and handed to the proxy.
//!
//! Our own accept loop, because it knows its ports, starts and stops listeners while others serve,
//! caps connections, and ends a drain with the last request instead of with a fixed wait.

mod accept;
mod census;
mod driver;
mod handshakes;
mod patience;
mod prepare;
mod proxied;
mod socket;
mod visit;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex as Lock, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use pingora::proxy::HttpProxy;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

use crate::plan::{self, Plan};
use crate::proxy::{Proxy, Shared};
use census::Census;
use handshakes::{Current, Handshakes};
use prepare::{bind, unbound};

pub use patience::{Patient, Refused, Turn};
pub use prepare::Prepared;
pub use proxied::read as read_proxy_header;
pub use visit::Visit;

/// For connections that are cut to be gone.
const CUT: Duration = Duration::from_millis(500);

/// Why a listener could not be started.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address is taken, or not ours.
    #[error("listener `{name}` can't be bound to {bind}")]
    Bind {
        /// The listener.
        name: String,
        /// Where.
        bind: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Its certificates can't be used.
    #[error("listener `{name}` can't speak TLS")]
    Tls {
        /// The listener.
        name: String,
        /// Why.
        source: rustls::Error,
    },
}

/// All open listeners.
pub struct Listeners {
    shared: Arc<Shared>,
    proxy: Arc<HttpProxy<Proxy>>,
    open: Mutex<BTreeMap<String, Open>>,
}

struct Open {
    address: SocketAddr,
    door: Arc<Door>,
    stop: watch::Sender<bool>,
    accepting: Option<JoinHandle<()>>,
}

/// What one listener's connections share.
struct Door {
    name: String,
    /// As the table says it now: deadlines and caps change without a restart.
    settings: Arc<ArcSwap<plan::Listener>>,
    handshakes: Option<Handshakes>,
    /// Tells the connections of now to end with their present requests. A new one takes its place
    /// when later connections come on other terms.
    ending: Lock<watch::Sender<bool>>,
    /// Set when patience with the last requests has ended.
    cut: watch::Sender<bool>,
    census: Arc<Census>,
    /// The files of the certificates that the metrics tell of.
    reported: Lock<BTreeSet<String>>,
    proxy: Arc<HttpProxy<Proxy>>,
    shared: Arc<Shared>,
}

impl Listeners {
    /// None is open yet.
    pub fn new(shared: Arc<Shared>) -> Self {
        Self {
            proxy: driver::shared(Proxy::new(shared.clone())),
            shared,
            open: Mutex::default(),
        }
    }

    /// Makes the open listeners those of the plan that was prepared for: starts, stops, changes
    /// deadlines and caps, and swaps certificates. Running it again changes nothing. Connections
    /// stay, unless they were let in on terms that are no longer offered.
    ///
    /// It fails only when a port is taken by somebody else while it goes from one listener to the
    /// next; the others are open then.
    pub async fn apply(&self, plan: &Plan, mut prepared: Prepared) -> Result<(), ListenError> {
        let mut open = self.open.lock().await;
        let gone: Vec<String> = open
            .keys()
            .filter(|name| {
                !plan.listeners.contains_key(*name) || prepared.fresh.contains_key(*name)
            })
            .cloned()
            .collect();
        for name in gone {
            if let Some(mut one) = open.remove(&name) {
                tracing::info!(listener = name, address = %one.address, "listener stops");
                // Its port is free from here on: the next one may want it.
                one.stop_accepting().await;
                tokio::spawn(one.close());
            }
        }
        let mut result = Ok(());
        for (name, settings) in &plan.listeners {
            if let Some(one) = open.get(name) {
                one.change(settings, prepared.next.remove(name));
            } else if let Some((socket, handshakes)) = prepared.fresh.remove(name) {
                let socket = match socket {
                    Some(socket) => Ok(socket),
                    None => bind(name, settings).await,
                };
                match socket.and_then(|socket| self.start(name, settings, socket, handshakes)) {
                    Ok(one) => {
                        tracing::info!(listener = name, address = %one.address, "listener starts");
                        open.insert(name.clone(), one);
                    }
                    Err(error) => result = Err(error),
                }
            }
        }
        result
    }

    /// Where each listener is bound.
    pub async fn addresses(&self) -> BTreeMap<String, SocketAddr> {
        let open = self.open.lock().await;
        open.iter()
            .map(|(name, one)| (name.clone(), one.address))
            .collect()
    }

    /// Stops accepting, lets requests finish, and tells whether all did within `limit`. What is
    /// left then is cut, and leaves its records.
    pub async fn drain(&self, limit: Duration) -> bool {
        let open = std::mem::take(&mut *self.open.lock().await);
        let doors: Vec<_> = open.values().map(|one| one.door.clone()).collect();
        let mut all = pin!(futures::future::join_all(
            open.into_values().map(Open::close)
        ));
        if tokio::time::timeout(limit, &mut all).await.is_ok() {
            return true;
        }
        for door in doors {
            door.cut.send_replace(true);
        }
        let gone = async {
            all.await;
            // On HTTP/2 each request has a task of its own, which ends after its connection.
            while self.shared.metrics.in_flight.get() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        // They end when they are next polled; a limit is a limit all the same.
        let _ = tokio::time::timeout(CUT, gone).await;
        false
    }

    fn start(
        &self,
        name: &str,
        settings: &plan::Listener,
        socket: TcpListener,
        handshakes: Option<Handshakes>,
    ) -> Result<Open, ListenError> {
        let address = socket
            .local_addr()
            .map_err(|source| unbound(name, settings, source))?;
        let current = Arc::new(ArcSwap::from_pointee(settings.clone()));
        let (stop, stopped) = watch::channel(false);
        let door = Arc::new(Door {
            name: name.to_owned(),
            census: Arc::new(Census::new(name, &self.shared.metrics)),
            proxy: self.proxy.clone(),
            settings: current,
            handshakes,
            ending: Lock::new(watch::Sender::new(false)),
            reported: Lock::default(),
            cut: watch::Sender::new(false),
            shared: self.shared.clone(),
        });
        door.report_expiry();
        let accepting = Some(tokio::spawn(accept::connections(
            door.clone(),
            socket,
            stopped,
        )));
        Ok(Open {
            address,
            door,
            stop,
            accepting,
        })
    }
}

impl Open {
    /// Whether it can become what the table says without a new socket.
    fn fits(&self, new: &plan::Listener) -> bool {
        let old = self.door.settings.load();
        old.bind == new.bind && old.tls.is_some() == new.tls.is_some()
    }

    fn change(&self, settings: &plan::Listener, next: Option<Arc<Current>>) {
        let old = self.door.settings.load_full();
        let mut other = old.idle_timeout != settings.idle_timeout
            || old.proxy_protocol != settings.proxy_protocol;
        if let (Some(handshakes), Some(next)) = (&self.door.handshakes, next) {
            other |= handshakes.swap(next);
        }
        self.door.settings.store(Arc::new(settings.clone()));
        self.door.report_expiry();
        if other {
            self.door.end_present();
        }
    }

    /// Ends when the socket is closed. Connections go on.
    async fn stop_accepting(&mut self) {
        self.stop.send_replace(true);
        // Not later: the next of this name tells of its own.
        self.door.forget_expiry(&BTreeSet::new());
        if let Some(accepting) = self.accepting.take()
            && accepting.await.is_err()
        {
            tracing::error!(listener = self.door.name, "the accept loop panicked");
        }
    }

    /// Ends when the last connection has.
    async fn close(mut self) {
        self.stop_accepting().await;
        self.door.end_present();
        self.door.census.empty().await;
    }
}

impl Door {
    /// Tells the connections of now to end with their present requests.
    fn end_present(&self) {
        let mut ending = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *ending, watch::Sender::new(false)).send_replace(true);
    }

    /// What tells a connection that begins now to end.
    fn ending(&self) -> watch::Receiver<bool> {
        let ending = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        ending.subscribe()
    }

    fn report_expiry(&self) {
        let Some(served) = self.settings.load().tls.clone() else {
            return;
        };
        let expiry = &self.shared.metrics.certificate_expiry;
        let mut shown = BTreeSet::new();
        for one in served.shelf.certificates() {
            expiry
                .with_label_values(&[&*self.name, &*one.file])
                .set(one.expires());
            shown.insert(one.file.clone());
        }
        self.forget_expiry(&shown);
    }

    /// A certificate that is shown no longer must not ring anybody's alarm.
    fn forget_expiry(&self, but: &BTreeSet<String>) {
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        for gone in reported.difference(but) {
            let expiry = &self.shared.metrics.certificate_expiry;
            // It is there: we put it there.
            let _ = expiry.remove_label_values(&[&*self.name, &**gone]);
        }
        reported.clone_from(but);
    }
}
