use http::{HeaderName, HeaderValue, header};

use crate::forward;
use crate::plan::Identity;
use crate::plan::source::Source;
use crate::router::{Conditions, Wanted};
use crate::table;
use crate::table::read::Part;

/// More conditions on one route than this are refused: they are looked at one by one.
const MAX: usize = 16;
/// Whose values are secrets: they don't stand in the table.
const SECRET: [HeaderName; 3] = [
    header::AUTHORIZATION,
    header::COOKIE,
    header::PROXY_AUTHORIZATION,
];
/// What the transport reads for itself.
const FRAMING: [HeaderName; 3] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
];

/// Compiles what a route asks of headers and query. `None` when one of them can't be.
pub(super) fn compile(
    source: &mut Source<'_>,
    part: &Part<'_>,
    written: &table::Match,
    identity: Option<&Identity>,
) -> Option<Conditions> {
    if written.headers.len() + written.query.len() > MAX {
        let finding = part.error("conditions", &["match"], "asks for too much at once");
        source
            .findings
            .push(finding.hint(format!("at most {MAX} headers and parameters")));
    }
    let mut conditions = Conditions::default();
    for (name, wanted) in &written.headers {
        let judged = header(name, wanted, identity, &conditions);
        match judged {
            Ok(name) => conditions.headers.push((name, compiled(wanted))),
            Err((message, hint)) => {
                let at = ["match", "headers", name];
                let message = format!("asks for `{name}`, {message}");
                source
                    .findings
                    .push(part.error("headers", &at, message).hint(hint));
            }
        }
    }
    for (name, wanted) in &written.query {
        conditions
            .query
            .push((name.as_str().into(), compiled(wanted)));
    }
    let all = conditions.headers.len() == written.headers.len();
    all.then_some(conditions)
}

/// The header that a condition is on; the error says what is wrong and what would be right.
fn header(
    name: &str,
    wanted: &table::Wanted,
    identity: Option<&Identity>,
    known: &Conditions,
) -> Result<HeaderName, (&'static str, &'static str)> {
    let Ok(header) = name.parse::<HeaderName>() else {
        return Err(("which is no header's name", "letters, digits and `-`"));
    };
    if identity.is_some_and(|identity| forward::is_foreign(&header, identity)) {
        let hint = "who is calling is decided by `auth` and `allow`";
        return Err(("which a client has no say in", hint));
    }
    if header == header::HOST {
        return Err(("which has a key of its own", "write it under `host`"));
    }
    if forward::is_hop_by_hop(&header) || FRAMING.contains(&header) {
        let hint = "ask for a header that is about the request";
        return Err(("which is about the connection", hint));
    }
    let table::Wanted::OneOf(values) = wanted else {
        return unknown(header, known);
    };
    if SECRET.contains(&header) {
        let hint = "write `{ present: true }`: secrets don't stand in the table";
        return Err(("whose values are secrets", hint));
    }
    let written = |value: &String| HeaderValue::from_str(value).is_ok() && value.trim() == value;
    if !values.iter().all(written) {
        let hint = "visible characters, and none at its ends that are not";
        return Err(("with a value that no header has", hint));
    }
    unknown(header, known)
}

fn unknown(
    header: HeaderName,
    known: &Conditions,
) -> Result<HeaderName, (&'static str, &'static str)> {
    match known.headers.iter().any(|(other, _)| *other == header) {
        true => Err((
            "which it asks for twice",
            "upper and lower case are the same header: write one of them",
        )),
        false => Ok(header),
    }
}

fn compiled(wanted: &table::Wanted) -> Wanted {
    match wanted {
        table::Wanted::Present => Wanted::Present,
        table::Wanted::OneOf(values) => {
            let mut values: Vec<Box<str>> = values.iter().map(|one| one.as_str().into()).collect();
            values.sort_unstable();
            values.dedup();
            Wanted::OneOf(values)
        }
    }
}
