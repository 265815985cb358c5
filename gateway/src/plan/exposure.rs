//! Which routes lead round another one's rules. Headers, the query and, where it counts, the host
//! are the client's to choose: what only they tell apart is as open as the more open of the two.

use http::Method;
use serde_json::Value as Json;

use super::route::Draft;
use super::source::Source;
use crate::action::{Forward, Rewrite};
use crate::router::{Match, Pattern};

/// Who may use a route, as far as the table says it.
#[derive(PartialEq, Eq)]
struct Guard {
    /// Empty when everybody may.
    ways: Vec<String>,
    allow: Json,
}

struct Guarded<'a> {
    draft: &'a Draft<'a>,
    rule: &'a Match,
    forward: &'a Forward,
    /// The paths that its upstream may get.
    reach: Pattern,
    guard: Guard,
    /// Equal where the guards are: most pairs of a large table are alike.
    class: usize,
}

/// Warns of each pair of routes of which one leads round the other's rules.
pub(super) fn warn(source: &mut Source<'_>, drafts: &[Draft<'_>]) {
    let mut guarded: Vec<Guarded<'_>> = drafts.iter().filter_map(guarded).collect();
    for index in 0..guarded.len() {
        let (before, rest) = guarded.split_at_mut(index);
        let same = before.iter().find(|other| other.guard == rest[0].guard);
        rest[0].class = same.map_or(index, |other| other.class);
    }
    let mut found = Vec::new();
    for (index, one) in guarded.iter().enumerate() {
        for other in &guarded[..index] {
            if one.class == other.class || !share_a_method(one.rule, other.rule) {
                continue;
            }
            let pairs = [(one, other), (other, one)];
            let round = pairs.iter().find_map(|(open, strict)| {
                let how = (open.guard.lets_in_others(&strict.guard))
                    .then(|| leads_round(open, strict))??;
                Some((*open, *strict, how))
            });
            found.extend(round);
        }
    }
    for (open, strict, how) in found {
        let (part, other) = (&open.draft.part, &strict.draft.part);
        let at = source.document.place(&other.at(&["match"]));
        let at = at.from(&source.document.place(&part.at(&["match"])));
        let message = format!("leads round the rules of {} {at}: {how}", other.name);
        let finding = part.warning("exposure", &["match"], message);
        let hint = "give both the same `auth` and `allow`, or keep their paths apart";
        source.findings.push(finding.hint(hint));
    }
}

fn guarded<'a>(draft: &'a Draft<'a>) -> Option<Guarded<'a>> {
    let (rule, route) = (draft.rule.as_ref()?, draft.route.as_ref()?);
    let forward = route.action.forward()?;
    let json = draft.part.json();
    let mut ways: Vec<String> = match &json["auth"] {
        Json::String(way) => vec![way.clone()],
        list => list
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|way| way.as_str().map(str::to_owned))
            .collect(),
    };
    ways.retain(|way| way != "none");
    ways.sort();
    Some(Guarded {
        draft,
        rule,
        forward,
        reach: forward.rewrite.reach(&rule.path),
        guard: Guard {
            ways,
            allow: json["allow"].clone(),
        },
        class: 0,
    })
}

impl Guard {
    /// Whether somebody may be let in here who is not let in there. Rules that differ count as such:
    /// which of them is the stricter only their plugin knows.
    fn lets_in_others(&self, there: &Self) -> bool {
        if there.ways.is_empty() {
            return false;
        }
        self.ways.is_empty()
            || self.ways.iter().any(|way| !there.ways.contains(way))
            || !there.allow.is_null() && self.allow != there.allow
    }
}

fn share_a_method(one: &Match, other: &Match) -> bool {
    let head = |rule: &Match| rule.methods.contains(&Method::GET);
    let mut shared = one.methods.iter();
    shared.any(|method| other.methods.contains(method))
        || head(one) && other.methods.contains(&Method::HEAD)
        || head(other) && one.methods.contains(&Method::HEAD)
}

/// How a request comes by the open route to what the strict one guards.
fn leads_round(open: &Guarded<'_>, strict: &Guarded<'_>) -> Option<String> {
    let (ours, theirs) = (open.rule, strict.rule);
    let alike = ours.path.rank() == theirs.path.rank() && ours.path.overlaps(&theirs.path);
    if ours.host == theirs.host && alike && ours.conditions == theirs.conditions {
        // They tie, which is told as such.
        return None;
    }
    if ours.host == theirs.host && alike {
        return Some("only headers or the query tell them apart, which a client chooses".into());
    }
    let upstream = shared_upstream(open.forward, strict.forward)?;
    if !open.reach.overlaps(&strict.reach) {
        return None;
    }
    let moved = |forward: &Forward| forward.rewrite != Rewrite::None;
    if moved(open.forward) || moved(strict.forward) {
        let (reach, guarded) = (&open.reach, &strict.reach);
        return Some(format!(
            "`{upstream}` gets {reach} from it, and {guarded} is guarded there"
        ));
    }
    // Said for itself, as an exception is: `/v1/login` below `/v1/**`.
    if ours.path.is_within(&theirs.path) {
        return None;
    }
    if ours.host != theirs.host {
        return Some(format!("`{upstream}` gets the same paths for another host"));
    }
    let decides = ours.path.rank() < theirs.path.rank();
    decides.then(|| {
        format!(
            "of the paths that fit both it takes those of {}",
            theirs.path
        )
    })
}

fn shared_upstream<'a>(one: &'a Forward, other: &Forward) -> Option<&'a str> {
    let mut shares = one.shares.iter();
    let shared = shares.find(|share| {
        let mut others = other.shares.iter();
        others.any(|other| other.upstream.name == share.upstream.name)
    });
    shared.map(|share| &*share.upstream.name)
}
