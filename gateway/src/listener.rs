//! Sockets: accepted here, capped, encrypted, given deadlines, and handed to the proxy.
//!
//! Our own accept loop, because it knows its ports, starts and stops listeners while others serve,
//! caps connections, and ends a drain with the last request instead of with a fixed wait.

mod accept;
mod census;
mod patience;
mod prepare;
mod socket;
mod tls;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use pingora::apps::HttpServerOptions;
use pingora::protocols::http::v2::server::default_h2_options;
use pingora::proxy::{HttpProxy, http_proxy};
use pingora::server::configuration::ServerConf;
use rustls::sign::CertifiedKey;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

use crate::plan::{self, Plan};
use crate::proxy::{Proxy, Shared};
use census::Census;
use prepare::{bind, unbound};
use tls::Certificate;

pub use patience::{Patient, Refused, Turn};
pub use prepare::Prepared;
pub use tls::CertificateError;
pub(crate) use tls::certified;

/// What the heads of all streams of one HTTP/2 connection may take, in bytes, before our own check
/// of each: 64 KiB, the same for all listeners because the transport is told once.
const MAX_H2_HEAD: u32 = 64 * 1024;
/// Streams at once on one HTTP/2 connection.
const MAX_H2_STREAMS: u32 = 128;
/// For connections that are cut to be gone.
const CUT: Duration = Duration::from_millis(500);
/// Idle connections kept to upstreams, per worker thread.
const IDLE_UPSTREAM_CONNECTIONS: usize = 256;

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
    /// Its certificate is of no use.
    #[error("listener `{name}`")]
    Certificate {
        /// The listener.
        name: String,
        /// Why.
        source: CertificateError,
    },
}

/// All open listeners.
pub struct Listeners {
    shared: Arc<Shared>,
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
    certificate: Option<Certificate>,
    /// Set when patience with the last requests has ended.
    cut: watch::Sender<bool>,
    census: Arc<Census>,
    proxy: Arc<HttpProxy<Proxy>>,
    shared: Arc<Shared>,
}

impl Listeners {
    /// None is open yet.
    pub fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            open: Mutex::default(),
        }
    }

    /// Makes the open listeners those of the plan that was prepared for: starts, stops, changes
    /// deadlines and caps, and swaps certificates. Running it again changes nothing. One bound of a
    /// running listener stays what it was at its start: the idle timeout of its HTTP/2 connections.
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
                one.change(settings, prepared.keys.remove(name));
            } else if let Some((socket, certificate)) = prepared.fresh.remove(name) {
                let socket = match socket {
                    Some(socket) => Ok(socket),
                    None => bind(name, settings).await,
                };
                match socket.and_then(|socket| self.start(name, settings, socket, certificate)) {
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
        certificate: Option<Certificate>,
    ) -> Result<Open, ListenError> {
        let address = socket
            .local_addr()
            .map_err(|source| unbound(name, settings, source))?;
        let current = Arc::new(ArcSwap::from_pointee(settings.clone()));
        let (stop, stopped) = watch::channel(false);
        let door = Arc::new(Door {
            name: name.to_owned(),
            census: Arc::new(Census::new(name, &self.shared.metrics)),
            proxy: Arc::new(proxy(Proxy::new(
                self.shared.clone(),
                current.clone(),
                stopped.clone(),
            ))),
            settings: current,
            certificate,
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
        old.bind == new.bind && old.h2 == new.h2 && old.tls.is_some() == new.tls.is_some()
    }

    fn change(&self, settings: &plan::Listener, key: Option<CertifiedKey>) {
        if let (Some(certificate), Some(key)) = (&self.door.certificate, key) {
            certificate.swap(key);
            self.door.report_expiry();
        }
        self.door.settings.store(Arc::new(settings.clone()));
    }

    /// Ends when the socket is closed. Connections go on.
    async fn stop_accepting(&mut self) {
        self.stop.send_replace(true);
        if let Some(accepting) = self.accepting.take()
            && accepting.await.is_err()
        {
            tracing::error!(listener = self.door.name, "the accept loop panicked");
        }
    }

    /// Ends when the last connection has.
    async fn close(mut self) {
        use pingora::apps::ServerApp as _;
        self.stop_accepting().await;
        self.door.proxy.cleanup().await;
        self.door.census.empty().await;
    }
}

impl Door {
    fn report_expiry(&self) {
        if let Some(certificate) = &self.certificate {
            self.shared
                .metrics
                .certificate_expiry
                .with_label_values(&[self.name.as_str()])
                .set(certificate.expires());
        }
    }
}

fn proxy(proxy: Proxy) -> HttpProxy<Proxy> {
    let conf = ServerConf {
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        upstream_keepalive_pool_size: IDLE_UPSTREAM_CONNECTIONS,
        max_retries: crate::upstream::MAX_ATTEMPTS as usize,
        ..ServerConf::default()
    };
    let mut options = HttpServerOptions::default();
    options.keepalive_request_limit = Some(10_000);
    options.h2_idle_timeout = Some(proxy.idle_timeout());
    let mut h2 = default_h2_options();
    h2.max_concurrent_streams(MAX_H2_STREAMS)
        .max_header_list_size(MAX_H2_HEAD);
    let mut driven = http_proxy(&Arc::new(conf), proxy);
    driven.server_options = Some(options);
    driven.h2_options = Some(h2);
    driven
}
