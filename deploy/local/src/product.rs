//! The whole product, running.

mod beside;
mod place;
mod services;

use std::{net::SocketAddr, path::Path, time::Duration};

use crate::{inbox::Inbox, people::Person, ports::Ports, postgres::Cluster, supervise::Supervised};
pub use beside::Beside;
pub use place::Place;
use place::Prepared;
use services::Services;

const WATCHED_EVERY: Duration = Duration::from_millis(200);

/// What to start, and where.
#[derive(Debug)]
pub struct Options {
    /// Where it lives.
    pub place: Place,
    /// Where it listens.
    pub ports: Ports,
    /// The database to use instead of a private cluster.
    pub database_url: Option<String>,
    /// The Redis to use; none where there is none.
    pub redis_url: Option<String>,
}

impl Options {
    /// As `make run` starts it: in the clone itself, on the well-known ports.
    #[must_use]
    pub fn kept(clone: &Path) -> Self {
        let database_url = std::env::var("DATABASE_URL")
            .ok()
            .filter(|url| !url.is_empty());
        Self {
            place: Place::kept(clone),
            ports: Ports::WELL_KNOWN,
            database_url,
            redis_url: redis_url(),
        }
    }

    /// As tests start it: in a directory of its own that goes with it, on free ports, from the
    /// clone that this crate was built in.
    ///
    /// # Errors
    /// When no directory can be made or no ports are left.
    pub fn temporary() -> anyhow::Result<Self> {
        let clone = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        let ports = Ports::free()?;
        Ok(Self {
            place: Place::temporary(clone, &ports)?,
            ports,
            database_url: None,
            redis_url: redis_url(),
        })
    }
}

/// What this process was told.
fn redis_url() -> Option<String> {
    let url = std::env::var("REDIS_URL").ok();
    url.filter(|url| !url.is_empty())
}

/// A running product. Dropping it stops everything in the right order, and waits for that: the
/// gateway first, so that nobody comes in any more, then the backends, PostgreSQL last.
#[derive(Debug)]
pub struct Product {
    // Fields are dropped in this order.
    gateway: Supervised,
    backend: Supervised,
    inbox: Inbox,
    cluster: Option<Cluster>,
    people: Vec<Person>,
    ports: Ports,
    redis_url: Option<String>,
    place: Place,
}

/// One of the two programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// The gateway process.
    Gateway,
    /// The backend process with all apps.
    Backend,
}

impl Product {
    /// Starts everything and returns once it is ready to serve. What this has started is stopped
    /// again when the returned future is dropped or fails.
    ///
    /// # Errors
    /// When a port is taken, another product runs in this place, something is not installed or
    /// built, or a part does not become ready; the message says which, with the end of its log.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let Options {
            place,
            ports,
            database_url,
            redis_url,
        } = options;
        let redis = redis_url.clone();
        let prepared = tokio::task::spawn_blocking(move || {
            Prepared::make(place, ports, database_url, redis.as_deref())
        });
        let Prepared {
            place,
            ports,
            cluster,
            database_url,
            people,
        } = prepared.await??;
        let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let inbox = Inbox::start(loopback(ports.smtp), loopback(ports.inbox)).await?;
        let services = Services {
            place: &place,
            ports: &ports,
            database_url,
            redis_url: redis_url.clone(),
        };
        let backend = services.backend().await?;
        let gateway = services.gateway().await?;
        Ok(Self {
            gateway,
            backend,
            inbox,
            cluster,
            people,
            ports,
            redis_url,
            place,
        })
    }

    /// Starts another gateway beside the product's own, on free ports. It reads the same table, and
    /// ends when it is dropped, which should be before the product is.
    ///
    /// # Errors
    /// When no ports are left, or it does not become ready.
    pub async fn beside(&self) -> anyhow::Result<Beside> {
        Beside::start(&self.place, &self.ports, self.redis_url.as_deref()).await
    }

    /// The edge, as clients name it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.ports.edge)
    }

    /// Where it listens.
    #[must_use]
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// The files it lives in.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The demo accounts.
    #[must_use]
    pub fn people(&self) -> &[Person] {
        &self.people
    }

    /// Where its mail lands.
    #[must_use]
    pub fn inbox(&self) -> &Inbox {
        &self.inbox
    }

    /// Its private cluster; none where `DATABASE_URL` was given.
    #[must_use]
    pub fn cluster(&self) -> Option<&Cluster> {
        self.cluster.as_ref()
    }

    /// The process id of a service: another one after it was brought back.
    #[must_use]
    pub fn pid(&self, service: Service) -> u32 {
        match service {
            Service::Gateway => self.gateway.pid(),
            Service::Backend => self.backend.pid(),
        }
    }

    /// Waits until PostgreSQL ends although nobody asked it to, and tells how. The other parts are
    /// brought back when they end; without their database there is nothing to bring back. With
    /// `DATABASE_URL` this never comes.
    pub async fn failed(&mut self) -> anyhow::Error {
        let Some(cluster) = &mut self.cluster else {
            return std::future::pending().await;
        };
        loop {
            match cluster.ended() {
                Ok(None) => tokio::time::sleep(WATCHED_EVERY).await,
                Ok(Some(status)) => {
                    let log = self.place.log("postgres");
                    return anyhow::anyhow!(
                        "PostgreSQL has ended ({status}); see {}",
                        log.display()
                    );
                }
                Err(error) => return anyhow::Error::new(error).context("watch PostgreSQL"),
            }
        }
    }

    /// Stops everything in order, without blocking the caller's runtime.
    pub async fn stop(self) {
        // A drop that panics has said so itself; what is on a leash ends all the same.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }
}
