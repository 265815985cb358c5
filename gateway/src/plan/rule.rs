use http::Method;

use super::source::Source;
use crate::decide;
use crate::router::{Match, Pattern};
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
) -> Option<Match> {
    let Some(matches) = &written.matches else {
        let finding = part.error("match.missing", &[], "does not say which requests it takes");
        source
            .findings
            .push(finding.hint("add `match: { method: GET, path: /v1/… }`"));
        return None;
    };
    let methods = methods(source, part, &matches.method.0);
    let host = matches.host.as_ref().map(|host| {
        if decide::host(Some(host)).as_ref() != Some(host) {
            let finding = part.error(
                "host",
                &["match", "host"],
                format!("takes the host `{host}`, which none has"),
            );
            source
                .findings
                .push(finding.hint("write it in lower case, without a port"));
        }
        host.clone()
    });
    let path = Pattern::parse(&matches.path).map_err(|error| {
        let finding = part.error(
            "path",
            &["match", "path"],
            format!("has a bad path: {error}"),
        );
        source.findings.push(finding);
    });
    Some(Match {
        host,
        methods: methods?,
        path: path.ok()?,
    })
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
