//! The guarded door: TLS, routes, policies, plugins, upstreams.
//!
//! The modules stand in reading order. First the route table, from the file to what decides; then
//! a request's way, from the socket to the access record.

// The route table: as written, as run, and what is wrong with it.
pub mod table;

pub mod plan;

pub mod finding;

pub mod env;

pub mod reload;

// What operators ask: is it good, what becomes of this request, what can be written.
pub mod check;

pub mod explain;

pub mod schema;

// A request's way.
pub mod run;

pub mod listener;

pub mod proxy;

pub mod framing;

pub mod decide;
pub mod path;
pub mod router;

pub mod forward;

pub mod cache;

pub mod upstream;

pub mod reply;

pub mod access_log;

pub mod metrics;

pub mod management;

#[cfg(test)]
mod testing;
