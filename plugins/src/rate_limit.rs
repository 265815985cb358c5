//! Bounds how often somebody may call.
//!
//! ```yaml
//! rate_limit:
//!   per: ip # or user; an IPv6 address counts as its /64
//!   rate: 5/1m
//!   scope: cluster # default: local, each gateway for itself
//!   on_outage: local # required with `cluster`: local, allow or deny while Redis is away
//! ```

use std::num::NonZeroU32;

use plugin_sdk::{BuildError, Env, Period, Stage};
use schemars::JsonSchema;
use serde::Deserialize;

/// How often, and who.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Whose calls are counted together.
    pub per: Per,
    /// How many in how long.
    pub rate: Rate,
    /// How many may come at once.
    #[serde(default)]
    pub burst: Option<NonZeroU32>,
    /// Whether every gateway counts for itself.
    #[serde(default)]
    pub scope: Scope,
    /// What holds while Redis can't be reached. Required with `scope: cluster`.
    #[serde(default)]
    pub on_outage: Option<OnOutage>,
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
    /// All gateways together, in Redis.
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
            let window: Period = window.parse().ok()?;
            let rate = Self { count: count.parse().ok()?, window };
            (!window.0.is_zero()).then_some(rate)
        });
        parsed.ok_or_else(|| format!("`{text}` is no rate: expected a count and a time, such as `5/1m`"))
    }
}

/// The plugin.
pub struct Plugin;

impl plugin_sdk::Plugin for Plugin {
    const NAME: &'static str = "rate_limit";
    const STAGE: Stage = Stage::Limit;
    type Config = Config;

    fn build(_config: Config, _env: &Env) -> Result<Self, BuildError> {
        Ok(Self)
    }
}
