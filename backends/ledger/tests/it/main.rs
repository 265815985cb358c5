//! The ledger on a real PostgreSQL: each test in a database of its own.

mod books;
mod chain;
mod concurrency;
mod crash;
mod idempotency;
mod journal;
mod model;
mod month;
mod proof;
mod teller;
