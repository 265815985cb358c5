use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::source::Source;
use super::{Health, Upstream, tls};
use crate::path;
use crate::table::read::Part;
use crate::table::{self, Protocol};
use crate::tls::Towards;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const HEALTH_EVERY: Duration = Duration::from_secs(2);

/// Compiles the upstreams.
pub(super) fn compile(source: &mut Source<'_>) -> BTreeMap<Arc<str>, Arc<Upstream>> {
    let mut upstreams = BTreeMap::new();
    for (name, part) in source.entries("upstreams", "upstream") {
        let Some(written) = part.read::<table::Upstream>(&mut source.findings) else {
            continue;
        };
        let name: Arc<str> = name.into();
        let (targets, encrypted) = targets(source, &part, &written.targets);
        let upstream = Upstream {
            name: name.clone(),
            targets,
            tls: encryption(source, &part, written.tls, encrypted),
            h2: written.http == Some(Protocol::H2),
            connect_timeout: source.positive(
                written.connect_timeout,
                CONNECT_TIMEOUT,
                &part,
                &["connect_timeout"],
            ),
            health: written
                .health
                .map(|health| one_health(source, &part, health)),
        };
        upstreams.insert(name, Arc::new(upstream));
    }
    upstreams
}

/// How TLS is spoken, where the targets are `https`.
fn encryption(
    source: &mut Source<'_>,
    part: &Part<'_>,
    written: Option<table::UpstreamTls>,
    encrypted: bool,
) -> Option<Arc<Towards>> {
    if !encrypted && written.is_some() {
        let message = "has `tls` and is spoken to in plain HTTP";
        let finding = part.error("tls.unused", &["tls"], message);
        source
            .findings
            .push(finding.hint("write its targets as `https://host:port`"));
    }
    encrypted
        .then(|| tls::towards(source, part, &written.unwrap_or_default()))
        .flatten()
}

/// The `host:port` of all targets, and whether they are spoken to in TLS.
fn targets(source: &mut Source<'_>, part: &Part<'_>, written: &[String]) -> (Vec<String>, bool) {
    let mut targets = Vec::new();
    let mut scheme = None;
    if written.is_empty() {
        let finding = part.error("targets.empty", &["targets"], "has no targets");
        source
            .findings
            .push(finding.hint("write `targets: [\"http://127.0.0.1:9081\"]`"));
    }
    for (index, text) in written.iter().enumerate() {
        let at = ["targets", &index.to_string()];
        match target(text) {
            Ok((encrypted, _)) if *scheme.get_or_insert(encrypted) != encrypted => {
                let message = format!("mixes `http` and `https`: `{text}`");
                let finding = part.error("targets.mixed", &at, message);
                let hint = "a request would be encrypted or not by chance: make them alike";
                source.findings.push(finding.hint(hint));
            }
            Ok((_, target)) if targets.contains(&target) => {
                let finding = part.error(
                    "target.twice",
                    &at,
                    format!("names the target `{text}` twice"),
                );
                source.findings.push(finding);
            }
            Ok((_, target)) => targets.push(target),
            Err(hint) => {
                let finding = part.error("target", &at, format!("can't reach `{text}`"));
                source.findings.push(finding.hint(hint));
            }
        }
    }
    (targets, scheme == Some(true))
}

/// Whether a target's URL is encrypted, and its `host:port`. The error says what would be right.
fn target(text: &str) -> Result<(bool, String), &'static str> {
    let (encrypted, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (_, Some(rest)) => (false, rest),
        _ => return Err("write it as `http://host:port` or `https://host:port`"),
    };
    let authority: http::uri::Authority = rest
        .strip_suffix('/')
        .unwrap_or(rest)
        .parse()
        .map_err(|_| "write it as `http://host:port`, without a path")?;
    if authority.as_str().contains('@') {
        return Err("write it as `http://host:port`, without a user");
    }
    match authority.port_u16() {
        Some(1..) => Ok((encrypted, authority.as_str().to_owned())),
        _ if encrypted => Err("say its port: `https://host:port`"),
        _ => Err("say its port: `http://host:port`"),
    }
}

fn one_health(source: &mut Source<'_>, part: &Part<'_>, written: table::Health) -> Health {
    if !path::canonical(&written.path).is_ok_and(|path| *path == written.path) {
        let finding = part.error(
            "health",
            &["health", "path"],
            "is asked on a path that is none",
        );
        source.findings.push(finding.hint("write it as `/readyz`"));
    }
    let every = source.positive(written.every, HEALTH_EVERY, part, &["health", "every"]);
    Health {
        path: written.path,
        every,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_host_and_a_port() {
        for (text, expected) in [
            ("http://127.0.0.1:9081", Some((false, "127.0.0.1:9081"))),
            ("http://users:8081/", Some((false, "users:8081"))),
            ("http://[::1]:80", Some((false, "[::1]:80"))),
            ("https://users:443", Some((true, "users:443"))),
            ("https://users", None),
            ("http://users", None),
            ("http://users:0", None),
            ("http://me@users:80", None),
            ("http://users:80/v1", None),
            ("ftp://users:21", None),
            ("users:80", None),
        ] {
            let expected = expected.map(|(encrypted, target)| (encrypted, target.to_owned()));
            assert_eq!(target(text).ok(), expected, "{text}");
        }
    }
}
