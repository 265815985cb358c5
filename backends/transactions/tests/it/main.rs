//! Wallets and transfers over HTTP, on a real PostgreSQL.

mod bank;
mod currencies;
mod demo;
mod entries;
mod idempotency;
mod linked;
mod openapi;
mod proof;
mod transfers;
mod wallets;
