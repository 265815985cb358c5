//! The gateway as its clients and upstreams meet it: whole, on ports of its own, with an origin
//! that says what a test wants.
//!
//! `trap_NN_…` are the twenty ways in which the proxy library surprises. Two are not here, since
//! what they concern is not offered yet: 5 (`read_timeout` on an HTTP/2 upstream) and 6 (streams
//! per HTTP/2 upstream connection).

#![expect(
    clippy::unwrap_used,
    reason = "a test that can't go on has failed, and says where"
)]

mod actions;
mod bypass;
mod cache;
mod early;
mod faults;
mod forward;
mod framing;
mod fuzz;
mod h2spec;
mod issuers;
mod limits;
mod management;
mod overload;
mod paths;
mod probe;
mod reload;
mod revocation;
mod routing;
mod slow;
mod stage;
mod stop;
mod tls;
mod upgrade;
mod verbs;
