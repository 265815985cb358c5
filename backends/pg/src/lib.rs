//! PostgreSQL for the apps: pools, schemas, outbox and inbox, a database per test.
//!
//! An app's own statements live in its `store` files. The few here are those that every app
//! shares, and take the app's schema as an argument.
//!
//! Nothing in a request's way keeps state in a session, so that PgBouncer may stand in between in
//! transaction mode: no `set`, no session lock, no temporary table. See [`Settings::pgbouncer`].

mod consumer;
pub mod inbox;
pub mod migrate;
pub mod outbox;
mod pool;
mod relay;
mod schema;
#[cfg(feature = "testing")]
pub mod testing;

pub use consumer::{Consumer, Handled};
pub use pool::{Settings, Url, UrlError, answers, lazy, outage, wait, within};
pub use relay::{Bell, Delivery, Relay, ring};
