use std::sync::Arc;
use std::time::Duration;

use plugin_sdk::Mode;

use super::Revocation;
use super::source::Source;
use crate::table;
use crate::table::read::Part;

/// For how long nothing may be heard of a feed, unless a way says so.
const PATIENCE: Duration = Duration::from_secs(10);
/// Less would make an outage of a hiccup: a feed is asked every half second.
const LEAST: Duration = Duration::from_secs(2);

/// Compiles `revocation` of a way to prove who is calling.
pub(super) fn compile(source: &mut Source<'_>, way: &Part<'_>, mode: Mode) -> Option<Revocation> {
    let part = Part {
        path: way.at(&["revocation"]),
        code: "auth.revocation",
        ..way.clone()
    };
    let written: table::Revocation = part.read(&mut source.findings)?;
    if mode == Mode::Shadow {
        let finding = part.error("shadow", &[], "has a `revocation`, and refuses nobody");
        let hint = "a way in shadow lets everybody pass: leave one of the two out";
        source.findings.push(finding.hint(hint));
    }
    let patience = written.patience.map_or(PATIENCE, |patience| patience.0);
    if patience < LEAST {
        let message = "would call a moment's silence an outage";
        let finding = part.error("patience", &["patience"], message);
        source
            .findings
            .push(finding.hint("at least `2s`: the feed is asked every half second"));
    }
    let known = source.resolve("upstreams", &written.feed, &part, &["feed"]);
    known.then(|| Revocation {
        feed: Arc::from(written.feed),
        on_outage: written.on_outage,
        patience,
        redis: source.env.redis.clone(),
    })
}
