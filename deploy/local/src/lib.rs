//! The whole product on one machine: `make run` is this crate, tests and `loadtest` use it as a
//! library. It starts our binaries as they are and therefore names none of our other crates.

pub mod inbox;
pub mod leash;
pub mod postgres;
pub mod probe;
pub mod redis;
pub mod room;
pub mod tail;

pub use leash::Leash;
