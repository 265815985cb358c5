//! Against a real PostgreSQL.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod migrate;
mod outage;
mod relay;
mod stage;
mod tls;
