//! From a configuration to a running process, and back.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::assemble::assemble;
use crate::config::{Config, Mistakes};
use crate::databases::Databases;
use crate::metrics::Metrics;
use crate::relays::Relays;
use crate::{Clock, jobs, listener};

/// How long requests and events under way are given when it stops.
const DRAIN: Duration = Duration::from_secs(5);

/// Runs the apps until SIGTERM or SIGINT, then drains.
pub async fn run(config: Config) -> anyhow::Result<()> {
    // Before anything else, so that no signal meets a process that does not hear it.
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let started = tokio::select! {
        started = start(config, Clock::system()) => started?,
        _ = term.recv() => return Ok(()),
        _ = int.recv() => return Ok(()),
    };
    for (app, address) in &started.apps {
        tracing::info!(app, %address, "listening");
    }
    tracing::info!(address = %started.private, "ready; the private port is open");
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    tracing::info!("draining");
    started.stop().await;
    tracing::info!("stopped");
    Ok(())
}

/// Does all of a run that needs neither a database nor a port: the apps are built, and those that
/// share a listener must not want the same requests. Tells what would run.
pub async fn check(config: Config) -> Result<String, Mistakes> {
    let summary = config.summary();
    let databases = Databases::open(&config);
    let (clock, metrics) = (Clock::system(), Metrics::new());
    assemble(
        config,
        &databases,
        &clock,
        &metrics,
        &CancellationToken::new(),
    )
    .await?;
    Ok(summary)
}

/// A process at work.
pub(crate) struct Started {
    /// Where each app answers; the real ports, also where the configuration said 0.
    pub(crate) apps: BTreeMap<&'static str, SocketAddr>,
    /// Where the private port is.
    pub(crate) private: SocketAddr,
    stop: CancellationToken,
    work: TaskTracker,
    watch: JoinHandle<()>,
    databases: Databases,
}

impl Started {
    /// Stops taking requests, lets those under way finish, and closes the pools. The private port
    /// answers until all of that is over, and says that the process is not ready.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.work.close();
        if tokio::time::timeout(DRAIN, self.work.wait()).await.is_err() {
            tracing::warn!(
                "some work took longer than {} s and is cut off",
                DRAIN.as_secs()
            );
        }
        self.watch.abort();
        self.databases.close().await;
    }
}

/// Starts everything, or says what keeps it from starting.
pub(crate) async fn start(config: Config, clock: Clock) -> anyhow::Result<Started> {
    let private_bind = config.private_bind;
    let databases = Databases::open(&config);
    let metrics = Metrics::new();
    let stop = CancellationToken::new();
    let assembled = assemble(config, &databases, &clock, &metrics, &stop).await?;
    databases.ready().await?;
    // Ports before work: a taken one is told before anything has begun.
    let private = bind(private_bind, "the private port").await?;
    let mut sockets: BTreeMap<SocketAddr, TcpListener> = BTreeMap::new();
    for app in &assembled.apps {
        if let Entry::Vacant(entry) = sockets.entry(app.bind) {
            entry.insert(bind(app.bind, app.name).await?);
        }
    }

    let work = TaskTracker::new();
    let mut apps = BTreeMap::new();
    let mut relays = Relays::default();
    for app in assembled.apps {
        apps.insert(app.name, sockets[&app.bind].local_addr()?);
        relays.add(app.pool, app.outbox, app.consumers);
        for job in app.jobs {
            work.spawn(jobs::repeat(app.name, job, metrics.clone(), stop.clone()));
        }
    }
    relays.start(&metrics, &work, &stop);
    let mut listeners = assembled.listeners;
    for (address, socket) in sockets {
        let router = listeners.remove(&address).unwrap_or_default();
        work.spawn(listener::serve(socket, router, stop.clone()));
    }
    let address = private.local_addr()?;
    // Its own token is never cancelled: it is there to be asked until the very end.
    let watch = listener::serve(private, assembled.private, CancellationToken::new());
    Ok(Started {
        apps,
        private: address,
        stop,
        work,
        watch: tokio::spawn(watch),
        databases,
    })
}

async fn bind(address: SocketAddr, who: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("{who} cannot listen on {address}"))
}
