use plugin_sdk::{Link, Takes};

use super::source::Source;
use crate::finding::Finding;
use crate::table::read::Part;

/// Judges whether the ways that a route offers go together. Each refuses those credentials of its
/// own that are not good, so they must be able to tell their own apart.
pub(super) fn judge(source: &mut Source<'_>, part: &Part<'_>, ways: &[Link]) {
    for (index, way) in ways.iter().enumerate() {
        let earlier = &ways[..index];
        if let Some(clash) = earlier.iter().find_map(|other| clash(part, other, way)) {
            source.findings.push(clash);
        }
    }
    let namesakes = ways.iter().enumerate().find_map(|(index, way)| {
        let earlier = ways[..index].iter();
        earlier
            .rev()
            .find(|other| share_names(other, way))
            .map(|other| (other, way))
    });
    if let Some((one, other)) = namesakes {
        let (one, other) = (&one.name, &other.name);
        let message =
            format!("takes `{one}` or `{other}`, and `7` of the one would be `7` of the other");
        let finding = part.warning("auth.subjects", &["auth"], message);
        let hint = format!("give `{other}` its `claims: {{ sub_prefix: \"{other}:\" }}`");
        source.findings.push(finding.hint(hint));
    }
}

/// What is wrong with two ways, in the order in which they are asked.
fn clash(part: &Part<'_>, one: &Link, other: &Link) -> Option<Finding> {
    let (first, second) = (&one.name, &other.name);
    let rivals = |hint: String| {
        let message = format!("takes `{first}` or `{second}`, and each refuses the other's tokens");
        Some(part.error("auth.rivals", &["auth"], message).hint(hint))
    };
    match (one.plugin.takes(), other.plugin.takes()) {
        (Some(Takes { form, of, .. }), Some(second_takes)) if form == second_takes.form => match of
        {
            None => {
                let message = format!("takes `{first}` before `{second}`, which then gets nothing");
                let finding = part.error("auth.order", &["auth"], message);
                Some(finding.hint(format!("name `{first}` last: it takes all that is left")))
            }
            Some(of) if Some(&of) == second_takes.of.as_ref() => {
                rivals(format!("at most one way that takes {of}"))
            }
            Some(_) => None,
        },
        (Some(_), Some(_)) => None,
        _ if one.plugin.name() == other.plugin.name() => rivals(format!(
            "at most one way of the kind `{}`",
            one.plugin.name()
        )),
        _ => None,
    }
}

/// Whether two issuers name people alike, so that who is who with the one is somebody else with the
/// other.
fn share_names(one: &Link, other: &Link) -> bool {
    match (one.plugin.takes(), other.plugin.takes()) {
        (Some(one), Some(other)) => {
            one.of != other.of && one.sub_prefix.is_some() && one.sub_prefix == other.sub_prefix
        }
        _ => false,
    }
}
