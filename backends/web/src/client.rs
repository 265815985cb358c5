//! Where the client is.

use std::net::IpAddr;

use http::request::Parts;
use identity::Statement;

/// The address of the client whose request this is, as the gateway counts it and has sealed it.
///
/// `None` where the gateway asks for itself, and on a route outside [`crate::guarded`].
pub fn client_address(parts: &Parts) -> Option<IpAddr> {
    parts.extensions.get::<Statement>()?.client
}
