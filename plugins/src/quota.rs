//! Bounds how much somebody may call in an hour, a day or a week.
//!
//! ```yaml
//! quota:
//!   per: key # or ip, user, route, header:NAME; a list counts each combination apart
//!   quota: 10000/1d
//!   scope: cluster # default: local, each gateway for itself
//!   on_outage: allow # required with `cluster`: local, allow or deny while Redis is away
//! ```
//!
//! It goes by the calendar, in UTC: `1d` from midnight to midnight, `1h` from full hour to full
//! hour, `7d` from Monday on. Whatever divides a day does, `6h` say. Who has used the quota up
//! gets a 429 `quota_exceeded`, and `Retry-After` says when it begins anew.
//!
//! In a cluster what is used up stands in Redis and outlives every gateway; changing how much a
//! quota is does not forget it. Each gateway takes a hundredth of it at a time, at most 100 calls,
//! and settles in the background; when it is restarted, what it had taken and not used is lost.
//! For the few where that matters, `exact: true` asks Redis for each call. A local quota begins
//! anew when the gateway is restarted.
//!
//! Keys, waiting for Redis, headers and memory are those of `rate_limit`.

use plugin_sdk::{BuildError, Env, Flow, Later, Period, Request, Stage};
use schemars::JsonSchema;
use serde::Deserialize;

pub use crate::cluster::{OnOutage, Scope};
pub use crate::meter::Rate;
pub use crate::whose::Per;

use crate::cluster::Terms;
use crate::meter::{Meter, Rule};

/// How much, and who.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Whose calls are counted together.
    pub per: Per,
    /// How many in a stretch of the calendar: `10000/1d`.
    pub quota: Rate,
    /// Whether every gateway counts for itself.
    #[serde(default)]
    pub scope: Scope,
    /// What holds while Redis can't be reached. Required with `scope: cluster`.
    #[serde(default)]
    pub on_outage: Option<OnOutage>,
    /// Whether each call asks Redis, in a cluster. Default: no.
    #[serde(default)]
    pub exact: Option<bool>,
    /// How long a call may wait for Redis before `on_outage` holds; at most `5s`. Default: `50ms`.
    #[serde(default)]
    pub wait: Option<Period>,
}

/// The plugin.
pub struct Plugin {
    meter: Meter,
}

impl plugin_sdk::Plugin for Plugin {
    const NAME: &'static str = "quota";
    const STAGE: Stage = Stage::Limit;
    type Config = Config;

    fn build(config: Config, env: &Env) -> Result<Self, BuildError> {
        let rule = Rule::calendar(config.quota)?;
        let terms = Terms::build(config.scope, config.on_outage, config.wait)?;
        if config.scope == Scope::Local && config.exact.is_some() {
            return Err(BuildError::new("exact", "goes with `scope: cluster` alone"));
        }
        let exact = config.exact.unwrap_or(false);
        let meter = Meter::build("quota", config.per, rule, terms, exact, env)?;
        Ok(Self { meter })
    }

    fn stage(&self) -> Stage {
        self.meter.stage()
    }

    fn request(&self, request: &mut Request<'_>) -> Flow {
        self.meter.request(request)
    }

    fn request_wait<'a>(&'a self, request: &'a mut Request<'_>) -> Later<'a> {
        self.meter.request_wait(request)
    }
}

#[cfg(test)]
mod tests;
