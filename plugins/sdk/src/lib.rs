//! What a gateway plugin is, sees and answers.
//!
//! A plugin is one file: a [`Plugin`] with its typed configuration. It sees a [`Request`] of plain
//! `http` types, never the proxy's session, so that it is tested without sockets ([`testing`]) and
//! runs on any transport.
//!
//! Hooks are synchronous first: a hook answers from memory, or says [`Flow::Wait`] and is then
//! awaited. A route's plugins are compiled once, when the table is loaded, into a [`Chain`] that is
//! ordered by [`Stage`]: never by a number, never by the order in the file.

mod address;
mod chain;
mod env;
mod json;
mod kind;
mod one_or_many;
mod period;
mod plugin;
mod reference;
mod reply;
mod request;
mod rights;
pub mod testing;

pub use address::is_off_limits;
pub use chain::{Chain, Link, Mode};
pub use env::{
    Clock, Env, Fetch, FetchError, Fetched, Lent, Meter, Sent, SystemClock, Tasks, Upstreams,
};
pub use identity::{Network, Principal};
pub use json::parse_json;
pub use kind::{BuildError, Kind, Registry};
pub use one_or_many::OneOrMany;
pub use period::{Period, PeriodError};
pub use plugin::{Answering, AnyPlugin, Flow, Later, Outcome, Plugin, Stage, Takes};
pub use reference::{Reference, ReferenceError};
pub use reply::{Problem, Reply};
pub use request::{
    Body, BodyError, Connection, Facts, Form, Head, Params, Proof, Request, ResponseHead, Seen,
};
pub use rights::{Rights, Snapshot};
