//! The gateway as its clients and upstreams meet it: whole, on ports of its own, with an origin
//! that says what a test wants.
//!
//! `trap_NN_…` are the twenty ways in which the proxy library surprises.

#![expect(
    clippy::unwrap_used,
    reason = "a test that can't go on has failed, and says where"
)]

mod abuse;
mod actions;
mod bypass;
mod cache;
mod early;
mod encrypted;
mod faults;
mod forward;
mod framing;
mod fuzz;
mod h2spec;
mod issuers;
mod limits;
mod management;
mod names;
mod oidc;
mod overload;
mod paths;
mod probe;
mod proxied;
mod reload;
mod revocation;
mod rights;
mod routing;
mod shadow;
mod shake;
mod slow;
mod stage;
mod stop;
mod tls;
mod upgrade;
mod verbs;
