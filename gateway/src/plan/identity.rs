use std::path::Path;
use std::sync::Arc;

use ::identity::{HEADER, KeyRing, MAX_TTL_S};
use http::HeaderName;

use super::source::Source;
use super::{Claim, Identity};
use crate::table::read::Part;
use crate::table::{self, Reference};

/// Compiles how a caller is told to the upstreams.
pub(super) fn compile(source: &mut Source<'_>) -> Option<Identity> {
    let part = source.part("identity");
    if source.document.root().get("identity").is_none() {
        let finding = part.error(
            "missing",
            &[],
            "is missing: upstreams could not know who calls",
        );
        let hint = "add `identity: { sign: { key: $file:var/secrets/identity.key } }`";
        source.findings.push(finding.hint(hint));
        return None;
    }
    let written: table::Identity = part.read(&mut source.findings)?;
    Some(Identity {
        ttl_s: ttl(source, &part, &written.sign),
        plain: headers(source, &part, &written),
        keys: Arc::new(keys(source, &part, &written.sign.key)?),
    })
}

fn ttl(source: &mut Source<'_>, part: &Part<'_>, sign: &table::Sign) -> i64 {
    let Some(ttl) = sign.ttl else {
        return MAX_TTL_S;
    };
    match i64::try_from(ttl.0.as_secs()) {
        Ok(seconds @ 1..=MAX_TTL_S) => seconds,
        _ => {
            let finding = part.error("ttl", &["sign", "ttl"], format!("is valid for {ttl}"));
            let hint = format!("between `1s` and `{MAX_TTL_S}s`: backends refuse more");
            source.findings.push(finding.hint(hint));
            MAX_TTL_S
        }
    }
}

fn headers(
    source: &mut Source<'_>,
    part: &Part<'_>,
    written: &table::Identity,
) -> Vec<(HeaderName, Claim)> {
    let mut headers = Vec::new();
    for (name, claim) in &written.headers {
        let claim = match claim {
            table::Claim::Sub => Claim::Sub,
            table::Claim::Roles => Claim::Roles,
            table::Claim::Sid => Claim::Sid,
        };
        match name.parse::<HeaderName>() {
            Ok(header) if header == HEADER || !name.starts_with("x-") => {
                let message = format!("writes `{name}`, which is not its own to write");
                let finding = part.error("header", &["headers", name], message);
                source
                    .findings
                    .push(finding.hint("begin it with `x-`, as `x-user-id`"));
            }
            Ok(header) => headers.push((header, claim)),
            Err(_) => {
                let message = format!("writes `{name}`, which is no header's name");
                source
                    .findings
                    .push(part.error("header", &["headers", name], message));
            }
        }
    }
    headers
}

fn keys(source: &mut Source<'_>, part: &Part<'_>, key: &Reference) -> Option<KeyRing> {
    let at = ["sign", "key"];
    if let Reference::File(path) = key {
        if !source.file(path, part, &at) {
            return None;
        }
        warn_of_readers(source, part, &source.env.path(path));
    }
    let parsed = match key.read(&source.env) {
        Ok(text) => match text.lines().find(|line| is_weak(line)) {
            Some(_) => Err("holds a key that nobody rolled: it repeats itself".to_owned()),
            None => KeyRing::parse(&text).map_err(|error| format!("has a bad key: {error}")),
        },
        Err(error) => Err(format!("has no key: {error}")),
    };
    parsed
        .map_err(|fault| {
            let finding = part.error("key", &at, fault);
            source
                .findings
                .push(finding.hint("`openssl rand -hex 32` makes one"));
        })
        .ok()
}

/// A rolled key of 32 bytes has about 30 different ones; below 16 is no accident.
fn is_weak(line: &str) -> bool {
    let mut pairs: Vec<&[u8]> = line.trim().as_bytes().chunks(2).collect();
    pairs.sort_unstable();
    pairs.dedup();
    line.trim().len() == 64 && pairs.len() < 16
}

fn warn_of_readers(source: &mut Source<'_>, part: &Part<'_>, path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o077 != 0 {
        let message = "has a key that others on this machine may read";
        let finding = part.warning("key.mode", &["sign", "key"], message);
        source.findings.push(finding.hint("chmod 600"));
    }
}
