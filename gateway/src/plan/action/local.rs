//! What the gateway answers by itself.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::action::{Redirect, Respond, TargetError};
use crate::forward;
use crate::plan::source::Source;
use crate::router::Match;
use crate::table;
use crate::table::read::Part;

const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];
/// The longest body, in bytes.
const MAX_BODY: usize = 64 << 10;
const TEXT: &str = "text/plain; charset=utf-8";
/// What is written for each answer, or has a key of its own.
const WRITTEN: [HeaderName; 3] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
];

pub(super) fn redirect(
    source: &mut Source<'_>,
    part: &Part<'_>,
    written: &table::Redirect,
    rule: &Match,
) -> Option<Redirect> {
    let status = written.status.unwrap_or(308);
    if !REDIRECTS.contains(&status) {
        let message = format!("redirects with {status}");
        let finding = part.error("redirect.status", &["redirect", "status"], message);
        let hint = "308 and 307 keep method and body, 303 asks with GET; 301 and 302 are older";
        source.findings.push(finding.hint(hint));
    }
    let status = StatusCode::from_u16(status).ok()?;
    let redirect = match Redirect::parse(&written.to, status, &rule.path) {
        Ok(redirect) => redirect,
        Err(error) => {
            let message = format!("redirects to `{}`: {error}", written.to);
            let finding = part.error("redirect.to", &["redirect", "to"], message);
            let hint = match error {
                TargetError::Host => "the host is fixed: a client must not choose it".into(),
                TargetError::UnknownParam(_) | TargetError::NoTail => {
                    format!("the route's path is `{}`", rule.path)
                }
                _ => "write `https://new.example.com/{id}` or `/new/{id}`".into(),
            };
            source.findings.push(finding.hint(hint));
            return None;
        }
    };
    if written.to == rule.path.to_string() && rule.conditions.is_empty() {
        let finding = part.error("redirect.loop", &["redirect", "to"], "redirects to itself");
        source
            .findings
            .push(finding.hint("a client would go round and round"));
    }
    Some(redirect)
}

pub(super) fn respond(
    source: &mut Source<'_>,
    part: &Part<'_>,
    written: &table::Respond,
) -> Option<Respond> {
    let at = |key| ["respond", key];
    let status = StatusCode::from_u16(written.status)
        .ok()
        .filter(|status| (200..600).contains(&status.as_u16()));
    if status.is_none() {
        let message = format!("answers with {}", written.status);
        let finding = part.error("respond.status", &at("status"), message);
        source.findings.push(finding.hint("200 to 599"));
    }
    let bare = status.is_some_and(|status| [204, 205, 304].contains(&status.as_u16()));
    if bare && written.body.is_some() {
        let message = format!(
            "answers {} with a body, which it can't have",
            written.status
        );
        source
            .findings
            .push(part.error("respond.body", &at("body"), message));
    }
    let body = written.body.as_deref().unwrap_or_default();
    if body.len() > MAX_BODY {
        let finding = part.error("respond.body", &at("body"), "answers with a long body");
        source
            .findings
            .push(finding.hint("at most `64KiB`: serve it from an upstream"));
    }
    if written.content_type.is_some() && written.body.is_none() {
        let finding = part.error("respond.content_type", &at("content_type"), "has no body");
        source.findings.push(finding.hint("add `body:`"));
    }
    let kind = written.content_type.as_deref().unwrap_or(TEXT);
    let kind = HeaderValue::from_str(kind)
        .map_err(|_| {
            let message = "has a content type that no header can carry";
            let finding = part.error("respond.content_type", &at("content_type"), message);
            source.findings.push(finding.hint("application/json, say"));
        })
        .ok()?;
    let content = written
        .body
        .as_ref()
        .map(|body| (kind, Bytes::copy_from_slice(body.as_bytes())));
    Some(Respond {
        headers: headers(source, part, written)?,
        status: status?,
        content,
    })
}

fn headers(
    source: &mut Source<'_>,
    part: &Part<'_>,
    written: &table::Respond,
) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in &written.headers {
        let fault = match (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            (Ok(header), _) if WRITTEN.contains(&header) || forward::is_hop_by_hop(&header) => {
                format!("answers with `{name}`, which is not its own to write")
            }
            (Ok(header), Ok(value)) => {
                headers.insert(header, value);
                continue;
            }
            (Err(_), _) => format!("answers with `{name}`, which is no header's name"),
            (_, Err(_)) => format!("answers with a `{name}` that no header can carry"),
        };
        let at = ["respond", "headers", name];
        source
            .findings
            .push(part.error("respond.headers", &at, fault));
    }
    (headers.len() == written.headers.len()).then_some(headers)
}
