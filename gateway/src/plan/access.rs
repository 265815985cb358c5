use plugin_sdk::{Link, Mode};

use super::plugins;
use super::rights;
use super::rivals;
use super::routes::Names;
use super::source::Source;
use crate::router::Pattern;
use crate::table;
use crate::table::read::Part;
use crate::table::suggest;

/// Who may use a route, and how often.
pub(super) struct Access {
    /// Who may, as it is written.
    pub(super) written: super::Access,
    /// Whether somebody must be known.
    pub(super) authenticated: bool,
    pub(super) links: Vec<Link>,
}

/// Compiles who may use a route. Saying nothing is an error, never an open door.
pub(super) fn compile(
    source: &mut Source<'_>,
    part: &Part<'_>,
    written: &table::Route,
    names: &Names,
) -> Access {
    let ways = written.auth.as_ref().map(|auth| auth.0.as_slice());
    match ways {
        None => missing(source, part),
        Some(ways) if ways.len() > 1 && ways.iter().any(|way| way == "none") => {
            let message = "asks for a proof or for none";
            let finding = part.error("auth.none", &["auth"], message);
            source.findings.push(finding.hint("`none` stands alone"));
        }
        Some(_) => {}
    }
    let public = ways.is_some_and(|ways| ways == ["none"]);
    let proofs: Vec<String> = ways
        .unwrap_or_default()
        .iter()
        .filter(|way| *way != "none")
        .cloned()
        .collect();
    let mut links = source.links("auth", "auth", &proofs, &names.links.auth, part);
    rivals::judge(source, part, &links);
    // Ways that refuse nobody keep nobody out: such a route is as open as one without any.
    let shadows = links.iter().all(|way| way.mode == Mode::Shadow);
    let open = public || (!links.is_empty() && links.len() == proofs.len() && shadows);
    judge_why_public(source, part, written, open);
    judge_pass_authorization(source, part, written, public);
    links.extend(allow(source, part, written, public));
    links.extend(limits(source, part, written, names, public));
    Access {
        written: super::Access {
            ways: proofs,
            demands: written.allow.clone(),
            why_public: written.why_public.clone().filter(|_| open),
        },
        authenticated: !open,
        links,
    }
}

fn missing(source: &mut Source<'_>, part: &Part<'_>) {
    let known = source.document.root().get("auth");
    let way = known.and_then(|node| node.keys().next()).unwrap_or("user");
    let finding = part.error("auth.missing", &[], "says nothing about authentication");
    let hint = format!("add `auth: {way}`, or `auth: none` with `why_public: …`");
    source.findings.push(finding.hint(hint));
}

fn judge_why_public(
    source: &mut Source<'_>,
    part: &Part<'_>,
    written: &table::Route,
    public: bool,
) {
    let why = written.why_public.as_ref().map(|why| why.trim());
    if public && why.is_none_or(str::is_empty) {
        let message = "is open to everybody and does not say why";
        let finding = part.error("why_public.missing", &["auth"], message);
        source
            .findings
            .push(finding.hint("add `why_public: …`, for whoever reviews it"));
    }
    if !public && why.is_some() {
        let finding = part.error(
            "why_public",
            &["why_public"],
            "says why it is public and is not",
        );
        source
            .findings
            .push(finding.hint("leave `why_public` out, or write `auth: none`"));
    }
}

/// A credential that is judged here goes no further; and an answer to one is not everybody's.
fn judge_pass_authorization(
    source: &mut Source<'_>,
    part: &Part<'_>,
    written: &table::Route,
    public: bool,
) {
    if !written.pass_authorization || (public && written.cache.is_none()) {
        return;
    }
    let message = match public {
        true => "passes `Authorization` on and keeps the answers for everybody",
        false => "passes `Authorization` on, which is judged here",
    };
    let finding = part.error("pass_authorization", &["pass_authorization"], message);
    let hint = "it goes with `auth: none` alone, and without `cache`";
    source.findings.push(finding.hint(hint));
}

fn allow(
    source: &mut Source<'_>,
    part: &Part<'_>,
    written: &table::Route,
    public: bool,
) -> Option<Link> {
    let demands = written.allow.as_ref()?;
    judge_owners(source, part, written, demands);
    rights::require(source, part, demands);
    if public && !asks_only_for_a_place(demands) {
        let message = "lets in certain callers and asks nobody who they are";
        let finding = part.error("allow.public", &["allow"], message);
        source
            .findings
            .push(finding.hint("write `auth:` and a way to prove it; only `ips` needs nobody"));
    }
    let inner = Part {
        path: part.at(&["allow"]),
        code: "route.allow",
        ..part.clone()
    };
    plugins::of_kind(source, "acl", "allow", &inner, inner.json())
}

/// Whether all that is asked is where a request comes from.
fn asks_only_for_a_place(demands: &serde_json::Value) -> bool {
    let keys = demands.as_object().into_iter().flatten();
    keys.filter(|(key, _)| *key != "mode")
        .all(|(key, value)| match key.as_str() {
            "any" => value
                .as_array()
                .is_some_and(|choices| choices.iter().all(asks_only_for_a_place)),
            key => key == "ips",
        })
}

/// An owner is a parameter of the path. One that the path has not would be nobody's, and the route
/// closed to all.
fn judge_owners(
    source: &mut Source<'_>,
    part: &Part<'_>,
    written: &table::Route,
    demands: &serde_json::Value,
) {
    let path = written
        .matches
        .as_ref()
        .map(|matches| matches.path.as_str());
    let Some(Ok(pattern)) = path.map(Pattern::parse) else {
        return;
    };
    let choices = demands["any"].as_array().into_iter().flatten().enumerate();
    let choices = choices.map(|(index, choice)| (Some(index.to_string()), choice));
    let demanded = std::iter::once((None, demands)).chain(choices);
    let owners = demanded.flat_map(|(index, demand)| {
        ["owner", "owner_param"].map(|key| (index.clone(), key, demand[key].as_str()))
    });
    for (index, key, owner) in owners {
        let Some(owner) = owner else {
            continue;
        };
        if pattern.params().any(|param| **param == *owner) {
            continue;
        }
        let at = match &index {
            None => vec!["allow", key],
            Some(index) => vec!["allow", "any", index, key],
        };
        let message = format!("belongs to `{owner}`, which its path {pattern} has not");
        let finding = part.error("allow.owner", &at, message);
        let names = pattern.params().map(|param| &**param);
        source
            .findings
            .push(finding.hint(suggest::hint(owner, names)));
    }
}

/// What a limit counts by that only somebody known has.
fn by_caller(per: &serde_json::Value) -> Option<&'static str> {
    let names = |name: &str| match per {
        serde_json::Value::Array(parts) => parts.iter().any(|part| part == name),
        one => one == name,
    };
    ["user", "key"].into_iter().find(|name| names(name))
}

fn limits(
    source: &mut Source<'_>,
    part: &Part<'_>,
    written: &table::Route,
    names: &Names,
    public: bool,
) -> Vec<Link> {
    for (index, name) in written.limits.iter().enumerate() {
        if names.defaults.limits.contains(name) {
            let message = format!("names `{name}`, which `defaults` gives it already");
            let at = ["limits", &index.to_string()];
            source.findings.push(part.error("name.twice", &at, message));
        }
        let limits = source.document.root().get("limits");
        let limit = limits.and_then(|limits| limits.get(name));
        let per = limit.and_then(|limit| limit.get("per"));
        let whose = per.and_then(|per| by_caller(&per.to_json()));
        if let (true, Some(whose)) = (public, whose) {
            let message = format!("counts `{name}` per {whose} and asks nobody who they are");
            let at = ["limits", &index.to_string()];
            let finding = part.error("limit.public", &at, message);
            source
                .findings
                .push(finding.hint("name a limit with `per: ip`"));
        }
    }
    source.links(
        "limits",
        "limits",
        &written.limits,
        &names.links.limits,
        part,
    )
}
