use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::source::Source;
use super::{Health, Upstream};
use crate::path;
use crate::table;
use crate::table::read::Part;

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
        let upstream = Upstream {
            name: name.clone(),
            targets: targets(source, &part, &written.targets),
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

fn targets(source: &mut Source<'_>, part: &Part<'_>, written: &[String]) -> Vec<String> {
    let mut targets = Vec::new();
    if written.is_empty() {
        let finding = part.error("targets.empty", &["targets"], "has no targets");
        source
            .findings
            .push(finding.hint("write `targets: [\"http://127.0.0.1:9081\"]`"));
    }
    for (index, text) in written.iter().enumerate() {
        let at = ["targets", &index.to_string()];
        match target(text) {
            Ok(target) if targets.contains(&target) => {
                let finding = part.error(
                    "target.twice",
                    &at,
                    format!("names the target `{text}` twice"),
                );
                source.findings.push(finding);
            }
            Ok(target) => targets.push(target),
            Err(hint) => {
                let finding = part.error("target", &at, format!("can't reach `{text}`"));
                source.findings.push(finding.hint(hint));
            }
        }
    }
    targets
}

/// The `host:port` of a target's URL. The error says what would be right.
fn target(text: &str) -> Result<String, &'static str> {
    let rest = text
        .strip_prefix("http://")
        .ok_or("write it as `http://host:port`; upstreams are spoken to in plain HTTP")?;
    let authority: http::uri::Authority = rest
        .strip_suffix('/')
        .unwrap_or(rest)
        .parse()
        .map_err(|_| "write it as `http://host:port`, without a path")?;
    if authority.as_str().contains('@') {
        return Err("write it as `http://host:port`, without a user");
    }
    match authority.port_u16() {
        Some(1..) => Ok(authority.as_str().to_owned()),
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
            ("http://127.0.0.1:9081", Some("127.0.0.1:9081")),
            ("http://users:8081/", Some("users:8081")),
            ("http://[::1]:80", Some("[::1]:80")),
            ("http://users", None),
            ("http://users:0", None),
            ("http://me@users:80", None),
            ("http://users:80/v1", None),
            ("https://users:443", None),
            ("users:80", None),
        ] {
            assert_eq!(target(text).ok().as_deref(), expected, "{text}");
        }
    }
}
