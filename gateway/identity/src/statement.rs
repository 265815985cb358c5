use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Somebody who has proven who they are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Principal {
    /// The subject: a user's or a service's id, unique within the system.
    pub sub: String,
    /// The names of the roles held, as the token said them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// OAuth scopes (RFC 6749 §3.3).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// The session that the proof belongs to; ending the session ends the proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// How strongly it was proven (`acr`, RFC 9470).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
    /// When it was proven, in Unix seconds (`auth_time`, OpenID Connect Core §2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<i64>,
}

/// What the gateway vouches for on one forwarded request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// Who calls; `None` on a public route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<Principal>,
    /// The client's address as the gateway counts it: behind proxies that it trusts, the one that
    /// they tell. `None` where the gateway asks for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<IpAddr>,
    /// The upstream that this is meant for; another one refuses it.
    pub aud: String,
    /// The id of the route that let the request through; or, behind [`crate::GATEWAY_ROUTE`], what
    /// of the gateway asks.
    pub route: String,
    /// The id that the answer, the access record and every log line share.
    pub request_id: String,
    /// When it was sealed, in Unix seconds.
    pub iat: i64,
    /// From when on it is void, in Unix seconds.
    pub exp: i64,
}
