//! The guard and what handlers speak, over real connections.

mod guard;
mod speech;
mod stage;
