use std::sync::Arc;

use plugin_sdk::{Chain, Link};

use super::routes::Names;
use super::source::Source;
use super::{Route, access, action, answers, rule, shape};
use crate::router::Match;
use crate::table;
use crate::table::read::Part;

/// A route as far as it could be compiled.
pub(super) struct Draft<'a> {
    pub(super) part: Part<'a>,
    pub(super) id: Option<String>,
    pub(super) rule: Option<Match>,
    pub(super) route: Option<Route>,
}

/// Compiles one route. Whatever is wrong with it is found, not only the first of it.
pub(super) fn draft<'a>(source: &mut Source<'a>, index: usize, names: &Names) -> Draft<'a> {
    let mut part = Part {
        document: source.document,
        path: vec!["routes".into(), index.to_string()],
        code: "route",
        name: format!("route {}", index + 1),
    };
    if let Some(id) = part.json()["id"].as_str() {
        part.name = format!("route \"{id}\"");
    }
    let written: Option<table::Route> = part.read(&mut source.findings);
    let id = written.as_ref().and_then(|written| written.id.clone());
    let rule = written
        .as_ref()
        .and_then(|written| rule::compile(source, &part, written, names));
    let route = written.and_then(|written| compile(source, &part, written, rule.clone(), names));
    Draft {
        part,
        id,
        rule,
        route,
    }
}

fn compile(
    source: &mut Source<'_>,
    part: &Part<'_>,
    written: table::Route,
    rule: Option<Match>,
    names: &Names,
) -> Option<Route> {
    refuse_empty_lists(source, part);
    let id = id(source, part, &written);
    let action = action::compile(source, part, &written, rule.as_ref(), names);
    let access = access::compile(source, part, &written, names);
    let validate = shape::validate(source, part, &written);
    let mut links = names.default_links.clone();
    links.extend(access.links);
    links.extend(validate);
    links.extend(extra_plugins(source, part, &written, names));
    let cache = cache(source, part, &written, names);
    let timeout = source.positive(written.timeout, names.defaults.timeout, part, &["timeout"]);
    let max_body = shape::max_body(source, part, &written, names.defaults.max_body);
    let retries = match &written.retries {
        Some(retries) => shape::retries(source, part, retries),
        None => names.defaults.connect_retries,
    };
    Some(Route {
        id: id?,
        action: action?,
        chain: Chain::new(links),
        access: access.written,
        authenticated: access.authenticated,
        timeout,
        max_body,
        connect_retries: retries,
        cache,
        pass_authorization: written.pass_authorization,
        websocket: written.websocket,
        priority: written.priority,
        rule: rule?,
    })
}

/// An empty list reads like "none" to one and like "all" to another.
fn refuse_empty_lists(source: &mut Source<'_>, part: &Part<'_>) {
    for key in ["auth", "limits", "plugins"] {
        if part.json()[key].as_array().is_some_and(Vec::is_empty) {
            let finding = part.error(
                "list.empty",
                &[key],
                format!("has an empty list under `{key}`"),
            );
            let hint = match key {
                "auth" => "name a way, or write `auth: none` with `why_public: …`",
                _ => "leave the key out",
            };
            source.findings.push(finding.hint(hint));
        }
    }
}

fn id(source: &mut Source<'_>, part: &Part<'_>, written: &table::Route) -> Option<Arc<str>> {
    let Some(id) = &written.id else {
        let finding = part.error("id.missing", &[], "has no id");
        source.findings.push(finding.hint("add `id: wallets.read`"));
        return None;
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if id.is_empty() || id.len() > 64 || !id.bytes().all(plain) {
        let finding = part.error("id", &["id"], "has an id that metrics can't carry");
        source
            .findings
            .push(finding.hint("1 to 64 of letters, digits, `.`, `_` and `-`"));
    }
    Some(id.as_str().into())
}

pub(super) fn answered_by(
    source: &mut Source<'_>,
    part: &Part<'_>,
    written: &table::Route,
    name: &str,
    names: &Names,
) -> Option<Link> {
    let (section, links) = match source.has("plugins", name) {
        true => ("plugins", &names.links.plugins),
        false => ("auth", &names.links.auth),
    };
    if !source.resolve(section, name, part, &["answered_by"]) {
        return None;
    }
    let link = links.get(name)?;
    if link.plugin.answers().is_empty() {
        let message = format!("is answered by `{name}`, which answers nothing itself");
        source
            .findings
            .push(part.error("answered_by", &["answered_by"], message));
        return None;
    }
    answers::refuse_others(source, part, written, link);
    Some(link.clone())
}

fn extra_plugins(
    source: &mut Source<'_>,
    part: &Part<'_>,
    written: &table::Route,
    names: &Names,
) -> Vec<Link> {
    for (index, name) in written.plugins.iter().enumerate() {
        if names.defaults.plugins.contains(name) {
            let message = format!("names `{name}`, which `defaults` gives it already");
            let at = ["plugins", &index.to_string()];
            source.findings.push(part.error("name.twice", &at, message));
        }
    }
    source.links(
        "plugins",
        "plugins",
        &written.plugins,
        &names.links.plugins,
        part,
    )
}

fn cache(
    source: &mut Source<'_>,
    part: &Part<'_>,
    written: &table::Route,
    names: &Names,
) -> Option<Arc<super::CachePolicy>> {
    let name = written.cache.as_ref()?;
    if written.auth.as_ref().is_some_and(|auth| auth.0 != ["none"]) {
        let message = "keeps answers that are meant for one caller";
        let finding = part.error("cache.private", &["cache"], message);
        source
            .findings
            .push(finding.hint("only public routes can have a cache"));
    }
    let known = source.resolve("caches", name, part, &["cache"]);
    known.then(|| names.caches.get(name).cloned())?
}
