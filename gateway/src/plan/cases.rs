use super::Plan;
use super::source::Source;
use crate::decide::{self, Asker, Decision, RawHead};
use crate::table::Case;
use crate::table::read::Part;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

const HOST: &str = "edge.test";

/// Reads the table's own tests and runs them against its plan, when it has one.
pub(super) fn run(source: &mut Source<'_>, plan: Option<&Plan>) {
    let tests = source.document.root().get("tests");
    if tests.is_some_and(|tests| !tests.is_list()) {
        let finding = source.part("tests").error("value", &[], "must be a list");
        source.findings.push(finding);
    }
    for index in 0..count(source) {
        let part = part(source, index);
        let Some(case) = part.read::<Case>(&mut source.findings) else {
            continue;
        };
        let now = source.env.clock.unix();
        if let Some(finding) = plan.and_then(|plan| judge(plan, &part, &case, now)) {
            source.findings.push(finding);
        }
    }
}

fn count(source: &Source<'_>) -> usize {
    source
        .document
        .root()
        .get("tests")
        .map_or(0, |node| node.items().len())
}

fn part<'a>(source: &Source<'a>, index: usize) -> Part<'a> {
    Part {
        document: source.document,
        path: vec!["tests".into(), index.to_string()],
        code: "test",
        name: format!("test {}", index + 1),
    }
}

fn judge(plan: &Plan, part: &Part<'_>, case: &Case, now: i64) -> Option<crate::finding::Finding> {
    let Some((method, target)) = case.request.split_once(' ') else {
        let finding = part.error("request", &["request"], "asks nothing");
        return Some(finding.hint("write `request: GET /v1/me`"));
    };
    let Ok(method) = method.parse::<Method>() else {
        return Some(part.error("request", &["request"], format!("has no method `{method}`")));
    };
    if case.expect.route.is_none() && case.expect.status.is_none() {
        let finding = part.error("expect", &["expect"], "expects nothing");
        return Some(finding.hint("write `expect: { route: … }` or `expect: { status: 401 }`"));
    }
    let mut headers = HeaderMap::new();
    for (name, value) in &case.headers {
        match (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            (Ok(name), Ok(value)) => headers.append(name, value),
            _ => {
                return Some(part.error(
                    "headers",
                    &["headers", name],
                    format!("sends a bad header `{name}`"),
                ));
            }
        };
    }
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let head = RawHead {
        method: &method,
        authority: Some(case.host.as_deref().unwrap_or(HOST)),
        path,
        query,
        headers: &headers,
    };
    let asker = Asker::new(case.from, case.caller.as_ref(), now);
    let decision = decide::decide(plan, &head, &asker);
    let (route, status) = (decision.route(), decision.status());
    let fits = case.expect.status == status
        && (case.expect.route.is_none() || case.expect.route.as_deref() == route);
    if fits {
        return None;
    }
    let message = format!("`{}` {}", case.request, outcome(&decision));
    let expected = match (&case.expect.route, case.expect.status) {
        (Some(route), None) => format!("expected it to reach `{route}`"),
        (None, Some(status)) => format!("expected a refusal with {status}"),
        (Some(route), Some(status)) => format!("expected `{route}` to refuse it with {status}"),
        (None, None) => return None,
    };
    Some(
        part.error("failed", &["expect"], format!("failed: {message}"))
            .hint(expected),
    )
}

fn outcome(decision: &Decision) -> String {
    match (decision.route(), decision.status()) {
        (Some(route), None) => format!("reaches `{route}`"),
        (Some(route), Some(status)) => format!("is refused by `{route}` with {status}"),
        (None, Some(status)) => format!("is refused with {status}"),
        (None, None) => "comes to nothing".into(),
    }
}
