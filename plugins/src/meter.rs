//! Counts calls by key, for every kind of limit that is about a number in a time: here alone, or
//! together with the other gateways.

use std::sync::Arc;
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use plugin_sdk::{BuildError, Clock, Env, Facts, Flow, Later, Reply, Request, Stage};

mod leases;
mod local;
mod rule;
mod said;

pub use rule::Rate;
pub(crate) use rule::{Rule, Verdict};
pub(crate) use said::Said;

use crate::cluster::{OnOutage, Terms};
use crate::whose::Per;
use leases::{Answer, Leases};
use local::Counters;

/// Counts calls by key, and says how it stands in the answer's headers.
pub(crate) struct Meter {
    per: Per,
    env: Env,
    rule: Rule,
    on_outage: OnOutage,
    local: Arc<Counters>,
    cluster: Option<Arc<Leases>>,
    clock: Arc<dyn Clock>,
    said: Said,
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
}

impl Meter {
    /// The counts of a limit. Those of an earlier load of the table are found again where the
    /// limit has stayed as it was.
    ///
    /// `exact`: in a cluster each call that may pass asks Redis.
    pub(crate) fn build(
        kind: &'static str,
        per: Per,
        rule: Rule,
        terms: Terms,
        exact: bool,
        env: &Env,
    ) -> Result<Self, BuildError> {
        let name = limit_name(env);
        let said = Said::new(name, &format!("q={};w={}", rule.quota(), rule.quota_s()))?;
        let kept = format!("{kind} {} {per:?} {rule:?}", env.name());
        let local = env.keep(&kept, || Counters::new(rule));
        let cluster = terms.line(env)?.map(|line| {
            let clock = Arc::clone(&env.clock);
            let prefix = rule.prefix(kind, said.name());
            let kept = format!(
                "{kept} of the cluster {exact} {:?} {:?}",
                terms.wait, env.redis
            );
            env.keep(&kept, || Leases::new(rule, exact, prefix, line, clock))
        });
        Ok(Self {
            per,
            env: env.clone(),
            rule,
            on_outage: terms.on_outage,
            local,
            cluster,
            clock: Arc::clone(&env.clock),
            said,
        })
    }

    /// Where it stands: whose calls are counted must be known there.
    pub(crate) fn stage(&self) -> Stage {
        self.per.stage()
    }

    /// Judges a call by what is known here.
    pub(crate) fn request(&self, request: &mut Request<'_>) -> Flow {
        let Some(key) = self.per.key(&request.seen()) else {
            return Flow::Reply(Box::new(Reply::unauthenticated()));
        };
        let judged = self.judge(key.bytes(), &self.env);
        self.answer(judged, request.facts)
    }

    /// The same, asking Redis, after [`Flow::Wait`].
    pub(crate) fn request_wait<'a>(&'a self, request: &'a mut Request<'_>) -> Later<'a> {
        Box::pin(async move {
            let Some(key) = self.per.key(&request.seen()) else {
                return Flow::Reply(Box::new(Reply::unauthenticated()));
            };
            let judged = self.ask(key.bytes()).await;
            self.answer(judged, request.facts)
        })
    }

    fn judge(&self, key: &[u8], env: &Env) -> Judged {
        let now = self.now_us();
        let Some(cluster) = &self.cluster else {
            return Judged::Counted(self.local.hit(key, now));
        };
        match cluster.take(key, now, env) {
            Answer::Verdict(verdict) => self.counted(key, verdict, now),
            Answer::Away => self.without_redis(key, now),
            Answer::Ask => Judged::Ask,
        }
    }

    async fn ask(&self, key: &[u8]) -> Judged {
        let verdict = match &self.cluster {
            Some(cluster) => cluster.ask(key, || self.now_us()).await,
            None => None,
        };
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
        };
        let seconds = seconds(verdict.wait);
        self.said.tell(facts, verdict.left, Some(seconds));
        if verdict.admitted {
            return Flow::Continue;
        }
        let title = match self.rule {
            Rule::Calendar { .. } => "The quota is used up",
            _ => "Too many requests",
        };
        let code = match self.rule {
            Rule::Calendar { .. } => "quota_exceeded",
            _ => "rate_limited",
        };
        too_many(code, title, seconds)
    }

    fn now_us(&self) -> u64 {
        now_us(self.rule, &*self.clock)
    }
}

/// The time that a rule goes by, in microseconds: a quota's is the calendar's.
fn now_us(rule: Rule, clock: &dyn Clock) -> u64 {
    let past = match rule {
        Rule::Calendar { .. } => clock.now().duration_since(std::time::UNIX_EPOCH),
        _ => Ok(clock.monotonic()),
    };
    past.map_or(0, |past| {
        u64::try_from(past.as_micros()).unwrap_or(u64::MAX)
    })
}

/// What the route table calls a limit: what follows `limits.`, dots included. Two limits that end
/// alike must not share their keys in Redis.
pub(crate) fn limit_name(env: &Env) -> &str {
    let name = env.name();
    name.split_once('.').map_or(name, |(_, name)| name)
}

/// 429, and when to come again.
pub(crate) fn too_many(code: &'static str, title: &'static str, seconds: u64) -> Flow {
    let reply = Reply::problem(StatusCode::TOO_MANY_REQUESTS, code, title);
    Flow::Reply(Box::new(reply.header(RETRY_AFTER, seconds.max(1).into())))
}

/// 503: Redis is away, and the table says that then nobody passes.
pub(crate) fn uncounted() -> Flow {
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
pub(crate) fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}
