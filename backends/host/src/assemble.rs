//! From a configuration to built apps, of which nothing runs yet.

use std::net::SocketAddr;

use axum::Router;
use sqlx::postgres::PgPool;
use utoipa::openapi::OpenApi;

use crate::config::{AppConfig, Config, Mistake, Mistakes};
use crate::databases::Databases;
use crate::metrics::Metrics;
use crate::{Clock, Host, Parts, overlap};

/// An app, built.
pub(crate) struct Assembled {
    pub(crate) name: &'static str,
    pub(crate) bind: SocketAddr,
    pub(crate) pool: PgPool,
    pub(crate) document: OpenApi,
    pub(crate) parts: Parts,
}

/// Builds all apps, without a database; what an app says of its settings is a mistake at its place
/// in the file.
pub(crate) async fn assemble(
    config: Config,
    databases: &Databases,
    clock: &Clock,
    metrics: &Metrics,
) -> Result<Vec<Assembled>, Mistakes> {
    let mut mistakes = overlap::check(&config.apps);
    let mut apps = Vec::new();
    for AppConfig {
        entry,
        place,
        settled,
    } in config.apps
    {
        let pool = databases.pool(&settled.database).clone();
        let host = Host {
            pool: pool.clone(),
            keys: config.keys.clone(),
            clock: clock.clone(),
            cursor_key: config.cursor_key.clone(),
            metrics: metrics.clone(),
        };
        match (settled.build)(host).await {
            Ok(parts) => apps.push(Assembled {
                name: entry.name,
                bind: settled.bind,
                pool,
                document: (entry.openapi)(),
                parts,
            }),
            Err(error) => mistakes.push(
                Mistake::new(place, format!("{} cannot be built: {error:#}", entry.name))
                    .hint("look at its `settings`"),
            ),
        }
    }
    if mistakes.is_empty() {
        Ok(apps)
    } else {
        Err(Mistakes::of(mistakes))
    }
}

/// Routers of apps that share a listener, as one.
pub(crate) fn merge(routers: impl IntoIterator<Item = Router>) -> Router {
    routers
        .into_iter()
        // A listener has one answer to "nothing here", and axum takes no two.
        .reduce(|first, next| first.merge(next.reset_fallback()))
        .unwrap_or_default()
}
