use plugin_sdk::Chain;

use super::routes::Names;
use super::source::Source;
use super::{
    Plan, answers, caches, cases, defaults, identity, listeners, overload, plugins, rights, routes,
    upstreams,
};
use crate::finding::Finding;
use crate::table::{Reference, suggest};

/// The top-level keys.
const KEYS: [&str; 16] = [
    "version",
    "include",
    "defaults",
    "listeners",
    "management",
    "identity",
    "redis",
    "overload",
    "upstreams",
    "auth",
    "rights",
    "limits",
    "caches",
    "plugins",
    "routes",
    "tests",
];

/// Compiles a table. Every part is looked at, whatever was wrong with those before; `None` when
/// one of them could not be had.
pub(super) fn compile(source: &mut Source<'_>) -> Option<Plan> {
    refuse_unknown_keys(source);
    lend_redis(source);
    let defaults = defaults::compile(source);
    let listeners = listeners::compile(source, defaults.max_header);
    let management = listeners::management(source);
    let identity = identity::compile(source);
    let told = identity.iter().flat_map(|identity| &identity.plain);
    source.env.identity_headers = told.map(|(name, _)| name.clone()).collect();
    let upstreams = upstreams::compile(source);
    let caches = caches::compile(source);
    let mut links = plugins::compile(source);
    let default_links = defaults::links(source, &defaults, &links);
    let flood = defaults::flood(source, &defaults, &links);
    let overload = overload::compile(source);
    let rights = rights::compile(source);
    let revocations = std::mem::take(&mut links.revocations);
    let names = Names {
        identity,
        upstreams,
        caches,
        links,
        defaults,
        default_links,
    };
    let router = routes::compile(source, &names);
    if let Some(router) = &router {
        answers::require(source, &names.links.auth, router);
    }
    source.warn_of_unused();
    let cookies = plugins::cookies(&names.links.auth);
    let credentials = plugins::credentials(&names.links.auth);
    let plan = router.zip(management).zip(names.identity);
    let plan = plan.map(|((router, management), identity)| {
        let routes = router.rules().iter();
        Plan {
            version: String::new(),
            listeners,
            management,
            identity,
            routes: routes
                .map(|(_, route)| (route.id.clone(), route.clone()))
                .collect(),
            router,
            default_chain: Chain::new(names.default_links),
            flood: Chain::new(flood),
            overload,
            upstreams: names.upstreams,
            revocations,
            rights,
            cookies,
            credentials,
        }
    });
    cases::run(source, plan.as_ref());
    plan
}

fn refuse_unknown_keys(source: &mut Source<'_>) {
    let root = source.document.root();
    for key in root.keys().filter(|key| !KEYS.contains(key)) {
        let place = source.document.place_of_key(&[key]);
        let finding = Finding::error(
            "key.unknown",
            place,
            format!("the table has no key `{key}`"),
        );
        source.findings.push(finding.hint(suggest::hint(key, KEYS)));
    }
    let version = root.get("version").map(|node| node.to_json());
    if version.as_ref().and_then(serde_json::Value::as_u64) != Some(1) {
        let message = "must be 1: this gateway knows no other shape of the table";
        let finding = source.part("version").error("unknown", &[], message);
        source
            .findings
            .push(finding.hint("write `version: 1` on the first line"));
    }
}

/// Lends plugins the Redis that the table names. Without it they count for themselves, and say so.
fn lend_redis(source: &mut Source<'_>) {
    if source.document.root().get("redis").is_none() {
        return;
    }
    let part = source.part("redis");
    let Some(reference) = part.read::<Reference>(&mut source.findings) else {
        return;
    };
    if let Reference::File(path) = &reference
        && !source.file(path, &part, &[])
    {
        return;
    }
    match reference.read(&source.env) {
        Ok(url) => source.env.redis = Some(url.trim().into()),
        Err(error) => {
            let finding = part.warning("unset", &[], format!("is not to be had: {error}"));
            let hint = "each gateway counts for itself, limits of the cluster too";
            source.findings.push(finding.hint(hint));
        }
    }
}
