//! How apps are started, stopped, configured and watched. No business, and no words of HTTP: how
//! a handler speaks is the crate `web`.

mod app;
mod clock;
pub mod metrics;
mod secret;
#[cfg(feature = "testing")]
pub mod testing;

pub use app::{App, DemoPerson, Host, Job, Parts};
pub use clock::Clock;
pub use secret::{Key, Secret};
