//! The program as an operator meets it.
#![cfg(all(feature = "users", feature = "transactions"))]

mod mistakes;
mod process;
mod stage;
