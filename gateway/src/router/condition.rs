use std::borrow::Cow;
use std::cmp::Reverse;
use std::fmt;

use http::{HeaderMap, HeaderName, header};

/// What a request must say in its headers and its query, besides its host, path and method. All of
/// it must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    /// On headers, each name once.
    pub headers: Vec<(HeaderName, Wanted)>,
    /// On parameters of the query, each name once, decoded.
    pub query: Vec<(Box<str>, Wanted)>,
}

/// What one header or parameter must be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wanted {
    /// There just once, with one of these values.
    OneOf(Vec<Box<str>>),
    /// There, with whatever value.
    Present,
}

/// Whether conditions hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// One of them does not.
    Fails,
    /// None fails, and one is on what came more than once: which of the values a backend reads
    /// can't be known.
    Unclear,
    /// All of them do.
    Holds,
}

/// How specific conditions are; the smaller the more. The number of conditions counts first, then
/// how many of them name a value.
pub(crate) type Rank = (Reverse<usize>, Reverse<usize>);

/// What a request says, as far as conditions ask.
#[derive(Debug, Clone, Copy)]
pub struct Signs<'a> {
    /// Its headers, as they came.
    pub headers: &'a HeaderMap,
    /// Its query, as it came, without the `?`.
    pub query: Option<&'a str>,
    /// Whether it is a CORS preflight: it says which headers the request will have, not their values.
    pub preflight: bool,
}

impl Conditions {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.headers.is_empty() && self.query.is_empty()
    }

    /// How specific they are.
    pub(crate) fn rank(&self) -> Rank {
        let wanted = || {
            let headers = self.headers.iter().map(|(_, wanted)| wanted);
            headers.chain(self.query.iter().map(|(_, wanted)| wanted))
        };
        let named = wanted().filter(|wanted| **wanted != Wanted::Present);
        (Reverse(wanted().count()), Reverse(named.count()))
    }

    /// Whether they hold.
    pub fn fit(&self, signs: &Signs<'_>) -> Fit {
        let headers = |(name, wanted): &(HeaderName, Wanted)| {
            if signs.preflight {
                return match is_announced(name, signs.headers) {
                    true => Fit::Holds,
                    false => Fit::Fails,
                };
            }
            let values = signs.headers.get_all(name).iter();
            wanted.fit(values.map(|value| value.as_bytes().into()))
        };
        let query = |(name, wanted): &(Box<str>, Wanted)| {
            let pairs = form_urlencoded::parse(signs.query.unwrap_or_default().as_bytes());
            let ours = pairs.filter(|(key, _)| **key == **name);
            wanted.fit(ours.map(|(_, value)| bytes(value)))
        };
        let headers = self.headers.iter().map(headers);
        let all = headers.chain(self.query.iter().map(query));
        all.min().unwrap_or(Fit::Holds)
    }

    /// Whether some request could meet both.
    pub fn may_both_hold(&self, other: &Self) -> bool {
        may_both_hold(&self.headers, &other.headers) && may_both_hold(&self.query, &other.query)
    }
}

fn may_both_hold<N: PartialEq>(ours: &[(N, Wanted)], theirs: &[(N, Wanted)]) -> bool {
    ours.iter().all(|(name, wanted)| {
        let same = theirs.iter().find(|(other, _)| other == name);
        same.is_none_or(|(_, other)| wanted.may_both_be(other))
    })
}

impl Wanted {
    fn fit<'a>(&self, mut values: impl Iterator<Item = Cow<'a, [u8]>>) -> Fit {
        let Some(first) = values.next() else {
            return Fit::Fails;
        };
        let Self::OneOf(known) = self else {
            return Fit::Holds;
        };
        let is_wanted = |value: &Cow<'_, [u8]>| known.iter().any(|one| one.as_bytes() == &**value);
        match (is_wanted(&first), values.next()) {
            (true, None) => Fit::Holds,
            (false, None) => Fit::Fails,
            (true, Some(_)) => Fit::Unclear,
            (false, Some(next)) => match is_wanted(&next) || values.any(|one| is_wanted(&one)) {
                true => Fit::Unclear,
                false => Fit::Fails,
            },
        }
    }

    fn may_both_be(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::OneOf(ours), Self::OneOf(theirs)) => ours.iter().any(|one| theirs.contains(one)),
            _ => true,
        }
    }
}

fn bytes(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

/// Whether a preflight says that the request will have this header (Fetch §4.8).
fn is_announced(name: &HeaderName, headers: &HeaderMap) -> bool {
    let lists = headers.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS);
    lists.iter().any(|list| {
        let mut names = list.as_bytes().split(|byte| *byte == b',');
        names.any(|one| {
            one.trim_ascii()
                .eq_ignore_ascii_case(name.as_str().as_bytes())
        })
    })
}

impl fmt::Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        for (name, wanted) in &self.headers {
            parts.push(match wanted {
                Wanted::Present => format!("{name} present"),
                Wanted::OneOf(values) => format!("{name}: {}", values.join("|")),
            });
        }
        for (name, wanted) in &self.query {
            parts.push(match wanted {
                Wanted::Present => format!("?{name} present"),
                Wanted::OneOf(values) => format!("?{name}={}", values.join("|")),
            });
        }
        f.write_str(&parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn one_of(values: &[&str]) -> Wanted {
        Wanted::OneOf(values.iter().map(|value| Box::from(*value)).collect())
    }

    #[test]
    fn a_header_must_come_once_and_be_the_same() {
        let beta = HeaderName::from_static("x-beta");
        let is = |wanted: Wanted, values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(&beta, HeaderValue::from_static(value));
            }
            let conditions = Conditions {
                headers: vec![(beta.clone(), wanted)],
                query: vec![],
            };
            conditions.fit(&Signs {
                headers: &headers,
                query: None,
                preflight: false,
            })
        };
        for (wanted, values, holds) in [
            (one_of(&["1"]), &["1"][..], Fit::Holds),
            (one_of(&["1"]), &["2"], Fit::Fails),
            (one_of(&["1"]), &["1", "1"], Fit::Unclear),
            (one_of(&["1"]), &["2", "1"], Fit::Unclear),
            (one_of(&["1"]), &["2", "3"], Fit::Fails),
            (one_of(&["1"]), &["1,1"], Fit::Fails),
            (one_of(&["1"]), &[], Fit::Fails),
            (one_of(&["1", "2"]), &["2"], Fit::Holds),
            (Wanted::Present, &[""], Fit::Holds),
            (Wanted::Present, &["1", "2"], Fit::Holds),
            (Wanted::Present, &[], Fit::Fails),
        ] {
            assert_eq!(is(wanted.clone(), values), holds, "{wanted:?} {values:?}");
        }
    }

    #[test]
    fn a_parameter_is_read_as_a_backend_reads_it() {
        let headers = HeaderMap::new();
        let is = |wanted: Wanted, query| {
            let conditions = Conditions {
                headers: vec![],
                query: vec![("v".into(), wanted)],
            };
            conditions.fit(&Signs {
                headers: &headers,
                query,
                preflight: false,
            })
        };
        for (wanted, query, holds) in [
            (one_of(&["2"]), Some("v=2"), Fit::Holds),
            (one_of(&["2"]), Some("a=1&v=2&b"), Fit::Holds),
            (one_of(&["2"]), Some("%76=%32"), Fit::Holds),
            (one_of(&["a b"]), Some("v=a+b"), Fit::Holds),
            (one_of(&["2"]), Some("v=2&v=2"), Fit::Unclear),
            (one_of(&["2"]), Some("v=3&v=3"), Fit::Fails),
            (one_of(&["2"]), Some("v=2&%76=3"), Fit::Unclear),
            (one_of(&["2"]), Some("V=2"), Fit::Fails),
            (one_of(&["2"]), Some("vv=2"), Fit::Fails),
            (one_of(&["2"]), None, Fit::Fails),
            (one_of(&[""]), Some("v"), Fit::Holds),
            (Wanted::Present, Some("v"), Fit::Holds),
            (Wanted::Present, Some("v=1&v=2"), Fit::Holds),
            (Wanted::Present, Some("w=v"), Fit::Fails),
        ] {
            assert_eq!(is(wanted.clone(), query), holds, "{wanted:?} {query:?}");
        }
    }
}
