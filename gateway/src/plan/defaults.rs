use std::ops::RangeInclusive;
use std::time::Duration;

use plugin_sdk::Link;

use super::plugins::Links;
use super::shape;
use super::source::Source;
use crate::table::{self, Size};

const TIMEOUT: Duration = Duration::from_secs(5);
const MAX_BODY: Size = Size(1 << 20);
const MAX_HEADER: Size = Size(32 << 10);
/// Browsers need some; of all streams of one HTTP/2 connection no more is kept.
const HEADER_BOUNDS: RangeInclusive<Size> = Size(1 << 10)..=Size(64 << 10);
const CONNECT_RETRIES: u32 = 1;

/// What stands for every route that says nothing else.
pub(super) struct Defaults {
    pub(super) timeout: Duration,
    pub(super) max_body: Size,
    /// In bytes.
    pub(super) max_header: usize,
    pub(super) connect_retries: u32,
    pub(super) plugins: Vec<String>,
    pub(super) limits: Vec<String>,
}

/// Compiles the defaults. The section may be missing: everything in it has a default of its own.
pub(super) fn compile(source: &mut Source<'_>) -> Defaults {
    let part = source.part("defaults");
    let written: Option<table::Defaults> = match source.document.root().get("defaults") {
        Some(_) => part.read(&mut source.findings),
        None => None,
    };
    let written = written.unwrap_or_default();
    let max_header = written.max_header.unwrap_or(MAX_HEADER);
    if !HEADER_BOUNDS.contains(&max_header) {
        let message = format!("takes heads of up to {max_header}");
        let finding = part.error("max_header", &["max_header"], message);
        let (least, most) = (HEADER_BOUNDS.start(), HEADER_BOUNDS.end());
        source
            .findings
            .push(finding.hint(format!("between `{least}` and `{most}`")));
    }
    Defaults {
        timeout: source.positive(written.timeout, TIMEOUT, &part, &["timeout"]),
        max_body: written.max_body.unwrap_or(MAX_BODY),
        max_header: usize::try_from(max_header.0).unwrap_or(usize::MAX),
        connect_retries: match &written.retries {
            Some(retries) => shape::retries(source, &part, retries),
            None => CONNECT_RETRIES,
        },
        plugins: written.plugins,
        limits: written.limits,
    }
}

/// The plugins that every request meets.
pub(super) fn links(source: &mut Source<'_>, defaults: &Defaults, links: &Links) -> Vec<Link> {
    let part = source.part("defaults");
    source.links(
        "plugins",
        "plugins",
        &defaults.plugins,
        &links.plugins,
        &part,
    )
}

/// The limits that every request meets before anything is known of it.
pub(super) fn flood(source: &mut Source<'_>, defaults: &Defaults, links: &Links) -> Vec<Link> {
    let part = source.part("defaults");
    for (index, name) in defaults.limits.iter().enumerate() {
        let limits = source.document.root().get("limits");
        let Some(limit) = limits.and_then(|limits| limits.get(name)) else {
            continue;
        };
        let per = limit.get("per").map(|per| per.to_json());
        let by_ip = per.is_none_or(|per| per == "ip" || per == serde_json::json!(["ip"]));
        let fault = match (by_ip, limit.get("failures")) {
            (_, Some(_)) => format!("names `{name}`, which counts a route's answers"),
            (false, None) => format!("names `{name}`, which does not count by address alone"),
            (true, None) => continue,
        };
        let finding = part.error("limit", &["limits", &index.to_string()], fault);
        source.findings.push(
            finding.hint("before anything is known of a request there is only its `per: ip`"),
        );
    }
    source.links("limits", "limits", &defaults.limits, &links.limits, &part)
}
