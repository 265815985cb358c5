mod conditions;

use http::Method;

use super::routes::Names;
use super::source::Source;
use crate::router::{Host, Match, Pattern};
use crate::table;
use crate::table::read::Part;
use crate::table::suggest;

/// The methods that routes can take. CONNECT and TRACE are answered with 405, always.
const METHODS: [Method; 7] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
];

/// Compiles which requests a route takes.
pub(super) fn compile(
    source: &mut Source<'_>,
    part: &Part<'_>,
    written: &table::Route,
    names: &Names,
) -> Option<Match> {
    let Some(matches) = &written.matches else {
        let finding = part.error("match.missing", &[], "does not say which requests it takes");
        source
            .findings
            .push(finding.hint("add `match: { method: GET, path: /v1/… }`"));
        return None;
    };
    let methods = methods(source, part, &matches.method.0);
    let host = match &matches.host {
        Some(text) => host(source, part, text),
        None => Some(Host::Any),
    };
    let conditions = conditions::compile(source, part, matches, names.identity.as_ref());
    let path = Pattern::parse(&matches.path).map_err(|error| {
        let finding = part.error(
            "path",
            &["match", "path"],
            format!("has a bad path: {error}"),
        );
        source.findings.push(finding);
    });
    Some(Match {
        host: host?,
        methods: methods?,
        path: path.ok()?,
        conditions: conditions?,
    })
}

fn host(source: &mut Source<'_>, part: &Part<'_>, text: &str) -> Option<Host> {
    let host = Host::parse(text);
    if host.is_none() {
        let message = format!("takes the host `{text}`, which none has");
        let finding = part.error("host", &["match", "host"], message);
        let hint = match text {
            "*" => "leave the key out: any host is the default",
            _ if text.contains('*') => "a `*` stands for what is before a name: `*.example.com`",
            _ => "write it in lower case, without a port",
        };
        source.findings.push(finding.hint(hint));
    }
    host
}

fn methods(source: &mut Source<'_>, part: &Part<'_>, written: &[String]) -> Option<Vec<Method>> {
    let mut methods = Vec::new();
    for name in written {
        let known = METHODS.iter().find(|method| method.as_str() == name);
        match known {
            Some(method) if methods.contains(method) => {
                let finding = part.error(
                    "method",
                    &["match", "method"],
                    format!("takes `{name}` twice"),
                );
                source.findings.push(finding);
            }
            Some(method) => methods.push(method.clone()),
            None => {
                let finding = part.error(
                    "method",
                    &["match", "method"],
                    format!("takes `{name}`, which no route can"),
                );
                let hint = suggest::hint(&name.to_uppercase(), METHODS.iter().map(Method::as_str));
                source.findings.push(finding.hint(hint));
            }
        }
    }
    if written.is_empty() {
        let finding = part.error("method", &["match", "method"], "takes no method");
        source
            .findings
            .push(finding.hint("write `method: GET` or `method: [GET, POST]`"));
    }
    (!methods.is_empty()).then_some(methods)
}
