//! `gateway explain`: what becomes of a request, and why. It asks the same [`decide`] as the edge.

mod lost;
mod report;

use std::net::IpAddr;

use anyhow::{Context, ensure};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use plugin_sdk::{Clock, Link, Mode, Stage, SystemClock};

use crate::decide::{self, Asker, Decision, Located, RawHead, Ruling};
use crate::plan::Plan;
use crate::router::{Host, Match};
use crate::table::Caller;

pub use report::{Explanation, RunnerUp, Step, Way};

/// A request to explain, as the command line says it.
#[derive(Debug, Clone)]
pub struct Question {
    /// The method.
    pub method: String,
    /// The URL, `https://edge/v1/transfers`.
    pub url: String,
    /// Headers, `name: value` each.
    pub headers: Vec<String>,
    /// Who is calling; `None` for nobody.
    pub caller: Option<Caller>,
    /// The address that it comes from.
    pub from: Option<IpAddr>,
}

/// Explains what a plan makes of a request.
pub fn explain(plan: &Plan, question: &Question) -> anyhow::Result<Explanation> {
    let method: Method = question.method.parse().context("read the method")?;
    let (authority, target) = split(&question.url)?;
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let headers = headers(&question.headers)?;
    let head = RawHead {
        method: &method,
        authority: Some(authority),
        path,
        query,
        headers: &headers,
    };
    let now = SystemClock::default().unix();
    let asker = Asker::new(question.from, question.caller.as_ref(), now);
    let decision = decide::decide(plan, &head, &asker);
    let winner = decision.located();
    let runners_up = lost::runners_up(plan, &head, decision.route());
    Ok(Explanation {
        method: method.to_string(),
        asked: path.to_owned(),
        host: winner.map(|located| located.host.clone()),
        path: winner.map(|located| located.path.clone()),
        verdict: match winner.is_some_and(|located| located.unjudged) {
            true => format!(
                "{}, if the upstream of `rights` lets it",
                verdict(&decision)
            ),
            false => verdict(&decision),
        },
        way: winner.map(|located| way(plan, located, &head, &asker, runners_up.len())),
        runners_up,
    })
}

/// The authority and the rest of a URL, both as they stand there: a URL library would repair them.
fn split(url: &str) -> anyhow::Result<(&str, &str)> {
    let (scheme, rest) = url
        .split_once("://")
        .context("write the URL as `https://edge/v1/…`")?;
    ensure!(
        scheme == "https" || scheme == "http",
        "`{scheme}` is not HTTP"
    );
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    authority
        .parse::<http::uri::Authority>()
        .context("read the URL's host")?;
    Ok((authority, if target.is_empty() { "/" } else { target }))
}

fn headers(written: &[String]) -> anyhow::Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for line in written {
        let (name, value) = line
            .split_once(':')
            .context("write a header as `name: value`")?;
        let name: HeaderName = name
            .trim()
            .parse()
            .with_context(|| format!("read the header `{name}`"))?;
        headers.append(name, HeaderValue::from_str(value.trim())?);
    }
    Ok(headers)
}

fn verdict(decision: &Decision) -> String {
    match decision {
        Decision::NoRoute(refusal) => {
            let reply = refusal.reply();
            let detail = reply
                .as_problem()
                .and_then(|problem| problem.detail.clone());
            let why = detail
                .map(|detail| format!(": {detail}"))
                .unwrap_or_default();
            format!(
                "refused with {} {}{why}",
                reply.status.as_u16(),
                reply.code()
            )
        }
        Decision::Refused(_, reply) => {
            format!("refused with {} {}", reply.status.as_u16(), reply.code())
        }
        Decision::Preflight(_) => "a preflight: answered at the edge, nothing is forwarded".into(),
        Decision::Answered(_, reply) => {
            let status = reply.status.as_u16();
            let location = reply.headers.get(header::LOCATION);
            match location.and_then(|location| location.to_str().ok()) {
                Some(location) => format!("is redirected to {location} with {status}"),
                None => format!("is answered with {status}"),
            }
        }
        Decision::Forward(located) => located.route.action.to_string(),
    }
}

fn way(
    plan: &Plan,
    located: &Located,
    head: &RawHead<'_>,
    asker: &Asker,
    runners_up: usize,
) -> Way {
    let route = &located.route;
    let facts = located.facts(asker);
    let chosen = decide::upstream(route, facts.principal.as_deref(), asker.client);
    let shadow = |link: &Link| match link.mode {
        Mode::Enforce => "",
        Mode::Shadow => " (shadow: refuses nothing)",
    };
    let judged = |link: &Link| Step {
        stage: format!("{:?}", link.plugin.stage()).to_lowercase(),
        name: link.name.to_string(),
        kind: link.plugin.name().to_owned(),
        verdict: match link.plugin.stage() {
            _ if located.preflight && link.plugin.stage() != Stage::Edge => {
                "skipped: a preflight".into()
            }
            Stage::Edge | Stage::Observe => "runs".into(),
            Stage::Identify if facts.principal.is_some() => "taken as proven".into(),
            Stage::Identify => "nothing to prove".into(),
            Stage::Authorize => {
                match decide::authorize(link, located, head, asker, facts.clone()) {
                    Ruling::Refuses(reply) => {
                        format!("refuses with {} {}", reply.status.as_u16(), reply.code())
                    }
                    Ruling::Unjudged => {
                        "lets through whom the upstream of `rights` does, not asked here".into()
                    }
                    Ruling::Passes => "lets through".into(),
                }
            }
            Stage::Limit => "counts, not asked here".into(),
            Stage::Shape => "runs on the request itself".into(),
        } + shadow(link),
    };
    Way {
        route: route.id.to_string(),
        rule: rule(&route.rule),
        why: match runners_up {
            0 => "the only route whose path fits".into(),
            others => format!("the most specific of {} whose paths fit", others + 1),
        },
        params: located
            .params
            .iter()
            .map(|(name, value)| (name.to_string(), value.clone()))
            .collect(),
        chain: plan
            .flood
            .links()
            .iter()
            .chain(route.chain.links())
            .map(judged)
            .collect(),
        authenticated: route.authenticated,
        action: route.action.to_string(),
        upstream: chosen.map(|upstream| upstream.name.to_string()),
        targets: chosen.map_or_else(Vec::new, |upstream| upstream.targets.clone()),
        forwarded: located.forwarded.clone(),
        mirror: route
            .action
            .forward()
            .and_then(|forward| forward.mirror.as_ref())
            .map(ToString::to_string),
        timeout_ms: u64::try_from(route.timeout.as_millis()).unwrap_or(u64::MAX),
        max_body: route.max_body,
        connect_retries: route.connect_retries,
        cache: route.cache.as_ref().map(|cache| cache.name.to_string()),
        websocket: route.websocket,
        table: plan.version.clone(),
    }
}

fn rule(rule: &Match) -> String {
    let methods: Vec<&str> = rule.methods.iter().map(Method::as_str).collect();
    let host = match &rule.host {
        Host::Any => String::new(),
        host => host.to_string(),
    };
    let asked = match rule.conditions.is_empty() {
        true => String::new(),
        false => format!(" with {}", rule.conditions),
    };
    format!("{} {host}{}{asked}", methods.join("|"), rule.path)
}

#[cfg(test)]
mod tests;
