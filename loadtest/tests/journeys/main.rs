//! Journeys through the running product, from outside: HTTPS to the edge, mail in the inbox, and
//! nothing that a client or an operator would not have.
//!
//! Each starts a product of its own on free ports, with a database of its own.

mod ban;
mod bystander;
mod client;
mod guard;
mod logout;
mod oauth;
mod observed;
mod outage;
mod passkey;
mod program;
mod raw;
mod reload;
mod stage;
mod story;
