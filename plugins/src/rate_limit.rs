//! Bounds how often somebody may call.
//!
//! ```yaml
//! rate_limit:
//!   per: ip # or user, key, route, header:NAME; a list counts each combination apart
//!   rate: 5/1m
//!   scope: cluster # default: local, each gateway for itself
//!   on_outage: local # required with `cluster`: local, allow or deny while Redis is away
//!   exact: true # each call that may still pass asks Redis
//! ```
//!
//! **Without `burst`** the rate is strict: no minute, wherever it begins, holds more than 5 calls.
//! This is for what must not be tried often. In a cluster it is `exact`: each call that may still
//! pass asks Redis; one that may not is refused from memory.
//!
//! **With `burst`** it is a bucket: `50/1s` with `burst: 100` lets 100 calls through at once and
//! 50 a second after that. This is for what is called a lot. In a cluster each gateway leases a
//! tenth of the bucket at a time and settles in the background: a call waits for Redis only when
//! more than a tenth of the burst came within one answer's time. For a moment each gateway may let
//! a tenth too many through, and the next calls wait for it; over time there is no error.
//!
//! `per: ip` takes an IPv6 address as its /64. `per: key` is the API key, certificate or signing
//! key that was proven with; who came without one is counted as who they are. A header's value is
//! the client's to choose: alone it bounds nobody who means harm.
//!
//! No call waits for Redis longer than `wait`, 50 ms; then `on_outage` says what holds, and while
//! Redis stays away nobody waits at all. Answers carry `RateLimit` and `RateLimit-Policy`
//! (draft-ietf-httpapi-ratelimit-headers), of several limits the one with the least left first;
//! refusals `Retry-After`. Counters outlive a reload that leaves the limit as it is. Each limit
//! remembers 100,000 keys, fewer where that took more than 256 MiB; when there are more at a time,
//! the longest unseen are forgotten first.

use std::num::NonZeroU32;

use plugin_sdk::{BuildError, Env, Flow, Later, Period, Request, Stage};
use schemars::JsonSchema;
use serde::Deserialize;

pub use crate::cluster::{OnOutage, Scope};
pub use crate::meter::Rate;
pub use crate::whose::Per;

use crate::cluster::Terms;
use crate::meter::{Meter, Rule};

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
    /// Whether each call that may pass asks Redis, in a cluster. Default: only without `burst`.
    #[serde(default)]
    pub exact: Option<bool>,
    /// How long a call may wait for Redis before `on_outage` holds; at most `5s`. Default: `50ms`.
    #[serde(default)]
    pub wait: Option<Period>,
}

impl Config {
    fn exact(&self) -> Result<bool, BuildError> {
        match (self.scope, self.exact, self.burst) {
            (Scope::Local, Some(_), _) => {
                Err(BuildError::new("exact", "goes with `scope: cluster` alone"))
            }
            (Scope::Cluster, Some(false), None) => {
                let fault = "can't be left out of a strict rate: its calls can't be leased";
                Err(BuildError::new("exact", fault)
                    .hint("say how many may come at once: `burst: …`"))
            }
            (_, exact, burst) => Ok(exact.unwrap_or(burst.is_none())),
        }
    }
}

/// The plugin.
pub struct Plugin {
    meter: Meter,
}

impl plugin_sdk::Plugin for Plugin {
    const NAME: &'static str = "rate_limit";
    const STAGE: Stage = Stage::Limit;
    type Config = Config;

    fn build(config: Config, env: &Env) -> Result<Self, BuildError> {
        let rule = Rule::rate(config.rate, config.burst)?;
        let terms = Terms::build(config.scope, config.on_outage, config.wait)?;
        let exact = config.exact()?;
        let meter = Meter::build("limit", config.per, rule, terms, exact, env)?;
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
