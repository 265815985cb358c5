use std::num::NonZeroU32;
use std::time::Duration;

use plugin_sdk::{BuildError, Period};
use schemars::JsonSchema;
use serde::Deserialize;

/// The longest that a call may be told to wait for Redis.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(5);

/// How often, and who.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Whose calls are counted together.
    pub per: Per,
    /// How many in how long.
    pub rate: Rate,
    /// How many may come at once. Without it no window holds more than the rate's count.
    #[serde(default)]
    pub burst: Option<NonZeroU32>,
    /// Whether every gateway counts for itself.
    #[serde(default)]
    pub scope: Scope,
    /// What holds while Redis can't be reached. Required with `scope: cluster`.
    #[serde(default)]
    pub on_outage: Option<OnOutage>,
    /// How long a call may wait for Redis before `on_outage` holds; at most `5s`. Default: `50ms`.
    #[serde(default)]
    pub wait: Option<Period>,
}

impl Config {
    /// What holds without Redis, where there is to be one.
    pub(super) fn outage_rule(&self) -> Result<OnOutage, BuildError> {
        let alone = |at| Err(BuildError::new(at, "goes with `scope: cluster` alone"));
        match (self.scope, self.on_outage, self.wait) {
            (Scope::Local, Some(_), _) => alone("on_outage"),
            (Scope::Local, _, Some(_)) => alone("wait"),
            (Scope::Local, None, None) => Ok(OnOutage::Local),
            (Scope::Cluster, _, Some(Period(wait))) if wait.is_zero() || wait > MAX_WAIT => {
                Err(BuildError::new("wait", "is more than `5s`, or none at all"))
            }
            (Scope::Cluster, Some(rule), _) => Ok(rule),
            (Scope::Cluster, None, _) => Err(BuildError::new(
                "on_outage",
                "is missing: nobody has said what holds while Redis is away",
            )
            .hint("add `on_outage: local`, `allow` or `deny`")),
        }
    }
}

/// Whose calls are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// The client's address; of an IPv6 address the first 64 bits.
    Ip,
    /// The caller's subject.
    User,
}

/// Who counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Each gateway for itself.
    #[default]
    Local,
    /// All gateways together, in Redis. Without a Redis, each for itself.
    Cluster,
}

/// What holds while Redis can't be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnOutage {
    /// Each gateway counts for itself.
    Local,
    /// Everything passes.
    Allow,
    /// Nothing passes: 503.
    Deny,
}

/// How many in how long, as `5/1m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String", extend("pattern" = "^[1-9][0-9]*/[0-9]+(ms|s|m|h|d)$"))]
pub struct Rate {
    /// How many.
    pub count: NonZeroU32,
    /// In how long.
    pub window: Period,
}

impl TryFrom<String> for Rate {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parsed = text.split_once('/').and_then(|(count, window)| {
            Some(Self {
                count: count.parse().ok()?,
                window: window.parse().ok()?,
            })
        });
        parsed.ok_or_else(|| {
            format!("`{text}` is no rate: expected a count and a time, such as `5/1m`")
        })
    }
}
