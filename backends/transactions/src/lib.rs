//! Wallets and transfers.
//!
//! The stories: [`verified`] gives each user a wallet, [`wallets`] shows what is in it, [`transfers`]
//! moves money out of it, [`entries`] tells what has moved; [`currencies`] is what there is to move.
//! The rules of money and all writing of balances are the crate `ledger`'s. [`proof`] and [`upkeep`]
//! keep the books honest and in order; [`demo`] puts money into the demo accounts.

mod currencies;
mod demo;
mod entries;
mod proof;
mod transfers;
mod upkeep;
mod verified;
mod wallets;

use std::sync::Arc;

use host::{DemoPerson, Host, Parts};
use ledger::Teller;
use serde::Deserialize;
use sqlx::PgPool;
use sqlx::migrate::Migrator;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::page::Cursors;

/// The app's schema; the ledger's stands beside it in the same database.
const SCHEMA: &str = "transactions";

/// The ledger's schema comes first: a wallet is an account there.
static MIGRATIONS: &[&Migrator] = &[&ledger::MIGRATOR, &sqlx::migrate!()];

/// The app `transactions`.
pub struct Transactions;

/// `apps.transactions.settings` of backend.yaml: there is nothing to set yet.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {}

/// What the stories share.
struct App {
    pool: PgPool,
    teller: Teller,
    cursors: Cursors,
}

impl host::App for Transactions {
    const NAME: &'static str = SCHEMA;

    type Config = Config;

    fn migrations() -> &'static [&'static Migrator] {
        MIGRATIONS
    }

    fn openapi() -> utoipa::openapi::OpenApi {
        web::document(Self::NAME, routes())
    }

    async fn build(Config {}: Config, host: &Host) -> anyhow::Result<Parts> {
        let app = Arc::new(App {
            pool: host.pool().clone(),
            teller: Teller::open(host.pool().clone()),
            cursors: Cursors::new(host.cursor_key()),
        });
        Ok(Parts {
            routes: web::guarded(Self::NAME, routes().with_state(app), host),
            consumers: vec![verified::consumer(host.pool().clone())],
            jobs: vec![
                proof::job(host.pool().clone(), host.clock(), host.registry())?,
                upkeep::partitions(host.pool().clone()),
                upkeep::answers(host.pool().clone()),
                upkeep::inbox(host.pool().clone(), host.clock()),
            ],
            ..Parts::default()
        })
    }

    async fn demo(pool: &PgPool, people: &mut Vec<DemoPerson>) -> anyhow::Result<()> {
        demo::arrange(pool, people).await
    }
}

/// Every path and who answers it.
fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(currencies::list_currencies))
        .routes(routes!(wallets::list_wallets))
        .routes(routes!(wallets::read_wallet))
        .routes(routes!(entries::list_entries))
        .routes(routes!(transfers::create_transfer))
        .routes(routes!(transfers::read_transfer))
        .routes(routes!(transfers::linked::create_entry))
        .routes(routes!(transfers::linked::read_entry))
}
