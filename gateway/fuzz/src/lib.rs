//! Every place where bytes of somebody else's become a decision of ours, as a function of bytes
//! that panics when a promise is broken.
//!
//! `make fuzz` runs them under libFuzzer; `gateway/tests/it/fuzz.rs` runs the same functions for a
//! moment with every `cargo test`.

pub mod framing;
pub mod jwt;
pub mod path;
pub mod proxied;
pub mod table;
pub mod validate;

use std::path::PathBuf;

/// A folder of its own, for what a target reads from files. It stays: libFuzzer ends by exiting.
fn folder() -> PathBuf {
    let path = std::env::temp_dir().join(format!("fuzz-{}", uuid::Uuid::new_v4().simple()));
    std::fs::create_dir(&path).expect("a new folder");
    path
}
