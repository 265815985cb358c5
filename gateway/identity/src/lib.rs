//! Who is calling, sealed by the gateway and opened by the backends.
//!
//! The gateway writes one header, [`HEADER`], on every request that it forwards. Its value is a
//! [`Statement`] under an HMAC-SHA256 seal:
//!
//! ```text
//! v1.<key id>.<base64url(statement as JSON)>.<base64url(HMAC-SHA256 over all before the last dot)>
//! ```
//!
//! A backend trusts this and nothing else: reaching its port is not enough to be anyone. This is
//! the one crate that both sides use, so what both must read alike stands here too: the form of an
//! [`ApiKey`] and of a [`Network`].

mod api_key;
mod keys;
mod network;
mod seal;
mod statement;

pub use api_key::ApiKey;
pub use keys::{KeyError, KeyRing};
pub use network::Network;
pub use seal::{SealError, open, seal};
pub use statement::{Principal, Statement};

/// The header that carries the sealed statement.
pub const HEADER: &str = "x-identity";

/// What a statement's `route` begins with when the gateway asks for itself, and for no client; what
/// of it asks follows. No route of a table can have such an id: those hold no colon.
pub const GATEWAY_ROUTE: &str = "gateway:";

/// The longest that a statement may be valid, in seconds. A longer one is refused on opening,
/// whoever sealed it.
pub const MAX_TTL_S: i64 = 60;

/// The longest sealed value that is looked at, in bytes: more is refused unread.
pub const MAX_SEALED_BYTES: usize = 8 * 1024;
