//! Bounds how often somebody may call.
//!
//! ```yaml
//! rate_limit:
//!   per: ip # or user; an IPv6 address counts as its /64
//!   rate: 5/1m
//!   scope: cluster # default: local, each gateway for itself
//!   on_outage: local # required with `cluster`: local, allow or deny while Redis is away
//! ```
//!
//! **Without `burst`** the rate is strict: no minute, wherever it begins, holds more than 5 calls.
//! This is for what must not be tried often. In a cluster each call that may still pass asks
//! Redis; one that may not is refused from memory.
//!
//! **With `burst`** it is a bucket: `50/1s` with `burst: 100` lets 100 calls through at once and
//! 50 a second after that. This is for what is called a lot. In a cluster each gateway leases a
//! tenth of the bucket at a time and fetches more in the background, so that of a busy key's calls
//! only the first waits for Redis.
//!
//! No call waits for Redis longer than `wait`, 50 ms; then `on_outage` says what holds. Answers
//! carry `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers), refusals
//! `Retry-After`. Counters outlive a reload that leaves the limit as it is. Each limit remembers
//! 100,000 keys; when there are more at a time, the longest unseen are forgotten first.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderName, HeaderValue, StatusCode};
use plugin_sdk::{BuildError, Clock, Env, Facts, Flow, Later, Period, Reply, Request, Seen, Stage};

mod cluster;
mod config;
mod local;
mod rule;

pub use config::{Config, OnOutage, Per, Rate, Scope};

use cluster::{Answer, Cluster};
use local::Counters;
use rule::{Rule, Verdict};

const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Keys that a limit remembers, in each gateway.
const KEYS: u64 = 100_000;

/// The longest that a call waits for Redis, where the table says nothing.
const WAIT: Duration = Duration::from_millis(50);

/// The plugin.
pub struct Plugin {
    per: Per,
    on_outage: OnOutage,
    local: Arc<Counters>,
    cluster: Option<Arc<Cluster>>,
    clock: Arc<dyn Clock>,
    env: Env,
    /// What the limit is called in headers.
    name: String,
    policy: HeaderValue,
}

impl plugin_sdk::Plugin for Plugin {
    const NAME: &'static str = "rate_limit";
    const STAGE: Stage = Stage::Limit;
    type Config = Config;

    fn build(config: Config, env: &Env) -> Result<Self, BuildError> {
        let rule = Rule::build(&config)?;
        let on_outage = config.outage_rule()?;
        let name = env.name().rsplit('.').next().unwrap_or_default();
        let name = quotable(name);
        let policy = format!("\"{name}\";q={};w={}", rule.quota(), rule.quota_s());
        // Under this name the counters are found again after a reload.
        let kept = format!("{} {:?} {rule:?}", env.name(), config.per);
        let local = env.keep(&format!("rate_limit {kept}"), || Counters::new(rule));
        let cluster = match (config.scope, &env.redis) {
            (Scope::Cluster, Some(redis)) => {
                let wait = config.wait.map_or(WAIT, |Period(wait)| wait);
                Some(Cluster::kept(&kept, &name, rule, wait, redis, env)?)
            }
            _ => None,
        };
        Ok(Self {
            per: config.per,
            on_outage,
            local,
            cluster,
            clock: Arc::clone(&env.clock),
            env: env.clone(),
            policy: HeaderValue::try_from(policy)
                .map_err(|_| BuildError::new("", "the limit's name does not fit in a header"))?,
            name,
        })
    }

    fn stage(&self) -> Stage {
        match self.per {
            // Before anything is known of the caller, so that a flood of passwords costs nothing.
            Per::Ip => Stage::Edge,
            Per::User => Stage::Limit,
        }
    }

    fn request(&self, request: &mut Request<'_>) -> Flow {
        let judged = self.judge(request.seen());
        self.answer(judged, request.facts)
    }

    fn request_wait<'a>(&'a self, request: &'a mut Request<'_>) -> Later<'a> {
        Box::pin(async move {
            let judged = self.ask(request.seen()).await;
            self.answer(judged, request.facts)
        })
    }
}

/// What is known of a call.
enum Judged {
    Counted(Verdict),
    /// Redis is away, and the table says what holds.
    Uncounted {
        passes: bool,
    },
    /// Only Redis knows.
    Ask,
    /// Counted by user, and nobody is known.
    Nobody,
}

impl Plugin {
    fn judge(&self, seen: Seen<'_>) -> Judged {
        let mut address = [0; 16];
        let Some(key) = key(self.per, seen, &mut address) else {
            return Judged::Nobody;
        };
        let now = self.now_us();
        let Some(cluster) = &self.cluster else {
            return Judged::Counted(self.local.hit(key, now));
        };
        match cluster.take(key, now, &self.env) {
            Answer::Verdict(verdict) => self.counted(key, verdict, now),
            Answer::Away => self.without_redis(key, now),
            Answer::Ask => Judged::Ask,
        }
    }

    async fn ask(&self, seen: Seen<'_>) -> Judged {
        let mut address = [0; 16];
        let (Some(key), Some(cluster)) = (key(self.per, seen, &mut address), &self.cluster) else {
            return Judged::Nobody;
        };
        let verdict = cluster.ask(key).await;
        let now = self.now_us();
        match verdict {
            Some(verdict) => self.counted(key, verdict, now),
            None => self.without_redis(key, now),
        }
    }

    /// Counts here too what the cluster let pass, so that an outage doesn't begin with a new
    /// count.
    fn counted(&self, key: &[u8], verdict: Verdict, now: u64) -> Judged {
        if verdict.admitted && self.on_outage == OnOutage::Local {
            self.local.hit(key, now);
        }
        Judged::Counted(verdict)
    }

    fn without_redis(&self, key: &[u8], now: u64) -> Judged {
        match self.on_outage {
            OnOutage::Local => Judged::Counted(self.local.hit(key, now)),
            OnOutage::Allow => Judged::Uncounted { passes: true },
            OnOutage::Deny => Judged::Uncounted { passes: false },
        }
    }

    fn answer(&self, judged: Judged, facts: &mut Facts) -> Flow {
        let verdict = match judged {
            Judged::Counted(verdict) => verdict,
            Judged::Uncounted { passes: true } => return Flow::Continue,
            Judged::Uncounted { passes: false } => return uncounted(),
            Judged::Ask => return Flow::Wait,
            Judged::Nobody => return Flow::Reply(Box::new(Reply::unauthenticated())),
        };
        let seconds = seconds(verdict.wait);
        // The one allocation of an admitted call: what is left changes with each.
        let state = format!("\"{}\";r={};t={seconds}", self.name, verdict.left);
        if let Ok(state) = HeaderValue::try_from(state) {
            facts.answer_headers.push((RATELIMIT, state));
        }
        facts
            .answer_headers
            .push((RATELIMIT_POLICY, self.policy.clone()));
        if verdict.admitted {
            return Flow::Continue;
        }
        let reply = Reply::problem(
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limited",
            "Too many requests",
        );
        Flow::Reply(Box::new(reply.header(RETRY_AFTER, seconds.max(1).into())))
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.clock.monotonic().as_micros()).unwrap_or(u64::MAX)
    }
}

fn uncounted() -> Flow {
    let reply = Reply::problem(
        StatusCode::SERVICE_UNAVAILABLE,
        "overloaded",
        "Calls can't be counted at the moment",
    );
    Flow::Reply(Box::new(
        reply.header(RETRY_AFTER, HeaderValue::from_static("1")),
    ))
}

/// Whole seconds, rounded up: who waits that long has waited long enough.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

/// What the call is counted under; `None` when nobody is known and it should be a user.
fn key<'a>(per: Per, seen: Seen<'a>, address: &'a mut [u8; 16]) -> Option<&'a [u8]> {
    match per {
        Per::User => Some(seen.facts.principal.as_ref()?.sub.as_bytes()),
        Per::Ip => {
            *address = match seen.head.client.to_canonical() {
                IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
                IpAddr::V6(address) => {
                    // One customer has at least a /64, and could come from each of its addresses.
                    let mut octets = address.octets();
                    octets[8..].fill(0);
                    octets
                }
            };
            Some(&address[..])
        }
    }
}

/// The name as a structured field's string can hold it (RFC 9651 §3.3.3).
fn quotable(name: &str) -> String {
    let fits = |c: char| c.is_ascii_graphic() && c != '"' && c != '\\';
    name.chars()
        .map(|c| if fits(c) { c } else { '-' })
        .collect()
}

#[cfg(test)]
mod tests;
