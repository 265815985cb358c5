//! From a configuration to built apps, of which nothing runs yet.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

use axum::Router;
use sqlx::postgres::PgPool;
use tokio_util::sync::CancellationToken;

use crate::config::{AppConfig, Config, Mistake, Mistakes};
use crate::databases::Databases;
use crate::metrics::Metrics;
use crate::{Clock, Host, Job, overlap, private};

/// What a process will be, once it is started.
pub(crate) struct Assembled {
    pub(crate) apps: Vec<Built>,
    /// What is answered on each listener.
    pub(crate) listeners: BTreeMap<SocketAddr, Router>,
    /// What is answered on the private port.
    pub(crate) private: Router,
}

/// An app, built.
pub(crate) struct Built {
    pub(crate) name: &'static str,
    pub(crate) bind: SocketAddr,
    pub(crate) pool: PgPool,
    pub(crate) consumers: Vec<pg::Consumer>,
    pub(crate) outbox: Option<&'static str>,
    pub(crate) jobs: Vec<Job>,
}

/// Builds all apps, without a database; what an app says of its settings is a mistake at its place
/// in the file.
pub(crate) async fn assemble(
    config: Config,
    databases: &Databases,
    clock: &Clock,
    metrics: &Metrics,
    stop: &CancellationToken,
) -> Result<Assembled, Mistakes> {
    let mut mistakes = overlap::check(&config.apps);
    // What the documents tell is told in better words than axum has.
    let documents_agree = mistakes.is_empty();
    let documents = config.apps.iter();
    let documents = documents.map(|app| (app.entry.name, (app.entry.openapi)()));
    // The private port is put together first, so that an app which wants its paths is the one to
    // be told; what it asks about is known last.
    let needs = Arc::new(OnceLock::new());
    let mut wanted = Vec::new();
    let mut assembled = Assembled {
        apps: Vec::new(),
        listeners: BTreeMap::new(),
        private: private::routes(
            databases.clone(),
            needs.clone(),
            documents.collect(),
            metrics.clone(),
            stop.clone(),
        ),
    };
    for AppConfig {
        entry,
        place,
        settled,
    } in config.apps
    {
        let (name, bind) = (entry.name, settled.bind);
        let pool = databases.pool(&settled.database).clone();
        let host = Host {
            pool: pool.clone(),
            keys: config.keys.clone(),
            clock: clock.clone(),
            cursor_key: config.cursor_key.clone(),
            redis: config.redis.clone(),
            metrics: metrics.clone(),
        };
        let parts = match (settled.build)(host).await {
            Ok(parts) => parts,
            Err(error) => {
                let what = format!("{name} cannot be built: {error:#}");
                mistakes.push(Mistake::new(place, what).hint("look at its `settings`"));
                continue;
            }
        };
        if documents_agree {
            let listener = assembled.listeners.entry(bind).or_default();
            if let Err(clash) = join(listener, parts.routes) {
                let what = format!("{name} answers on {bind} what is answered already: {clash}");
                mistakes.push(
                    Mistake::new(place.clone(), what).hint("give one of them another `bind`"),
                );
            }
        }
        if let Err(clash) = join(&mut assembled.private, parts.private) {
            let what = format!("{name} answers on the private port what is answered: {clash}");
            mistakes.push(Mistake::new(place, what).hint("run it in a process of its own"));
        }
        wanted.extend(parts.needs.into_iter().map(|need| (name, need)));
        assembled.apps.push(Built {
            name,
            bind,
            pool,
            consumers: parts.consumers,
            outbox: parts.outbox,
            jobs: parts.jobs,
        });
    }
    let _ = needs.set(wanted);
    if mistakes.is_empty() {
        Ok(assembled)
    } else {
        Err(Mistakes::of(mistakes))
    }
}

/// Adds an app's routes. Two that want the same request make axum panic, and it can be asked for no
/// list beforehand: its words are the error.
fn join(listener: &mut Router, routes: Router) -> Result<(), String> {
    let so_far = std::mem::take(listener);
    let joined = catch_unwind(AssertUnwindSafe(|| {
        if so_far.has_routes() {
            // A listener has one answer to "nothing here", the first app's: axum takes no two.
            so_far.merge(routes.reset_fallback())
        } else {
            routes
        }
    }));
    *listener = joined.map_err(|panic| {
        panic
            .downcast::<String>()
            .map_or_else(|_| "two routes clash".to_owned(), |words| *words)
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use axum::routing::{get, post};

    use super::*;

    #[test]
    fn routes_that_clash_are_told_and_neighbours_are_not() {
        let mut listener = Router::new();
        let keys = || Router::new().route("/keys", get(|| async {}));
        join(&mut listener, keys().fallback(|| async {})).expect("the first");
        let more = Router::new().route("/keys", post(|| async {}));
        join(&mut listener, more.fallback(|| async {})).expect("another method");
        let clash = join(&mut listener, keys()).expect_err("taken");
        assert!(clash.contains("GET /keys"), "{clash}");
    }
}
