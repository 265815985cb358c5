//! What is signed (RFC 9421 §2.5).

use http::HeaderName;
use plugin_sdk::Head;

use super::Fault;
use super::input::Input;

/// The derived components (RFC 9421 §2.2) that can be covered.
pub(super) const DERIVED: [&str; 6] = [
    "@method",
    "@authority",
    "@scheme",
    "@target-uri",
    "@path",
    "@query",
];

/// Whether a signature can cover it: a derived component that we know, or a header.
pub(super) fn can_cover(name: &str) -> bool {
    let is_header = || {
        let lower = !name.bytes().any(|byte| byte.is_ascii_uppercase());
        lower && HeaderName::from_bytes(name.as_bytes()).is_ok()
    };
    match name.strip_prefix('@') {
        Some(_) => DERIVED.contains(&name),
        None => is_header(),
    }
}

/// The bytes that a signature is over.
pub(super) fn write(head: &Head<'_>, input: &Input<'_>) -> Result<String, Fault> {
    let mut base = String::with_capacity(512);
    for name in &input.components {
        base.push('"');
        base.push_str(name);
        base.push_str("\": ");
        push_value(&mut base, name, head).ok_or_else(|| Fault::Absent(name.clone()))?;
        base.push('\n');
    }
    base.push_str("\"@signature-params\": ");
    base.push_str(input.params);
    Ok(base)
}

fn push_value(base: &mut String, name: &str, head: &Head<'_>) -> Option<()> {
    let scheme = if head.connection.tls { "https" } else { "http" };
    match name {
        "@method" => base.push_str(head.method.as_str()),
        "@authority" => base.push_str(&authority(head)),
        "@scheme" => base.push_str(scheme),
        "@path" => base.push_str(path(head)),
        // Without a query it is the question mark alone (§2.2.7).
        "@query" => {
            base.push('?');
            base.push_str(head.query.unwrap_or_default());
        }
        "@target-uri" => {
            base.extend([scheme, "://", &authority(head), path(head)]);
            if let Some(query) = head.query {
                base.push('?');
                base.push_str(query);
            }
        }
        name if can_cover(name) => push_header(base, name, head)?,
        _ => return None,
    }
    Some(())
}

fn path<'a>(head: &Head<'a>) -> &'a str {
    match head.path {
        "" => "/",
        path => path,
    }
}

/// In lower case, without the scheme's own port (§2.2.3).
fn authority(head: &Head<'_>) -> String {
    let text = head.authority.to_ascii_lowercase();
    let port = if head.connection.tls { ":443" } else { ":80" };
    text.strip_suffix(port).map(String::from).unwrap_or(text)
}

/// All lines of a header, in order, without the blanks around them (§2.1).
fn push_header(base: &mut String, name: &str, head: &Head<'_>) -> Option<()> {
    let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
    let mut lines = head.headers.get_all(name).iter().peekable();
    lines.peek()?;
    for (index, line) in lines.enumerate() {
        if index > 0 {
            base.push_str(", ");
        }
        base.push_str(line.to_str().ok()?.trim_matches([' ', '\t']));
    }
    Some(())
}
