use plugin_sdk::{Link, Mode};

use super::plugins;
use super::source::Source;
use crate::table::read::Part;
use crate::table::{self, Retries, Size};

/// A body is judged whole before the upstream is chosen, so it must fit where it waits.
const MAX_VALIDATED_BODY: Size = Size(64 << 10);
const MAX_ATTEMPTS: u32 = 3;

/// Compiles what the requests of a route are validated against.
pub(super) fn validate(
    source: &mut Source<'_>,
    part: &Part<'_>,
    written: &table::Route,
) -> Option<Link> {
    let table::Validation(judgement) = written.validate.as_ref()?;
    let text = &judgement.operation;
    let parsed = text
        .split_once('#')
        .filter(|(file, operation)| !file.is_empty() && !operation.is_empty());
    let Some((document, operation)) = parsed else {
        let finding = part.error(
            "validate",
            &["validate"],
            format!("is validated by `{text}`, which names no operation"),
        );
        source
            .findings
            .push(finding.hint("write `document.json#operationId`"));
        return None;
    };
    if !source.file(document, part, &["validate"]) {
        return None;
    }
    let inner = Part {
        path: part.at(&["validate"]),
        code: "route.validate",
        ..part.clone()
    };
    let config = serde_json::json!({ "document": document, "operation": operation });
    let link = plugins::of_kind(source, "validate", "validate", &inner, config)?;
    Some(Link {
        mode: judgement.mode,
        ..link
    })
}

/// How large a body may be, in bytes.
pub(super) fn max_body(
    source: &mut Source<'_>,
    part: &Part<'_>,
    written: &table::Route,
    default: Size,
) -> u64 {
    let judged = written.validate.as_ref();
    if judged.is_none_or(|judged| judged.0.mode == Mode::Shadow) {
        return written.max_body.unwrap_or(default).0;
    }
    if let Some(size) = written.max_body.filter(|size| *size > MAX_VALIDATED_BODY) {
        let message = format!("validates bodies of up to {size}");
        let finding = part.error("max_body", &["max_body"], message);
        let hint = format!(
            "a validated body waits whole for its judgement: at most `{MAX_VALIDATED_BODY}`"
        );
        source.findings.push(finding.hint(hint));
    }
    written
        .max_body
        .unwrap_or(default.min(MAX_VALIDATED_BODY))
        .0
}

/// How many more attempts follow when no connection could be made.
pub(super) fn retries(source: &mut Source<'_>, part: &Part<'_>, written: &Retries) -> u32 {
    let on = match written {
        Retries::None => return 0,
        Retries::On(on) => on,
    };
    if on.on.is_empty() || on.attempts == 0 {
        let finding = part.error(
            "retries",
            &["retries"],
            "is sent again on no fault, or not once",
        );
        source.findings.push(finding.hint("write `retries: none`"));
    }
    if on.attempts > MAX_ATTEMPTS {
        let message = format!("is sent again {} times", on.attempts);
        let finding = part.error("retries", &["retries", "attempts"], message);
        let hint = format!("at most {MAX_ATTEMPTS}: more only feeds an outage");
        source.findings.push(finding.hint(hint));
    }
    on.attempts
}
