//! What one app tells the others: types and topics, no I/O.
//!
//! An app publishes by writing to its outbox in the transaction that makes the change
//! (`pg::outbox::publish`); another app consumes by naming the topic. Neither names the other:
//! both name this crate.
//!
//! A topic is `app.what_happened`. A type may gain optional fields; anything else is a new topic,
//! because old and new processes run side by side during a release.

mod envelope;
mod users;

pub use envelope::{Envelope, Event, OpenError};
pub use users::{
    AddressKnown, AuditHead, Channel, CodeIssued, Notice, Purpose, SecurityNotice, StandingChanged,
    UserErased, UserVerified,
};
