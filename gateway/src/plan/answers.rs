use std::collections::BTreeMap;
use std::sync::Arc;

use http::Method;
use plugin_sdk::Link;

use super::source::Source;
use super::{Action, Route};
use crate::router::Router;
use crate::table;
use crate::table::read::Part;

/// A route can only be answered by a plugin that has an answer to its requests.
pub(super) fn refuse_others(
    source: &mut Source<'_>,
    part: &Part<'_>,
    written: &table::Route,
    link: &Link,
) {
    let Some(matches) = &written.matches else {
        return;
    };
    let answers = link.plugin.answers();
    for method in &matches.method.0 {
        let known =
            |(one, path): &(Method, String)| one.as_str() == method && *path == matches.path;
        if answers.iter().any(known) {
            continue;
        }
        let (way, path) = (&link.name, &matches.path);
        let message = format!("has `{way}` answer {method} {path}, which it does not");
        let finding = part.error("answered_by", &["match"], message);
        let all: Vec<String> = answers.iter().map(said).collect();
        source
            .findings
            .push(finding.hint(format!("it answers {}", all.join(", "))));
    }
}

/// A way that counts on answering a request needs a route for it: else whoever comes back from
/// signing in finds a 404.
pub(super) fn require(
    source: &mut Source<'_>,
    auth: &BTreeMap<String, Link>,
    router: &Router<Arc<Route>>,
) {
    let routes = || router.rules().iter().map(|(_, route)| route);
    for (name, link) in auth {
        let is_asked = |route: &Arc<Route>| {
            let mut links = route.chain.links().iter();
            links.any(|other| Arc::ptr_eq(&other.plugin, &link.plugin))
        };
        if !routes().any(is_asked) {
            continue;
        }
        for answer in link.plugin.answers() {
            let is_answered = |route: &Arc<Route>| {
                matches!(&route.action, Action::Answer(by) if Arc::ptr_eq(&by.plugin, &link.plugin))
                    && route.rule.methods.contains(&answer.0)
                    && route.rule.path.to_string() == answer.1
            };
            if routes().any(is_answered) {
                continue;
            }
            let part = Part {
                document: source.document,
                path: vec!["auth".into(), name.clone()],
                code: "auth",
                name: format!("auth \"{name}\""),
            };
            let (method, path) = &answer;
            let message = format!("is to answer {method} {path}, and no route has it do that");
            let finding = part.error("unanswered", &[], message);
            source.findings.push(finding.hint(format!(
                "add a route: `match: {{ method: {method}, path: {path} }}`, `answered_by: {name}`"
            )));
        }
    }
}

fn said((method, path): &(Method, String)) -> String {
    format!("{method} {path}")
}
