use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderName;
use plugin_sdk::{Kind, Link, Mode, Stage};
use serde_json::Value as Json;

use super::source::Source;
use super::{Revocation, revocation};
use crate::table::read::{Fault, Part};
use crate::table::suggest;

/// The links of all named plugins. Each is built once and shared by the routes that name it.
#[derive(Default)]
pub(super) struct Links {
    pub(super) auth: BTreeMap<String, Link>,
    pub(super) limits: BTreeMap<String, Link>,
    pub(super) plugins: BTreeMap<String, Link>,
    /// Of the ways under `auth`.
    pub(super) revocations: BTreeMap<Arc<str>, Revocation>,
}

/// Kinds that have a key of their own on a route, and that key: they can't stand in `plugins`.
pub(crate) const OWN_KEYS: [(&str, &str); 6] = [
    ("acl", "allow"),
    ("rate_limit", "limits"),
    ("quota", "limits"),
    ("concurrency", "limits"),
    ("penalty", "limits"),
    ("validate", "validate"),
];

/// The kinds that stand under `limits`, by the key that says what is bounded.
pub(crate) const LIMITS: [(&str, &str); 4] = [
    ("rate", "rate_limit"),
    ("quota", "quota"),
    ("concurrent", "concurrency"),
    ("failures", "penalty"),
];

/// Builds every plugin that has a name.
pub(super) fn compile(source: &mut Source<'_>) -> Links {
    let mut links = Links::default();
    for (name, part) in source.entries("auth", "auth") {
        if let Some((link, revocation)) = way_to_prove(source, &name, &part) {
            let known = revocation.map(|revocation| (link.name.clone(), revocation));
            links.revocations.extend(known);
            links.auth.insert(name, link);
        }
    }
    for (name, part) in source.entries("limits", "limit") {
        if let Some(link) = limit(source, &name, &part) {
            links.limits.insert(name, link);
        }
    }
    for (name, part) in source.entries("plugins", "plugin") {
        if let Some(link) = builtin(source, &name, &part) {
            links.plugins.insert(name, link);
        }
    }
    links
}

/// The cookies that the ways keep between themselves and browsers.
pub(super) fn cookies(auth: &BTreeMap<String, Link>) -> Vec<Box<str>> {
    let cookies = auth.values().filter_map(|link| link.plugin.cookie());
    cookies.map(Box::from).collect()
}

/// The headers that credentials of the ways come in: backends are told who calls, and need no proof.
pub(super) fn credentials(auth: &BTreeMap<String, Link>) -> Vec<HeaderName> {
    let all = auth.values().flat_map(|link| link.plugin.credentials());
    all.collect()
}

/// `login: { rate: 5/1m, … }`: the kind is told by what is bounded.
fn limit(source: &mut Source<'_>, name: &str, part: &Part<'_>) -> Option<Link> {
    let json = part.json();
    let mut said = LIMITS.iter().filter(|(key, _)| json.get(key).is_some());
    let fault = match (said.next(), said.next()) {
        (Some((_, kind)), None) => return of_kind(source, kind, name, part, json),
        (None, _) => "does not say what it bounds".to_owned(),
        (Some((one, _)), Some((other, _))) => format!("bounds `{one}` and `{other}` at once"),
    };
    let finding = part.error("kind", &[], fault);
    let hint = "one of `rate: 5/1m`, `quota: 10000/1d`, `concurrent: 4` and `failures: 5/15m`";
    source.findings.push(finding.hint(hint));
    None
}

/// A plugin of a kind that is known beforehand.
pub(super) fn of_kind(
    source: &mut Source<'_>,
    kind: &str,
    name: &str,
    part: &Part<'_>,
    config: Json,
) -> Option<Link> {
    let Some(kind) = source.kinds.iter().find(|known| known.name == kind) else {
        let message = format!("needs the plugin `{kind}`, which this gateway is built without");
        source.findings.push(part.error("kind", &[], message));
        return None;
    };
    build(source, kind, name, part, config)
}

/// `user: { jwt: { … } }`: one kind, by its name, of those that say who is calling; beside it,
/// perhaps, how it is learnt that they were revoked.
fn way_to_prove(
    source: &mut Source<'_>,
    name: &str,
    part: &Part<'_>,
) -> Option<(Link, Option<Revocation>)> {
    let identifying = source
        .kinds
        .iter()
        .filter(|kind| kind.stage == Stage::Identify);
    let mut json = part.json();
    let mode = mode(source, part, &mut json);
    let revocable = json
        .as_object_mut()
        .and_then(|map| map.remove("revocation"));
    let revocation = revocable.and_then(|_| revocation::compile(source, part, mode));
    let mut keys = json.as_object().into_iter().flat_map(|map| map.keys());
    let (Some(key), None) = (keys.next(), keys.next()) else {
        let names: Vec<&str> = identifying.map(|kind| kind.name).collect();
        let finding = part.error("kind", &[], "must say one way, and one only");
        source
            .findings
            .push(finding.hint(format!("there is: {}", names.join(", "))));
        return None;
    };
    if name == "none" {
        let finding = part.error(
            "name",
            &[],
            "has a name that means something else on a route",
        );
        source.findings.push(finding);
        return None;
    }
    let Some(kind) = identifying.clone().find(|kind| kind.name == key) else {
        let finding = part.error("kind", &[key], format!("has no way `{key}`"));
        let hint = suggest::hint(key, identifying.map(|kind| kind.name));
        source.findings.push(finding.hint(hint));
        return None;
    };
    let inner = Part {
        path: part.at(&[key]),
        ..part.clone()
    };
    if let Some(upstream) = inner.json()["upstream"].as_str() {
        source.resolve("upstreams", upstream, &inner, &["upstream"]);
    }
    if inner.json().get("mode").is_some() {
        let finding = part.error("mode", &[key, "mode"], format!("has its `mode` in `{key}`"));
        let hint = format!("write it beside: `{{ {key}: {{ … }}, mode: shadow }}`");
        source.findings.push(finding.hint(hint));
    }
    let link = build(source, kind, name, &inner, inner.json())?;
    warn_of_no_certificates(source, kind, &inner);
    Some((Link { mode, ..link }, revocation))
}

/// Certificates are asked for in the handshake: where no listener does, there never is one.
fn warn_of_no_certificates(source: &mut Source<'_>, kind: &Kind, part: &Part<'_>) {
    let listeners = source.document.root().get("listeners");
    let asks = |listener: &serde_json::Value| listener["tls"]["clients"].is_object();
    let some = listeners.is_some_and(|node| {
        let listeners = node.to_json();
        listeners
            .as_object()
            .is_some_and(|all| all.values().any(asks))
    });
    if kind.name == "client_certificate" && !some {
        let message = "knows callers by their certificates, and no listener asks for one";
        let finding = part.warning("certificates", &[], message);
        source
            .findings
            .push(finding.hint("add `tls: { clients: { ca: … } }` to a listener"));
    }
}

/// `cors: { builtin: cors, … }`.
fn builtin(source: &mut Source<'_>, name: &str, part: &Part<'_>) -> Option<Link> {
    let own_key = |kind: &Kind| {
        let own = OWN_KEYS.iter().find(|(own, _)| *own == kind.name);
        own.map(|(_, key)| *key)
            .or((kind.stage == Stage::Identify).then_some("auth"))
    };
    let free = source
        .kinds
        .iter()
        .filter(|kind| own_key(kind).is_none())
        .map(|kind| kind.name);
    let mut json = part.json();
    let word = json.as_object_mut().and_then(|map| map.remove("builtin"));
    let Some(Json::String(word)) = word else {
        let finding = part.error("kind", &["builtin"], "does not say what it is");
        let known: Vec<&str> = free.collect();
        source
            .findings
            .push(finding.hint(format!("add `builtin:` with one of {}", known.join(", "))));
        return None;
    };
    let Some(kind) = source.kinds.iter().find(|kind| kind.name == word) else {
        let finding = part.error(
            "kind",
            &["builtin"],
            format!("is a `{word}`, which there is not"),
        );
        source
            .findings
            .push(finding.hint(suggest::hint(&word, free)));
        return None;
    };
    if let Some(key) = own_key(kind) {
        let finding = part.error(
            "kind",
            &["builtin"],
            format!("is a `{word}`, which has a key of its own"),
        );
        source
            .findings
            .push(finding.hint(format!("say it under `{key}`")));
        return None;
    }
    build(source, kind, name, part, json)
}

fn build(
    source: &mut Source<'_>,
    kind: &Kind,
    name: &str,
    part: &Part<'_>,
    mut config: Json,
) -> Option<Link> {
    note_files(source, &config);
    let mode = mode(source, part, &mut config);
    let env = source.env.named(&part.path.join("."));
    let plugin = part.attempt(config, &mut source.findings, |config| {
        kind.build(config, &env).map_err(|error| Fault {
            at: error.at,
            message: error.message,
            hint: error.hint,
        })
    })?;
    let name: Arc<str> = name.into();
    Some(Link { name, plugin, mode })
}

/// `mode: shadow` beside a plugin's own keys is not the plugin's to read.
fn mode(source: &mut Source<'_>, part: &Part<'_>, config: &mut Json) -> Mode {
    let Some(written) = config.as_object_mut().and_then(|map| map.remove("mode")) else {
        return Mode::Enforce;
    };
    serde_json::from_value(written).unwrap_or_else(|error| {
        let finding = part.error("mode", &["mode"], format!("has a bad mode: {error}"));
        source
            .findings
            .push(finding.hint("`shadow` counts what it would refuse; leave it out to refuse"));
        Mode::Enforce
    })
}

/// The files that a plugin's configuration refers to are watched like the table itself. Whether
/// they are good is the plugin's to say.
fn note_files(source: &mut Source<'_>, config: &Json) {
    match config {
        Json::String(text) => {
            if let Some(path) = text.strip_prefix("$file:") {
                source.files.insert(source.env.path(path));
            }
        }
        Json::Array(items) => items.iter().for_each(|item| note_files(source, item)),
        Json::Object(map) => map.values().for_each(|value| note_files(source, value)),
        _ => {}
    }
}
