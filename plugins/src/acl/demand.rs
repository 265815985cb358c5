use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use plugin_sdk::{BuildError, Flow, Network, Principal, Reply, Rights, Seen};
use serde_json::Value;

use super::Choice;

/// What counts as a second factor where the table does not say.
const MFA: &str = "mfa";

/// What must hold, all of it. A list that is not asked for is `None`: an empty one would let nobody
/// in, or everybody, depending on who reads it.
pub(super) struct Demand {
    roles: Option<Vec<String>>,
    permissions: Option<Vec<String>>,
    scopes: Option<Vec<String>>,
    claims: Vec<(String, Vec<String>)>,
    owner: Option<String>,
    acr: Option<Vec<String>>,
    within_s: Option<i64>,
    /// What a caller is told to come back with (RFC 9470 §3).
    challenge: HeaderValue,
    ips: Option<Vec<Network>>,
}

/// What a demand makes of a request, the better the later.
#[derive(Clone, Copy)]
pub(super) enum Verdict<'a> {
    Forbidden,
    Nobody,
    StepUp(&'a HeaderValue),
    /// Who may what is not known, and should be.
    Unavailable,
    /// Who may what is not known, and can't be: the request is only thought of.
    Unjudged,
    Fits,
}

impl Demand {
    /// Compiles a demand that stands at `at`, which ends with a dot or is empty. `None` when it
    /// demands nothing.
    pub(super) fn compile(choice: Choice, at: &str) -> Result<Option<Self>, BuildError> {
        let Choice {
            roles,
            permissions,
            scopes,
            claims,
            owner,
            acr,
            second_factor_within,
            ips,
        } = choice;
        for (key, list) in [
            ("roles", &roles),
            ("permissions", &permissions),
            ("scopes", &scopes),
            ("acr", &acr),
            ("ips", &ips),
        ] {
            if list.as_ref().is_some_and(Vec::is_empty) {
                return Err(empty(&format!("{at}{key}"), key));
            }
        }
        let claims = claims.unwrap_or_default();
        if let Some((name, _)) = claims.iter().find(|(_, texts)| texts.0.is_empty()) {
            return Err(empty(&format!("{at}claims.{name}"), "texts"));
        }
        if second_factor_within.is_some_and(|within| within.0.as_secs() == 0) {
            return Err(BuildError::new(
                &format!("{at}second_factor_within"),
                "nobody can have used a second factor this very moment",
            )
            .hint("write `5m`"));
        }
        let networks = ips.map(|ips| networks(&ips, at)).transpose()?;
        let demands = roles.is_some()
            || permissions.is_some()
            || scopes.is_some()
            || !claims.is_empty()
            || owner.is_some()
            || acr.is_some()
            || second_factor_within.is_some()
            || networks.is_some();
        let acr = acr.or_else(|| second_factor_within.map(|_| vec![MFA.to_owned()]));
        let within = second_factor_within.map(|within| within.0.as_secs());
        Ok(demands.then_some(Self {
            challenge: challenge(acr.as_deref(), within, at)?,
            within_s: within.map(|within| i64::try_from(within).unwrap_or(i64::MAX)),
            roles,
            permissions,
            scopes,
            claims: claims
                .into_iter()
                .map(|(name, texts)| (name, texts.0))
                .collect(),
            owner,
            acr,
            ips: networks,
        }))
    }

    pub(super) fn judge(&self, seen: &Seen<'_>, now: i64) -> Verdict<'_> {
        let inside = |networks: &Vec<Network>| {
            networks
                .iter()
                .any(|network| network.contains(seen.head.client))
        };
        if !self.ips.as_ref().is_none_or(inside) {
            return Verdict::Forbidden;
        }
        if !self.concerns_the_caller() {
            return Verdict::Fits;
        }
        let Some(who) = &seen.facts.principal else {
            return Verdict::Nobody;
        };
        let may = holds_one(self.roles.as_deref(), &who.roles)
            && holds_one(self.scopes.as_deref(), &who.scopes)
            && self
                .claims
                .iter()
                .all(|(name, texts)| says(seen, name, texts))
            && self
                .owner
                .as_ref()
                .is_none_or(|param| owns(seen, who, param));
        if !may {
            return Verdict::Forbidden;
        }
        let proven = match self.proven(who, now) {
            true => Verdict::Fits,
            false => Verdict::StepUp(&self.challenge),
        };
        self.permitted(seen, who).and(proven)
    }

    /// Whether one of the roles grants one of the permissions.
    fn permitted(&self, seen: &Seen<'_>, who: &Principal) -> Verdict<'static> {
        let Some(asked) = &self.permissions else {
            return Verdict::Fits;
        };
        let granted = match &seen.facts.rights {
            Rights::Known(snapshot) => snapshot.grants(&who.roles, asked),
            Rights::Supposed(Some(held)) => holds_one(Some(asked), held),
            Rights::Supposed(None) => return Verdict::Unjudged,
            Rights::Unknown => return Verdict::Unavailable,
        };
        match granted {
            true => Verdict::Fits,
            false => Verdict::Forbidden,
        }
    }

    /// Whether it demands more than a place to come from.
    fn concerns_the_caller(&self) -> bool {
        self.roles.is_some()
            || self.permissions.is_some()
            || self.scopes.is_some()
            || !self.claims.is_empty()
            || self.owner.is_some()
            || self.acr.is_some()
    }

    /// Whether it was proven strongly and lately enough. A time in the future proves nothing.
    fn proven(&self, who: &Principal, now: i64) -> bool {
        let strongly = |acr: &Vec<String>| who.acr.as_ref().is_some_and(|it| acr.contains(it));
        let lately = |within: i64| {
            who.auth_time
                .and_then(|at| now.checked_sub(at))
                .is_some_and(|ago| (0..=within).contains(&ago))
        };
        self.acr.as_ref().is_none_or(strongly) && self.within_s.is_none_or(lately)
    }
}

impl<'a> Verdict<'a> {
    fn rank(self) -> u8 {
        match self {
            Self::Forbidden => 0,
            Self::Nobody => 1,
            Self::StepUp(_) => 2,
            Self::Unavailable => 3,
            Self::Unjudged => 4,
            Self::Fits => 5,
        }
    }

    /// Where one of two is enough. Of two near misses it is the one that the caller can mend.
    pub(super) fn or(self, other: Verdict<'a>) -> Verdict<'a> {
        std::cmp::max_by_key(self, other, |verdict| verdict.rank())
    }

    /// Where both must hold.
    pub(super) fn and(self, other: Verdict<'a>) -> Verdict<'a> {
        std::cmp::min_by_key(self, other, |verdict| verdict.rank())
    }

    pub(super) fn flow(self) -> Flow {
        Flow::Reply(Box::new(match self {
            Self::Fits | Self::Unjudged => return Flow::Continue,
            Self::Nobody => Reply::unauthenticated(),
            Self::StepUp(challenge) => Reply::problem(
                StatusCode::FORBIDDEN,
                "second_factor_required",
                "It must be proven anew who is calling",
            )
            .header(WWW_AUTHENTICATE, challenge.clone()),
            Self::Unavailable => Reply::problem(
                StatusCode::SERVICE_UNAVAILABLE,
                "rights_unavailable",
                "Whether the caller may can't be told",
            )
            .header(RETRY_AFTER, HeaderValue::from_static("1")),
            // Does not say what would have sufficed: that is the route table's to know.
            Self::Forbidden => Reply::problem(
                StatusCode::FORBIDDEN,
                "forbidden",
                "The caller may not do this",
            ),
        }))
    }
}

fn holds_one(asked: Option<&[String]>, held: &[String]) -> bool {
    asked.is_none_or(|asked| asked.iter().any(|name| held.contains(name)))
}

/// Whether the parameter of the path is the caller. A parameter that the path has not is nobody's.
pub(super) fn owns(seen: &Seen<'_>, who: &Principal, param: &str) -> bool {
    let mut params = seen.facts.params.iter();
    let value = params.find(|(name, _)| **name == *param);
    value.is_some_and(|(_, value)| *value == who.sub)
}

/// Whether the issuer says one of these texts under a name: a claim of that very name, or steps into
/// objects with dots between.
fn says(seen: &Seen<'_>, name: &str, texts: &[String]) -> bool {
    let Some(proof) = &seen.facts.proof else {
        return false;
    };
    let claim = proof.claims.get(name).or_else(|| {
        let (first, rest) = name.split_once('.')?;
        let first = proof.claims.get(first)?;
        rest.split('.')
            .try_fold(first, |value, step| value.get(step))
    });
    let is = |value: &Value| match value {
        Value::String(said) => texts.contains(said),
        Value::Bool(_) | Value::Number(_) => texts.contains(&value.to_string()),
        _ => false,
    };
    match claim {
        Some(Value::Array(values)) => values.iter().any(is),
        Some(value) => is(value),
        None => false,
    }
}

fn networks(ips: &[String], at: &str) -> Result<Vec<Network>, BuildError> {
    let one = |(index, text): (usize, &String)| {
        Network::parse(text).map_err(|why| {
            BuildError::new(
                &format!("{at}ips.{index}"),
                format!("`{text}` is no address block"),
            )
            .hint(why)
        })
    };
    ips.iter().enumerate().map(one).collect()
}

fn challenge(
    acr: Option<&[String]>,
    within: Option<u64>,
    at: &str,
) -> Result<HeaderValue, BuildError> {
    let mut text = String::from("Bearer error=\"insufficient_user_authentication\"");
    if let Some(acr) = acr {
        text += &format!(", acr_values=\"{}\"", acr.join(" "));
    }
    if let Some(within) = within {
        text += &format!(", max_age=\"{within}\"");
    }
    let plain = |name: &String| {
        name.bytes()
            .all(|b| b.is_ascii_graphic() && !b"\"\\".contains(&b))
    };
    let fault = || {
        BuildError::new(
            &format!("{at}acr"),
            "has a name that a challenge can't carry",
        )
        .hint("visible ASCII without spaces and quotes")
    };
    match acr.is_none_or(|acr| acr.iter().all(plain)) {
        true => HeaderValue::from_str(&text).map_err(|_| fault()),
        false => Err(fault()),
    }
}

fn empty(at: &str, what: &str) -> BuildError {
    BuildError::new(at, "the list is empty: nobody would get in")
        .hint(format!("name some {what}, or leave the key out"))
}
