use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;

use super::Rights;
use super::source::Source;
use crate::table::read::Part;
use crate::table::{self, LastKnown};

/// For how long nothing may be heard, unless the table says so.
const PATIENCE: Duration = Duration::from_secs(10);
/// Less would make an outage of a hiccup.
const LEAST: Duration = Duration::from_secs(2);
/// For how long the last snapshot holds where it does, unless the table says so.
const STALE: Duration = Duration::from_secs(600);

/// Compiles `rights`.
pub(super) fn compile(source: &mut Source<'_>) -> Option<Rights> {
    source.document.root().get("rights")?;
    let part = source.part("rights");
    let written: table::Rights = part.read(&mut source.findings)?;
    let patience = written.patience.map_or(PATIENCE, |patience| patience.0);
    if patience < LEAST {
        let message = "call a moment's silence an outage";
        let finding = part.error("patience", &["patience"], message);
        source.findings.push(finding.hint("at least `2s`"));
    }
    let hold = match (written.on_outage, written.stale) {
        (LastKnown::Stale, stale) => stale.map_or(STALE, |stale| stale.0),
        (LastKnown::Deny, None) => patience,
        (LastKnown::Deny, Some(_)) => {
            let message = "say how long the last snapshot holds, and that it does not";
            let finding = part.error("stale", &["stale"], message);
            let hint = "leave it out, or write `on_outage: stale`";
            source.findings.push(finding.hint(hint));
            patience
        }
    };
    if hold < patience {
        let message = "let the last snapshot hold for less than `patience`";
        let finding = part.error("stale.short", &["stale"], message);
        source
            .findings
            .push(finding.hint("make it longer, or write `on_outage: deny`"));
    }
    let known = source.resolve("upstreams", &written.upstream, &part, &["upstream"]);
    known.then(|| Rights {
        upstream: Arc::from(written.upstream),
        patience,
        hold,
        redis: source.env.redis.clone(),
    })
}

/// Refuses what a route asks for that nobody tells: nobody would ever get in.
pub(super) fn require(source: &mut Source<'_>, part: &Part<'_>, demands: &Json) {
    if source.document.root().get("rights").is_some() {
        return;
    }
    let choices = demands["any"].as_array().into_iter().flatten().enumerate();
    let choices =
        choices.map(|(index, choice)| (vec!["any".to_owned(), index.to_string()], choice));
    for (within, demand) in std::iter::once((Vec::new(), demands)).chain(choices) {
        for key in ["permissions", "acl"] {
            if demand[key].is_null() {
                continue;
            }
            let mut at = vec!["allow"];
            at.extend(within.iter().map(String::as_str));
            at.push(key);
            let message = format!("asks for `{key}`, of which nobody tells this table");
            let finding = part.error("allow.rights", &at, message);
            let hint = "add `rights: { upstream: …, on_outage: deny }` beside `auth`";
            source.findings.push(finding.hint(hint));
        }
    }
}
