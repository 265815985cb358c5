use http::{HeaderName, HeaderValue};
use plugin_sdk::{BuildError, Facts};

const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// What answers say of a limit (draft-ietf-httpapi-ratelimit-headers-10). Of several limits the
/// one that has least left stands first: there are clients that read no further.
pub(crate) struct Said {
    name: String,
    policy: HeaderValue,
}

impl Said {
    /// `terms` are the policy's parameters: `q=5;w=60`.
    pub(crate) fn new(name: &str, terms: &str) -> Result<Self, BuildError> {
        let name = quotable(name);
        let policy = HeaderValue::try_from(format!("\"{name}\";{terms}"))
            .map_err(|_| BuildError::new("", "the limit's name does not fit in a header"))?;
        Ok(Self { name, policy })
    }

    /// The name as it is told.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Tells how many calls are `left`, and in how many seconds more come.
    pub(crate) fn tell(&self, facts: &mut Facts, left: u32, seconds: Option<u64>) {
        // The one allocation of an admitted call: what is left changes with each.
        let state = match seconds {
            Some(seconds) => format!("\"{}\";r={left};t={seconds}", self.name),
            None => format!("\"{}\";r={left}", self.name),
        };
        let Ok(state) = HeaderValue::try_from(state) else {
            return;
        };
        let told = facts.answer_headers.iter();
        let after = told.take_while(|(name, value)| *name != RATELIMIT || left_of(value) <= left);
        let after = after.count();
        facts.answer_headers.insert(after, (RATELIMIT, state));
        // The policies stand in the same order as what is left of them.
        let rank = facts.answer_headers[..after].iter();
        let rank = rank.filter(|(name, _)| *name == RATELIMIT).count();
        let mut policies = facts.answer_headers.iter().enumerate();
        let policy = policies
            .by_ref()
            .filter(|(_, (name, _))| *name == RATELIMIT_POLICY)
            .nth(rank);
        let at = policy.map_or(facts.answer_headers.len(), |(at, _)| at);
        facts
            .answer_headers
            .insert(at, (RATELIMIT_POLICY, self.policy.clone()));
    }
}

/// What a value that [`Said::tell`] wrote says is left.
fn left_of(value: &HeaderValue) -> u32 {
    let text = value.to_str().unwrap_or_default();
    let left = text.rsplit_once(";r=").map_or("", |(_, left)| left);
    let left = left.split(';').next().unwrap_or_default();
    left.parse().unwrap_or(u32::MAX)
}

/// The name as a structured field's string can hold it (RFC 9651 §3.3.3).
fn quotable(name: &str) -> String {
    let fits = |c: char| c.is_ascii_graphic() && c != '"' && c != '\\';
    name.chars()
        .map(|c| if fits(c) { c } else { '-' })
        .collect()
}
