use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use super::Plan;
use super::source::Source;
use crate::decide::{self, Asker, Decision, RawHead};
use crate::table::read::Part;
use crate::table::{Case, Expect};

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
    if says_nothing(&case.expect) {
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
    // Whoever is not said to have a permission has none: a test must not pass for want of a word.
    let caller = case.caller.clone().map(|mut caller| {
        caller.permissions.get_or_insert_default();
        caller
    });
    let asker = Asker::new(case.from, caller.as_ref(), now);
    let decision = decide::decide(plan, &head, &asker);
    let failed = |what: &str, expected: String| {
        let message = format!("failed: `{}` {what}", case.request);
        Some(part.error("failed", &["expect"], message).hint(expected))
    };
    if !reaches(&case.expect, &decision) {
        let expected = match (&case.expect.route, case.expect.status) {
            (Some(route), None) => format!("expected it to reach `{route}`"),
            (None, Some(status)) => format!("expected a refusal with {status}"),
            (Some(route), Some(status)) => format!("expected `{route}` to refuse it with {status}"),
            (None, None) => "expected it to be let through".into(),
        };
        return failed(&outcome(&decision), expected);
    }
    let told = told(&decision, &asker);
    let wanted = &case.expect;
    let pairs = [
        ("upstream", &wanted.upstream, &told.upstream),
        ("path", &wanted.path, &told.path),
        ("location", &wanted.location, &told.location),
    ];
    let (what, wanted, told) = pairs
        .into_iter()
        .find(|(_, wanted, told)| wanted.is_some() && wanted != told)?;
    let wanted = wanted.as_deref().unwrap_or_default();
    match told {
        Some(told) => failed(
            &format!("has the {what} `{told}`"),
            format!("expected the {what} `{wanted}`"),
        ),
        None => failed(
            &format!("has no {what}"),
            format!("expected the {what} `{wanted}`"),
        ),
    }
}

fn says_nothing(expect: &Expect) -> bool {
    let texts = [
        &expect.route,
        &expect.upstream,
        &expect.path,
        &expect.location,
    ];
    expect.status.is_none() && texts.iter().all(|text| text.is_none())
}

/// Whether the route and the status are as expected. What a route answers by itself may go
/// unmentioned, a refusal not.
fn reaches(expect: &Expect, decision: &Decision) -> bool {
    let (route, status) = (decision.route(), decision.status());
    let answered = matches!(decision, Decision::Answered(..));
    (expect.status == status || answered && expect.status.is_none())
        && (expect.route.is_none() || expect.route.as_deref() == route)
}

/// What becomes of a request that is let through.
#[derive(Default)]
struct Told {
    upstream: Option<String>,
    path: Option<String>,
    location: Option<String>,
}

fn told(decision: &Decision, asker: &Asker) -> Told {
    match decision {
        Decision::Forward(located) => {
            let who = located.facts(asker).principal;
            let upstream = decide::upstream(&located.route, who.as_deref(), asker.client);
            Told {
                upstream: upstream.map(|upstream| upstream.name.to_string()),
                path: Some(located.forwarded.as_ref().unwrap_or(&located.path).clone()),
                location: None,
            }
        }
        Decision::Answered(_, reply) => {
            let location = reply.headers.get(header::LOCATION);
            let location = location.and_then(|location| location.to_str().ok());
            Told {
                location: location.map(str::to_owned),
                ..Told::default()
            }
        }
        Decision::NoRoute(_) | Decision::Refused(..) | Decision::Preflight(_) => Told::default(),
    }
}

fn outcome(decision: &Decision) -> String {
    match (decision.route(), decision.status()) {
        (Some(route), None) => format!("reaches `{route}`"),
        (Some(route), Some(status)) => format!("is refused by `{route}` with {status}"),
        (None, Some(status)) => format!("is refused with {status}"),
        (None, None) => "comes to nothing".into(),
    }
}
