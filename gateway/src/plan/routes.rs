use std::collections::BTreeMap;
use std::sync::Arc;

use plugin_sdk::Link;

use super::defaults::Defaults;
use super::exposure;
use super::plugins::Links;
use super::route::{self, Draft};
use super::source::Source;
use super::{CachePolicy, Identity, Route, Upstream};
use crate::router::Router;
use crate::table::read::Part;

/// What routes can name, and what stands for those that say nothing else.
pub(super) struct Names {
    /// `None` when it was refused.
    pub(super) identity: Option<Identity>,
    pub(super) upstreams: BTreeMap<Arc<str>, Arc<Upstream>>,
    pub(super) caches: BTreeMap<String, Arc<CachePolicy>>,
    pub(super) links: Links,
    pub(super) defaults: Defaults,
    pub(super) default_links: Vec<Link>,
}

/// Compiles the routes into what finds them. `None` when one of them can't be.
pub(super) fn compile(source: &mut Source<'_>, names: &Names) -> Option<Router<Arc<Route>>> {
    let count = source
        .document
        .root()
        .get("routes")
        .map_or(0, |node| node.items().len());
    if count == 0 {
        let finding = source.part("routes").error(
            "missing",
            &[],
            "are missing: every request would be a 404",
        );
        let hint = "add a list: `routes: [{ id: …, match: …, to: …, auth: … }]`";
        source.findings.push(finding.hint(hint));
        return None;
    }
    let drafts: Vec<_> = (0..count)
        .map(|index| route::draft(source, index, names))
        .collect();
    refuse_twins(source, &drafts);
    refuse_ties(source, &drafts);
    exposure::warn(source, &drafts);
    let parts: Vec<_> = drafts.iter().map(|draft| draft.part.clone()).collect();
    let routes = drafts.into_iter().map(|draft| {
        let route = draft.route?;
        Some((route.rule.clone(), Arc::new(route)))
    });
    let router = Router::new(routes.collect::<Option<_>>()?).ok()?;
    for index in router.unreachable() {
        let message = "is reached by no request: other routes take all of its paths";
        let finding = parts[index].warning("unreachable", &["match", "path"], message);
        let hint = "leave it out; `gateway explain` tells which route takes a path";
        source.findings.push(finding.hint(hint));
    }
    Some(router)
}

fn refuse_twins(source: &mut Source<'_>, drafts: &[Draft<'_>]) {
    let mut seen: BTreeMap<&str, &Part<'_>> = BTreeMap::new();
    for draft in drafts {
        let Some(id) = &draft.id else { continue };
        match seen.get(id.as_str()) {
            Some(first) => {
                let first = source.document.place(&first.at(&["id"]));
                let second = source.document.place(&draft.part.at(&["id"]));
                let message = format!("has the same id as the route {}", first.from(&second));
                source
                    .findings
                    .push(draft.part.error("id.twice", &["id"], message));
            }
            None => {
                seen.insert(id, &draft.part);
            }
        }
    }
}

fn refuse_ties(source: &mut Source<'_>, drafts: &[Draft<'_>]) {
    // What has no rule can't tie; the others are compared even if more is wrong with them.
    let compared = drafts
        .iter()
        .filter_map(|draft| Some((draft.rule.clone()?, &draft.part)));
    let compared: Vec<_> = compared.collect();
    let parts: Vec<&Part<'_>> = compared.iter().map(|(_, part)| *part).collect();
    for tie in Router::new(compared).err().unwrap_or_default() {
        let (first, second) = (parts[tie.first], parts[tie.second]);
        let at = source.document.place(&first.at(&["match"]));
        let at = at.from(&source.document.place(&second.at(&["match"])));
        let message = format!("takes the same requests as {} {at}", first.name);
        let hint = "the order in the file never counts: tell them apart by host, path, method, headers or query";
        source
            .findings
            .push(second.error("tie", &["match"], message).hint(hint));
    }
}
