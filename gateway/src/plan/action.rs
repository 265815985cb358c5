mod local;

use std::cmp::Reverse;
use std::sync::Arc;

use super::routes::Names;
use super::source::Source;
use super::{Action, Upstream};
use crate::action::{Forward, Mirror, Rewrite, RewriteError, Share};
use crate::router::Match;
use crate::table::read::Part;
use crate::table::{self, Destination, Percent};

/// The most that a weight may be.
const MAX_WEIGHT: u32 = 10_000;
/// What says what becomes of a request: a route has just one of these keys.
const KINDS: [&str; 4] = ["to", "redirect", "respond", "answered_by"];
/// What has a meaning only on the way to an upstream.
const FORWARDING: [&str; 6] = [
    "rewrite",
    "strip_prefix",
    "mirror",
    "cache",
    "websocket",
    "retries",
];

/// Compiles what becomes of requests that may.
pub(super) fn compile(
    source: &mut Source<'_>,
    part: &Part<'_>,
    written: &table::Route,
    rule: Option<&Match>,
    names: &Names,
) -> Option<Action> {
    let json = part.json();
    let said = |key: &&str| json.get(*key).is_some_and(|value| !value.is_null());
    let kinds: Vec<&str> = KINDS.into_iter().filter(|kind| said(kind)).collect();
    match kinds[..] {
        [] => {
            let finding = part.error("to.missing", &[], "goes nowhere");
            let hint = "add `to:` and an upstream's name, `redirect:` or `respond:`";
            source.findings.push(finding.hint(hint));
            return None;
        }
        [one, other, ..] => {
            let message = format!("says two things about its requests: `{one}` and `{other}`");
            let finding = part.error("to.twice", &[other], message);
            source
                .findings
                .push(finding.hint(format!("one of {} stands alone", KINDS.join(", "))));
            return None;
        }
        [_] => {}
    }
    if kinds != ["to"] {
        for key in FORWARDING.into_iter().filter(said) {
            let message = format!("has `{key}`, and goes to no upstream");
            let finding = part.error("idle", &[key], message);
            source.findings.push(finding.hint("leave the key out"));
        }
    }
    if let Some(to) = &written.to {
        return forward(source, part, written, to, rule, names).map(Action::Forward);
    }
    if let Some(redirect) = &written.redirect {
        return local::redirect(source, part, redirect, rule?).map(Action::Redirect);
    }
    if let Some(respond) = &written.respond {
        return local::respond(source, part, respond).map(Action::Respond);
    }
    let by = written.answered_by.as_ref()?;
    super::route::answered_by(source, part, written, by, names).map(Action::Answer)
}

fn forward(
    source: &mut Source<'_>,
    part: &Part<'_>,
    written: &table::Route,
    to: &Destination,
    rule: Option<&Match>,
    names: &Names,
) -> Option<Forward> {
    let shares = shares(source, part, to, names);
    if shares.as_ref().is_some_and(|shares| shares.len() > 1) && written.cache.is_some() {
        let message = "keeps the answers of several upstreams as if they were one's";
        let finding = part.error("cache.shares", &["cache"], message);
        let hint = "leave `cache` out, or tell the versions apart by a header, in two routes";
        source.findings.push(finding.hint(hint));
    }
    let h2 = |share: &&Share| written.websocket && share.upstream.h2;
    if let Some(share) = shares.iter().flatten().find(h2) {
        let name = &share.upstream.name;
        let message = format!("lets WebSockets through to `{name}`, which is spoken to in HTTP/2");
        let finding = part.error("websocket", &["websocket"], message);
        let hint = "they need an upstream in HTTP/1.1: leave its `http` out";
        source.findings.push(finding.hint(hint));
    }
    let rewrite = rule.and_then(|rule| rewrite(source, part, written, rule));
    let mirror = written
        .mirror
        .as_ref()
        .map(|mirror| self::mirror(source, part, written, mirror, names));
    Some(Forward {
        shares: shares?,
        rewrite: rewrite?,
        mirror: match mirror {
            Some(mirror) => Some(mirror?),
            None => None,
        },
    })
}

fn upstream(
    source: &mut Source<'_>,
    part: &Part<'_>,
    name: &str,
    at: &[&str],
    names: &Names,
) -> Option<Arc<Upstream>> {
    let known = source.resolve("upstreams", name, part, at);
    // What has its name and is not there was refused where it stands.
    known.then(|| names.upstreams.get(name).cloned())?
}

fn shares(
    source: &mut Source<'_>,
    part: &Part<'_>,
    to: &Destination,
    names: &Names,
) -> Option<Vec<Share>> {
    let weights = match to {
        Destination::One(name) => {
            let upstream = upstream(source, part, name, &["to"], names)?;
            return Some(vec![Share {
                upstream,
                weight: 1,
            }]);
        }
        Destination::Shares(weights) => weights,
    };
    if weights.values().all(|weight| *weight == 0) {
        let finding = part.error(
            "to.weights",
            &["to"],
            "goes to nobody: no weight is above 0",
        );
        source
            .findings
            .push(finding.hint("write `to: { users: 95, users_next: 5 }`"));
    }
    let mut shares = Vec::new();
    for (name, weight) in weights {
        if *weight > MAX_WEIGHT {
            let message = format!("gives `{name}` a weight of {weight}");
            let finding = part.error("to.weights", &["to", name], message);
            source
                .findings
                .push(finding.hint(format!("at most {MAX_WEIGHT}")));
        }
        let upstream = upstream(source, part, name, &["to", name], names);
        shares.extend(upstream.map(|upstream| Share {
            upstream,
            weight: *weight,
        }));
    }
    shares.sort_by_key(|share| Reverse(share.weight));
    (shares.len() == weights.len() && !shares.is_empty()).then_some(shares)
}

fn rewrite(
    source: &mut Source<'_>,
    part: &Part<'_>,
    written: &table::Route,
    rule: &Match,
) -> Option<Rewrite> {
    let (key, rewrite) = match (&written.rewrite, &written.strip_prefix) {
        (None, None) => return Some(Rewrite::None),
        (Some(to), None) => ("rewrite", Rewrite::to(to, &rule.path)),
        (None, Some(prefix)) => ("strip_prefix", Rewrite::strip(prefix, &rule.path)),
        (Some(_), Some(_)) => {
            let message = "rewrites its path in two ways";
            let finding = part.error("rewrite.twice", &["strip_prefix"], message);
            let hint = "leave `strip_prefix` out: `rewrite` says the whole path";
            source.findings.push(finding.hint(hint));
            return None;
        }
    };
    rewrite
        .map_err(|error| {
            let message = format!("has a bad `{key}`: {error}");
            let finding = part.error(key, &[key], message);
            let hint = match error {
                RewriteError::Path(_) => None,
                RewriteError::UnknownParam(_) | RewriteError::NoTail => {
                    Some(format!("the route's path is `{}`", rule.path))
                }
                RewriteError::NoPrefix(_) => {
                    Some("whole segments, without parameters: `/api`".into())
                }
            };
            source.findings.push(match hint {
                Some(hint) => finding.hint(hint),
                None => finding,
            });
        })
        .ok()
}

fn mirror(
    source: &mut Source<'_>,
    part: &Part<'_>,
    written: &table::Route,
    mirror: &table::Mirror,
    names: &Names,
) -> Option<Mirror> {
    if written.websocket {
        let message = "copies requests that may become WebSockets";
        let finding = part.error("mirror.websocket", &["mirror"], message);
        source
            .findings
            .push(finding.hint("leave `mirror` or `websocket` out"));
    }
    let share = mirror.share.unwrap_or(Percent(10_000));
    if share.0 == 0 {
        let finding = part.error("mirror.share", &["mirror", "share"], "copies nothing");
        source
            .findings
            .push(finding.hint("write `share: 10%`, or leave `mirror` out"));
    }
    let upstream = upstream(source, part, &mirror.to, &["mirror", "to"], names)?;
    Some(Mirror {
        upstream,
        share: share.0,
    })
}
