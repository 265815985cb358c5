//! The gateway itself, when it asks something of its own.

use axum::extract::FromRequestParts;
use http::request::Parts;
use identity::Statement;

use crate::Problem;

/// The gateway asks for itself, and for nobody: to resolve a key, to learn what was revoked. A
/// handler that takes one is out of every client's reach, whoever they are: they are answered 403.
///
/// The seal says so: the gateway names what of it asks where else the route's id stands
/// ([`identity::GATEWAY_ROUTE`]), and no route of a table can be called that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// What of it asks, after the prefix: a plugin's name, say.
    pub part: String,
}

impl<S: Sync> FromRequestParts<S> for Gateway {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let statement = parts.extensions.get::<Statement>();
        let asked = statement.filter(|statement| statement.who.is_none());
        let part = asked.and_then(|asked| asked.route.strip_prefix(identity::GATEWAY_ROUTE));
        let part = part.filter(|part| !part.is_empty());
        part.map(|part| Self {
            part: part.to_owned(),
        })
        .ok_or_else(Problem::forbidden)
    }
}
