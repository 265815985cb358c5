use std::collections::BTreeMap;

use plugin_sdk::Period;
use schemars::JsonSchema;
use serde::Deserialize;

/// A request and what must become of it. Run at every check and before every reload.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The method and the path: `GET /v1/wallets/7`.
    pub request: String,
    /// The host asked for. Default: `edge.test`.
    #[serde(default)]
    pub host: Option<String>,
    /// Headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Who is calling. Default: nobody.
    #[serde(default, rename = "as")]
    pub caller: Option<Caller>,
    /// The address that it comes from. Default: `0.0.0.0`, which no block but all of them holds.
    #[serde(default)]
    pub from: Option<std::net::IpAddr>,
    /// What must become of it.
    pub expect: Expect,
}

/// Somebody who has proven who they are.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Caller {
    /// The subject. Default: `test`.
    pub sub: Option<String>,
    /// The roles held.
    pub roles: Vec<String>,
    /// The permissions that the roles grant. Default: none. What an API's rules say can't be known
    /// here: a demand for its `acl` counts as met.
    pub permissions: Option<Vec<String>>,
    /// The scopes granted.
    pub scopes: Vec<String>,
    /// How long ago a second factor was used. Default: never.
    pub second_factor: Option<Period>,
    /// What else the issuer says of the caller.
    pub claims: serde_json::Map<String, serde_json::Value>,
}

/// What must become of a request: it reaches a route, or it is refused with a status.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// The route that forwards it. With `status`: the route that refuses it.
    #[serde(default)]
    pub route: Option<String>,
    /// The status that it is refused with, or that its route answers with by itself; what an
    /// upstream would say can't be known here.
    #[serde(default)]
    pub status: Option<u16>,
    /// The upstream that gets it.
    #[serde(default)]
    pub upstream: Option<String>,
    /// The path that the upstream gets, once it is rewritten.
    #[serde(default)]
    pub path: Option<String>,
    /// Where the client is sent, with a redirect.
    #[serde(default)]
    pub location: Option<String>,
}
