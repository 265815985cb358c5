use std::collections::BTreeMap;

use plugin_sdk::{OneOrMany, Period};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Destination, Percent, Priority, Retries, Size, Validation, Wanted};

/// A route: which requests, who may make them, where they go.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Its name in logs, metrics and statements; unique, `wallets.read`.
    #[serde(default)]
    #[schemars(required)]
    pub id: Option<String>,
    /// Which requests it takes.
    #[serde(default, rename = "match")]
    #[schemars(required)]
    pub matches: Option<Match>,
    /// The upstream that they go to; or several by weight, `{ users: 95, users_next: 5 }`. Somebody
    /// who is known stays with one of them, as does an address of somebody who is not. A route has
    /// just one of `to`, `redirect`, `respond` and `answered_by`.
    #[serde(default)]
    pub to: Option<Destination>,
    /// The path that the upstream gets: `/internal/{id}`, or `/store/**` where the route's own path
    /// ends in `/**`. What is judged, logged and cached is the path that was asked for.
    #[serde(default)]
    pub rewrite: Option<String>,
    /// What the upstream does not get of the path: `/api`, which the route's own path begins with.
    #[serde(default)]
    pub strip_prefix: Option<String>,
    /// Who gets copies; their answers are thrown away.
    #[serde(default)]
    pub mirror: Option<Mirror>,
    /// Another address, to which clients are sent once they may.
    #[serde(default)]
    pub redirect: Option<Redirect>,
    /// The answer that everybody gets who may.
    #[serde(default)]
    pub respond: Option<Respond>,
    /// The way under `auth`, or the plugin, that answers them itself: the return from a sign-in
    /// elsewhere, say. In place of `to`.
    #[serde(default)]
    pub answered_by: Option<String>,
    /// Ways to prove who is calling, by name, any of them; or `none`.
    #[serde(default)]
    #[schemars(required)]
    pub auth: Option<OneOrMany>,
    /// Why nobody has to prove anything; required with `auth: none`.
    #[serde(default)]
    pub why_public: Option<String>,
    /// Who may: all of the keys, any of a key's list.
    #[serde(default)]
    pub allow: Option<serde_json::Value>,
    /// Limits, by name.
    #[serde(default)]
    pub limits: Vec<String>,
    /// The operation of an OpenAPI document that requests must fit: `openapi.json#createTransfer`.
    #[serde(default)]
    pub validate: Option<Validation>,
    /// How its answers are kept, by name. Only on public routes.
    #[serde(default)]
    pub cache: Option<String>,
    /// Plugins, by name, after those of `defaults`.
    #[serde(default)]
    pub plugins: Vec<String>,
    /// How long the upstream may be silent, see the one of `defaults`.
    #[serde(default)]
    pub timeout: Option<Period>,
    /// The largest body; at most `64KiB` with `validate`, which reads it first.
    #[serde(default)]
    pub max_body: Option<Size>,
    /// Whether the upstream gets the client's `Authorization`, which is otherwise judged here and
    /// nowhere else: for one that has clients of its own, such as an OAuth token endpoint. Only with
    /// `auth: none`, and without `cache`. Default: no.
    #[serde(default)]
    pub pass_authorization: bool,
    /// Whether `Upgrade: websocket` is let through. Default: no.
    #[serde(default)]
    pub websocket: bool,
    /// When a request is sent again, or `none`.
    #[serde(default)]
    pub retries: Option<Retries>,
    /// When it is refused because there is too much to do, see `overload`. Default: `normal`.
    #[serde(default)]
    pub priority: Priority,
}

/// Copies of a route's requests: of heads, and of bodies up to `64KiB`; longer ones are not copied.
/// They go beside, and never keep a request waiting: beyond 64 at once they are dropped and counted.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mirror {
    /// The upstream that gets them, under a seal of its own. It must not do twice what must be done
    /// once.
    pub to: String,
    /// Of how many requests. Default: `100%`.
    #[serde(default)]
    pub share: Option<Percent>,
}

/// A redirect.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Redirect {
    /// `https://new.example.com/{id}` or `/new/{id}`, with parameters of the route's path; `/**` at
    /// its end where that has one. The client's query is kept where this has none.
    pub to: String,
    /// 301, 302, 303, 307 or 308. Default: 308, with which method and body stay.
    #[serde(default)]
    pub status: Option<u16>,
}

/// An answer.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Respond {
    /// The status, 200 to 599.
    pub status: u16,
    /// The body; at most `64KiB`.
    #[serde(default)]
    pub body: Option<String>,
    /// What the body is. Default: `text/plain; charset=utf-8`.
    #[serde(default)]
    pub content_type: Option<String>,
    /// Headers besides.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

/// Which requests a route takes. The most specific match wins, in this order: the host (by name
/// before the longest `*.name` before any), the path (segment by segment, a literal before `{param}`
/// before `/**`), then the number of conditions on headers and query, then how many of them name a
/// value. A method that the most specific path does not take is a 405, a request that meets none of
/// its conditions a 404: neither falls through to a wider path. What a condition asks to have one
/// value must come once: a request that says it twice, and once as asked, is a 400.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// The methods. `GET` takes `HEAD` too.
    pub method: OneOrMany,
    /// The host, without a port; `*.example.com` is every host below that name. Default: any.
    #[serde(default)]
    pub host: Option<String>,
    /// The path: `/v1/me`, `/v1/wallets/{wallet_id}` or `/files/**`.
    pub path: String,
    /// Headers that it must have: `{ x-beta: "1" }`. Clients choose them: they are no guard.
    #[serde(default)]
    pub headers: BTreeMap<String, Wanted>,
    /// Parameters that its query must have: `{ v: "2" }`. Clients choose them: they are no guard.
    #[serde(default)]
    pub query: BTreeMap<String, Wanted>,
}
