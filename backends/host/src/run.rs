//! From a configuration to a running process, and back.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, ensure};
use axum::Router;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{AppConfig, Config};
use crate::databases::Databases;
use crate::metrics::Metrics;
use crate::relays::Relays;
use crate::{Clock, Host, jobs, listener, overlap, private};

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

/// What can be wrong with apps that share a listener; without a database.
pub fn check(config: &Config) -> anyhow::Result<()> {
    ensure!(
        !config.apps.is_empty(),
        "there is no app to run: `apps` is empty"
    );
    let documents: Vec<_> = config
        .apps
        .iter()
        .map(|app| (app.settled.bind, app.entry.name, (app.entry.openapi)()))
        .collect();
    overlap::check(&documents)
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

/// A listener, and what answers on it.
struct Door {
    configured: SocketAddr,
    socket: TcpListener,
    apps: Vec<&'static str>,
    router: Router,
}

/// Starts everything, or says what keeps it from starting.
pub(crate) async fn start(config: Config, clock: Clock) -> anyhow::Result<Started> {
    check(&config)?;
    let databases = Databases::open(&config);
    databases.ready(&config).await?;
    // Ports before work: a taken one is told before anything has begun.
    let private = bind(config.private_bind, "the private port").await?;
    let mut doors = open(&config.apps).await?;

    let metrics = Metrics::new();
    let stop = CancellationToken::new();
    let work = TaskTracker::new();
    let mut documents = BTreeMap::new();
    let mut private_routes = Router::new();
    let mut relays = Relays::default();
    for AppConfig { entry, settled } in config.apps {
        let pool = databases.pool(&settled.database).clone();
        let host = Host {
            pool: pool.clone(),
            keys: config.keys.clone(),
            clock: clock.clone(),
            cursor_key: config.cursor_key.clone(),
            metrics: metrics.clone(),
        };
        let parts = (settled.build)(host)
            .await
            .with_context(|| format!("building {}", entry.name))?;
        let door = doors
            .iter_mut()
            .find(|door| door.configured == settled.bind);
        door.expect("each bind was opened above")
            .admit(entry.name, parts.routes);
        private_routes = private_routes.merge(parts.private);
        documents.insert(entry.name, (entry.openapi)());
        relays.add(pool, parts.outbox, parts.consumers);
        for job in parts.jobs {
            work.spawn(jobs::repeat(entry.name, job, metrics.clone(), stop.clone()));
        }
    }
    relays.start(&metrics, &work, &stop);

    let mut apps = BTreeMap::new();
    for door in doors {
        let address = door.socket.local_addr()?;
        apps.extend(door.apps.into_iter().map(|name| (name, address)));
        work.spawn(listener::serve(door.socket, door.router, stop.clone()));
    }
    let address = private.local_addr()?;
    let router = private::routes(databases.clone(), documents, metrics, stop.clone());
    // Its own token is never cancelled: it is there to be asked until the very end.
    let watch = listener::serve(
        private,
        router.merge(private_routes),
        CancellationToken::new(),
    );
    Ok(Started {
        apps,
        private: address,
        stop,
        work,
        watch: tokio::spawn(watch),
        databases,
    })
}

/// Opens a listener for each address that apps name.
async fn open(apps: &[AppConfig]) -> anyhow::Result<Vec<Door>> {
    let mut doors: Vec<Door> = Vec::new();
    for app in apps {
        let bind_to = app.settled.bind;
        if !doors.iter().any(|door| door.configured == bind_to) {
            doors.push(Door {
                configured: bind_to,
                socket: bind(bind_to, app.entry.name).await?,
                apps: Vec::new(),
                router: Router::new(),
            });
        }
    }
    Ok(doors)
}

impl Door {
    fn admit(&mut self, name: &'static str, routes: Router) {
        let others = std::mem::take(&mut self.router);
        // A listener has one answer to "nothing here", and axum takes no two.
        self.router = if self.apps.is_empty() {
            routes
        } else {
            others.merge(routes.reset_fallback())
        };
        self.apps.push(name);
    }
}

async fn bind(address: SocketAddr, who: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("{who} cannot listen on {address}"))
}
