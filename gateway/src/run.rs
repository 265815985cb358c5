//! The edge as a whole: started, told of a new table, drained.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::signal::unix::{SignalKind, signal};

use crate::access_log::{AccessLog, Target};
use crate::cache::Caches;
use crate::env::Lender;
use crate::listener::{ListenError, Listeners};
use crate::management::Management;
use crate::metrics::Metrics;
use crate::mirror::Mirrors;
use crate::overload::Overload;
use crate::plan::Plan;
use crate::proxy::Shared;
use crate::revocation::Revocations;
use crate::rights;
use crate::upstream::Upstreams;

/// How long a stop waits for requests.
pub const DRAIN: Duration = Duration::from_secs(8);
/// How long a new table waits for names to be resolved.
const RESOLVE: Duration = Duration::from_secs(2);

/// Why an edge did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The access log's file can't be written, or its thread not started.
    #[error("the access log can't be opened")]
    Log(#[source] std::io::Error),
    /// The inner port is taken.
    #[error("the management port can't be bound to {bind}")]
    Management {
        /// Where.
        bind: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// A listener did not start.
    #[error(transparent)]
    Listen(#[from] ListenError),
}

/// A running edge.
pub struct Edge {
    shared: Arc<Shared>,
    live: Arc<Live>,
    management: Management,
}

/// What a new table is given to.
pub struct Live {
    shared: Arc<Shared>,
    listeners: Listeners,
}

impl Live {
    /// Takes a new table: requests from now on meet it; listeners, upstreams and caches become
    /// its own. Requests under way end under the old one.
    ///
    /// When one of its listeners can't be opened, the old table serves on.
    pub async fn take(&self, plan: Arc<Plan>) -> Result<(), ListenError> {
        let prepared = self.listeners.prepare(&plan).await?;
        self.shared.upstreams.take(&plan.upstreams, RESOLVE).await;
        let policies = plan
            .routes
            .values()
            .filter_map(|route| route.cache.as_deref());
        self.shared.caches.apply(policies);
        self.shared.metrics.config_accepted(&plan.version);
        self.shared.revocations.apply(&plan);
        self.shared.rights.apply(&plan);
        self.shared.plan.store(plan.clone());
        // A listener that is new shall not let in who may not.
        let revocations = self.shared.revocations.caught_up();
        tokio::join!(revocations, self.shared.rights.caught_up());
        self.listeners.apply(&plan, prepared).await
    }

    /// The edge's metrics.
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }
}

impl Edge {
    /// Opens the inner port and the listeners, in this order: readiness is asked for first.
    pub async fn start(
        plan: Arc<ArcSwap<Plan>>,
        log: &Target,
        lender: &Lender,
    ) -> Result<Self, StartError> {
        // The one TLS provider of the process. Installed by an earlier edge, it is the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let metrics = lender.metrics.clone();
        let first = plan.load_full();
        let shared = Arc::new(Shared {
            plan,
            upstreams: Upstreams::new(metrics.clone()),
            mirrors: Mirrors::new(metrics.clone()),
            caches: Caches::default(),
            revocations: Revocations::new(lender.asking.clone(), metrics.clone()),
            rights: rights::Current::new(lender.asking.clone(), metrics.clone()),
            log: AccessLog::start(log, metrics.clone()).map_err(StartError::Log)?,
            overload: Overload::watched(metrics.clone()),
            metrics,
            draining: AtomicBool::new(false),
        });
        lender.asking.attach(&shared);
        let bind = first.management.bind;
        let management = Management::start(bind, shared.clone())
            .await
            .map_err(|source| StartError::Management { bind, source })?;
        let live = Arc::new(Live {
            listeners: Listeners::new(shared.clone()),
            shared: shared.clone(),
        });
        live.take(first).await?;
        management.ready();
        Ok(Self {
            shared,
            live,
            management,
        })
    }

    /// What a new table is given to.
    pub fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// Where each listener is bound, by name.
    pub async fn addresses(&self) -> BTreeMap<String, SocketAddr> {
        self.live.listeners.addresses().await
    }

    /// Where the inner port is bound.
    pub fn management(&self) -> SocketAddr {
        self.management.address()
    }

    /// Says that it will stop: `/readyz` answers 503 while everything is still served, so that a
    /// balancer can turn away first.
    pub fn announce_stop(&self) {
        self.shared.draining.store(true, Ordering::Release);
    }

    /// Stops accepting, lets requests finish for at most `limit`, and writes the last record.
    /// Tells whether all finished.
    pub async fn stop(self, limit: Duration) -> bool {
        self.announce_stop();
        let all = self.live.listeners.drain(limit).await;
        let shared = self.shared;
        // It waits for a disk, so not on a worker.
        let written = tokio::task::spawn_blocking(move || shared.log.stop()).await;
        if let Err(error) = written {
            tracing::error!(%error, "the access log did not end");
        }
        all
    }

    /// Serves until SIGTERM or SIGINT, then waits `notice` with `/readyz` at 503 and drains for at
    /// most `limit`. A second signal ends it at once.
    pub async fn until_signal(self, notice: Duration, limit: Duration) -> std::io::Result<bool> {
        let mut term = signal(SignalKind::terminate())?;
        let mut int = signal(SignalKind::interrupt())?;
        let mut told = async || {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
        };
        told().await;
        tracing::info!("stopping: requests under way are finished");
        self.announce_stop();
        let drained = async move {
            tokio::time::sleep(notice).await;
            self.stop(limit).await
        };
        Ok(tokio::select! {
            all = drained => all,
            () = told() => false,
        })
    }
}
