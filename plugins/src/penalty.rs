//! Lets those wait who keep failing: wrong passwords, wrong codes.
//!
//! ```yaml
//! penalty:
//!   per: ip # or a list that `ip` is in: [ip, route]
//!   failures: 5/15m
//!   penalty: { from: 30s, to: 1h }
//!   scope: cluster # default: local, each gateway for itself
//!   on_outage: local # required with `cluster`: local, allow or deny while Redis is away
//! ```
//!
//! An answer of 401 or 403 (or what `statuses` says) on a route that names it is a failure, whoever
//! gives it. After the fifth within 15 minutes nothing of the route is to be had for 30 s: 429
//! `too_many_failures`. From then on each further failure doubles the wait, up to an hour, until
//! 15 minutes have passed without one. What is under way counts as a failure until it is answered:
//! guesses that are sent all at once are no more than guesses one after the other.
//!
//! An answer of 2xx clears the failures, at most once in the 15 minutes: with an account of their
//! own somebody could otherwise guess at another's for ever. It is always counted by address, never
//! by what is guessed at: else whoever fails on purpose would lock the owner out.
//!
//! In a cluster failures are told to Redis in the background, and what others know comes back the
//! same way: until then each gateway goes by its own, so that at most one try for each gateway goes
//! through when a wait has begun elsewhere. No call waits for Redis. Each penalty remembers 100,000
//! keys.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use plugin_sdk::{BuildError, Clock, Env, Flow, Period, Reply, Request, ResponseHead, Seen, Stage};
use schemars::JsonSchema;
use serde::Deserialize;

mod record;
mod records;

pub use crate::cluster::{OnOutage, Scope};
pub use crate::meter::Rate;
pub use crate::whose::Per;

use crate::cluster::{Line, Terms};
use crate::meter::{limit_name, seconds, too_many, uncounted};
use record::Rule;
use records::{Entry, Records, Trying};

/// Redis is away when it has not answered by then. No call waits for it.
const PATIENCE: Duration = Duration::from_secs(1);

/// How many failures, and what follows.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Whose failures are counted together; `ip` must be a part of it.
    pub per: Per,
    /// How many failures in how long are let pass; at most 100.
    pub failures: Rate,
    /// How long nothing is to be had after that.
    pub penalty: Wait,
    /// Which answers are failures, 400 to 499. Default: 401 and 403.
    #[serde(default)]
    pub statuses: Option<Vec<u16>>,
    /// Whether every gateway counts for itself.
    #[serde(default)]
    pub scope: Scope,
    /// What holds while Redis can't be reached. Required with `scope: cluster`.
    #[serde(default)]
    pub on_outage: Option<OnOutage>,
}

/// From how long to how long: each further failure doubles it.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// The first time.
    pub from: Period,
    /// At most; no longer than `1d`.
    pub to: Period,
}

/// The plugin.
pub struct Plugin {
    per: Per,
    statuses: Vec<StatusCode>,
    on_outage: OnOutage,
    records: Arc<Records>,
    line: Option<Arc<Line>>,
    clock: Arc<dyn Clock>,
    env: Env,
}

impl plugin_sdk::Plugin for Plugin {
    const NAME: &'static str = "penalty";
    const STAGE: Stage = Stage::Edge;
    type Config = Config;

    fn build(config: Config, env: &Env) -> Result<Self, BuildError> {
        if !config.per.has_ip() {
            let fault = "leaves the address out: whoever fails on purpose would lock others out";
            return Err(
                BuildError::new("per", fault).hint("write `per: ip`, or put `ip` into the list")
            );
        }
        let rule = Rule::build(&config)?;
        let terms = Terms {
            wait: PATIENCE,
            ..Terms::build(config.scope, config.on_outage, None)?
        };
        let name = limit_name(env);
        let kept = format!("penalty {} {:?} {rule:?}", env.name(), config.per);
        let prefix = format!("vorota:penalty:{name}:");
        Ok(Self {
            statuses: statuses(config.statuses)?,
            on_outage: terms.on_outage,
            records: env.keep(&kept, || Records::new(rule, prefix)),
            line: terms.line(env)?,
            clock: Arc::clone(&env.clock),
            per: config.per,
            env: env.clone(),
        })
    }

    fn stage(&self) -> Stage {
        self.per.stage()
    }

    fn request(&self, request: &mut Request<'_>) -> Flow {
        let Some(key) = self.per.key(&request.seen()) else {
            return Flow::Reply(Box::new(Reply::unauthenticated()));
        };
        let away = self.line.as_ref().is_some_and(|line| line.is_away());
        match self.on_outage {
            OnOutage::Deny if away => return uncounted(),
            OnOutage::Allow if away => return Flow::Continue,
            _ => {}
        }
        let entry = self.records.entry(key.bytes());
        match entry.begin(self.records.rule(), self.now_us()) {
            Ok(()) => {
                request.facts.hold(Trying::new(&entry));
                self.tell(key.bytes(), entry, "look");
                Flow::Continue
            }
            Err(wait) => too_many("too_many_failures", "Too many failed tries", seconds(wait)),
        }
    }

    fn response(&self, seen: &Seen<'_>, head: &mut ResponseHead) {
        let failed = self.statuses.contains(&head.status);
        if !failed && !head.status.is_success() {
            return;
        }
        let Some(key) = self.per.key(seen) else {
            return;
        };
        let entry = self.records.entry(key.bytes());
        let (rule, now) = (self.records.rule(), self.now_us());
        if failed {
            if entry.fail(rule, now) {
                self.env.count("penalty");
            }
            self.tell(key.bytes(), entry, "fail");
        } else if entry.succeed(rule, now) {
            self.tell(key.bytes(), entry, "succeed");
        }
    }
}

impl Plugin {
    /// Tells the cluster, and learns what it knows, in the background.
    fn tell(&self, key: &[u8], entry: Arc<Entry>, what: &'static str) {
        let Some(line) = &self.line else { return };
        if line.is_away() || (what == "look" && !entry.wants_to_know(self.now_us())) {
            return;
        }
        let (records, line) = (Arc::clone(&self.records), Arc::clone(line));
        let (clock, key) = (Arc::clone(&self.clock), key.to_vec());
        self.env.spawn(async move {
            records.exchange(&line, &key, &entry, what, &*clock).await;
        });
    }

    fn now_us(&self) -> u64 {
        records::now_us(&*self.clock)
    }
}

fn statuses(written: Option<Vec<u16>>) -> Result<Vec<StatusCode>, BuildError> {
    let written = written.unwrap_or_else(|| vec![401, 403]);
    if written.is_empty() {
        return Err(BuildError::new(
            "statuses",
            "names none: nothing would be a failure",
        ));
    }
    let known = written.iter().enumerate().map(|(index, status)| {
        match (status, StatusCode::from_u16(*status)) {
            // What we refuse ourselves would be the next failure.
            (400..=428 | 430..=499, Ok(status)) => Ok(status),
            _ => {
                let fault = format!("{status} is not a client's failure");
                Err(BuildError::new(&format!("statuses.{index}"), fault)
                    .hint("400 to 499, and not 429, which is our own answer"))
            }
        }
    });
    known.collect()
}

#[cfg(test)]
mod tests;
