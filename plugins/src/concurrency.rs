//! Bounds how many calls somebody may have under way at once.
//!
//! ```yaml
//! concurrency:
//!   per: user # or ip, key, route, header:NAME; a list counts each combination apart
//!   concurrent: 4
//! ```
//!
//! A call is under way from here until the last byte of its answer, or until its client is gone; a
//! WebSocket for as long as it is open. One too many gets a 429 `too_many_at_once` at once: nobody
//! queues. Each gateway counts for itself.
//!
//! The count is an estimate that never is too low (`pingora_limits::Inflight`): it takes 256 KiB
//! whatever the number of keys, and with 4,000 others under way at once it refuses one in fifty
//! wrongly where `concurrent` is 1, and none from 3 on.

use std::num::NonZeroU32;
use std::sync::Arc;

use pingora_limits::inflight::Inflight;
use plugin_sdk::{BuildError, Env, Flow, Reply, Request, Stage};
use schemars::JsonSchema;
use serde::Deserialize;

pub use crate::whose::Per;

use crate::meter::{Said, limit_name, too_many};

/// How many at once, and who.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Whose calls are counted together.
    pub per: Per,
    /// How many may be under way at once, in each gateway.
    pub concurrent: NonZeroU32,
}

/// The plugin.
pub struct Plugin {
    per: Per,
    most: u32,
    under_way: Arc<Inflight>,
    said: Said,
}

impl plugin_sdk::Plugin for Plugin {
    const NAME: &'static str = "concurrency";
    const STAGE: Stage = Stage::Limit;
    type Config = Config;

    fn build(config: Config, env: &Env) -> Result<Self, BuildError> {
        let name = limit_name(env);
        let most = config.concurrent.get();
        let kept = format!("concurrency {} {:?}", env.name(), config.per);
        Ok(Self {
            per: config.per,
            most,
            // What is under way outlives a reload, another number too.
            under_way: env.keep(&kept, Inflight::new),
            said: Said::new(name, &format!("q={most};qu=\"concurrent-requests\""))?,
        })
    }

    fn stage(&self) -> Stage {
        self.per.stage()
    }

    fn request(&self, request: &mut Request<'_>) -> Flow {
        let Some(key) = self.per.key(&request.seen()) else {
            return Flow::Reply(Box::new(Reply::unauthenticated()));
        };
        let (guard, count) = self.under_way.incr(key.bytes(), 1);
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let left = self.most.saturating_sub(count);
        self.said.tell(request.facts, left, None);
        if count > self.most {
            return too_many("too_many_at_once", "Too many requests at once", 1);
        }
        request.facts.hold(guard);
        Flow::Continue
    }
}

#[cfg(test)]
mod tests;
