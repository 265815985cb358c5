//! How apps are started, stopped, configured and watched. No business, and no words of HTTP: how
//! a handler speaks is the crate `web`.
//!
//! A program lists its apps as [`Entry`]s, reads a [`Config`] for those it shall run, and calls
//! [`run()`].

mod app;
mod assemble;
mod clock;
mod config;
mod databases;
mod demo;
mod doctor;
mod entry;
mod jobs;
mod listener;
pub mod metrics;
mod migrate;
mod overlap;
mod private;
mod relays;
mod run;
mod secret;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;

pub use app::{App, DemoPerson, Host, Job, Need, Parts};
pub use clock::Clock;
pub use config::{Config, Mistake, Mistakes};
pub use demo::demo;
pub use doctor::{Findings, doctor};
pub use entry::Entry;
pub use migrate::migrate;
pub use run::{check, run};
pub use secret::{Key, Secret};
