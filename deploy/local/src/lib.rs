//! The whole product on one machine: `make run` is this crate, tests and `loadtest` use it as a
//! library. It starts our binaries as they are and therefore names none of our other crates.

// The whole, and what it says.
pub mod banner;
pub mod product;

// Its parts, each useful to tests by itself.
pub mod browser;
pub mod inbox;
pub mod openid_client;
pub mod postgres;
pub mod provider;
pub mod redis;
pub mod twilio;

// What the whole is prepared with.
mod certs;
mod config;
pub mod people;
pub mod ports;
mod secrets;

// What everything above stands on.
mod files;
pub mod leash;
pub mod probe;
pub mod process;
pub mod registries;
pub mod room;
mod supervise;
mod tail;
