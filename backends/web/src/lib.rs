//! What every handler speaks: how it is guarded, who calls and from where, what comes in, how lists are paged and
//! how all of it fails.

mod caller;
mod client;
mod document;
mod form;
mod gateway;
mod guard;
mod idempotency;
mod input;
pub mod page;
pub mod precondition;
mod problem;
mod request;

pub use caller::{Caller, SignedIn};
pub use client::client_address;
pub use document::document;
pub use form::Form;
pub use gateway::Gateway;
pub use guard::guarded;
pub use idempotency::{Fingerprint, IdempotencyKey};
pub use input::{Input, MAX_BODY_BYTES, given};
pub use precondition::Precondition;
pub use problem::{MEDIA_TYPE, Problem};
pub use request::request_id;
