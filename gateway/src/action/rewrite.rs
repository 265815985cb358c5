use std::borrow::Cow;
use std::fmt;

use super::Asked;
use crate::router::{Pattern, PatternError, Segment};

/// Under which path an upstream gets a request. What was judged, logged and cached stays the path
/// that the client asked for; what comes out here is canonical again, since it is put together of
/// whole segments that are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rewrite {
    /// The one that was judged.
    None,
    /// Less a prefix, which the route's own pattern begins with.
    Strip(Pattern),
    /// One put together from the route's parameters: `/internal/{id}`.
    To(Pattern),
}

/// Why a rewrite was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RewriteError {
    /// It is no path.
    #[error("{0}")]
    Path(#[from] PatternError),
    /// A parameter that the route does not have.
    #[error("the route's path has no parameter `{0}`")]
    UnknownParam(String),
    /// `/**` without one in the route's path.
    #[error("the route's path has no `/**` whose part could stand there")]
    NoTail,
    /// The route's path begins otherwise.
    #[error("the route's path `{0}` does not begin with it")]
    NoPrefix(String),
}

impl Rewrite {
    /// Reads `/internal/{id}` for a route of this pattern.
    pub fn to(text: &str, pattern: &Pattern) -> Result<Self, RewriteError> {
        let template = Pattern::parse(text)?;
        if let Some(name) = template.params().find(|name| !has_param(pattern, name)) {
            return Err(RewriteError::UnknownParam(name.to_string()));
        }
        if template.has_tail() && !pattern.has_tail() {
            return Err(RewriteError::NoTail);
        }
        Ok(Self::To(template))
    }

    /// Reads the prefix `/api` for a route of this pattern.
    pub fn strip(text: &str, pattern: &Pattern) -> Result<Self, RewriteError> {
        let prefix = Pattern::parse(text)?;
        let literal = |segment: &Segment| matches!(segment, Segment::Literal(_));
        let fits = !prefix.has_tail()
            && !prefix.segments().is_empty()
            && prefix.segments().iter().all(literal)
            && pattern.segments().starts_with(prefix.segments());
        match fits {
            true => Ok(Self::Strip(prefix)),
            false => Err(RewriteError::NoPrefix(pattern.to_string())),
        }
    }

    /// The path that the upstream gets.
    pub fn path<'a>(&self, asked: &Asked<'a>) -> Cow<'a, str> {
        match self {
            Self::None => asked.path.into(),
            Self::Strip(prefix) => match after(asked.path, prefix.segments().len()) {
                "" => "/".into(),
                rest => rest.into(),
            },
            Self::To(template) => {
                let mut path = String::with_capacity(asked.path.len() + 32);
                for segment in template.segments() {
                    path.push('/');
                    path.push_str(match segment {
                        Segment::Literal(text) => text,
                        Segment::Param(name) => asked.param(name),
                    });
                }
                if template.has_tail() {
                    path.push_str(asked.tail());
                }
                if path.is_empty() {
                    path.push('/');
                }
                path.into()
            }
        }
    }

    /// The paths that an upstream may get from a route of this pattern.
    pub fn reach(&self, pattern: &Pattern) -> Pattern {
        match self {
            Self::None => pattern.clone(),
            Self::Strip(prefix) => pattern.without_first(prefix.segments().len()),
            Self::To(template) => template.clone(),
        }
    }
}

fn has_param(pattern: &Pattern, name: &str) -> bool {
    pattern.params().any(|known| **known == *name)
}

/// What follows the first segments of a canonical path: empty, or from a slash on.
pub(super) fn after(path: &str, segments: usize) -> &str {
    let mut rest = match path {
        "/" => "",
        path => path,
    };
    for _ in 0..segments {
        let end = rest.get(1..).and_then(|text| text.find('/'));
        rest = end.map_or("", |end| &rest[end + 1..]);
    }
    rest
}

impl fmt::Display for Rewrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("as it is"),
            Self::Strip(prefix) => write!(f, "without {prefix}"),
            Self::To(template) => write!(f, "as {template}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::path::canonical;

    fn rewritten(pattern: &str, rewrite: &str, path: &str) -> Result<String, String> {
        let pattern = Pattern::parse(pattern).expect(pattern);
        let rewrite = match rewrite.strip_prefix('-') {
            Some(prefix) => Rewrite::strip(prefix, &pattern),
            None => Rewrite::to(rewrite, &pattern),
        };
        let rewrite = rewrite.map_err(|error| error.to_string())?;
        let mut steps = path.split('/').skip(1);
        let params = pattern.segments().iter().filter_map(|segment| {
            let step = steps.next().expect("as long as the pattern");
            match segment {
                Segment::Param(name) => Some((name.clone(), step.to_owned())),
                Segment::Literal(_) => None,
            }
        });
        let params = params.collect();
        let asked = Asked {
            pattern: &pattern,
            params: &params,
            path,
            query: None,
        };
        let forwarded = rewrite.path(&asked).into_owned();
        assert!(rewrite.reach(&pattern).matches(&forwarded), "{forwarded}");
        Ok(forwarded)
    }

    #[test]
    fn a_path_is_put_together_of_whole_segments() {
        for (pattern, rewrite, path, expected) in [
            (
                "/v1/users/{id}",
                "/internal/{id}",
                "/v1/users/7",
                "/internal/7",
            ),
            ("/{a}/{b}", "/{b}/x/{a}", "/1/2", "/2/x/1"),
            ("/files/**", "/store/**", "/files/a/b", "/store/a/b"),
            ("/files/**", "/store/**", "/files", "/store"),
            ("/files/**", "/**", "/files", "/"),
            ("/files/**", "/one", "/files/a/b", "/one"),
            ("/**", "/all/**", "/", "/all"),
            ("/**", "/all/**", "/a", "/all/a"),
            ("/v1/me", "/", "/v1/me", "/"),
            ("/api/**", "-/api", "/api", "/"),
            ("/api/**", "-/api", "/api/admin", "/admin"),
            ("/api/v1/{x}", "-/api/v1", "/api/v1/7", "/7"),
            ("/api", "-/api", "/api", "/"),
        ] {
            let told = rewritten(pattern, rewrite, path);
            assert_eq!(told.as_deref(), Ok(expected), "{pattern} {rewrite} {path}");
        }
    }

    #[test]
    fn what_can_not_be_put_together_is_refused() {
        for (pattern, rewrite, expected) in [
            (
                "/v1/{id}",
                "/x/{name}",
                "the route's path has no parameter `name`",
            ),
            (
                "/v1/{id}",
                "/x/**",
                "the route's path has no `/**` whose part could stand there",
            ),
            (
                "/v1/{id}",
                "x",
                "`x` can never match: the path must begin with a slash",
            ),
            (
                "/v1/{id}",
                "/a/../b",
                "`/..` can never match: the path has a dot segment",
            ),
            (
                "/v1/{id}",
                "-/v2",
                "the route's path `/v1/{id}` does not begin with it",
            ),
            (
                "/apis/**",
                "-/api",
                "the route's path `/apis/**` does not begin with it",
            ),
            (
                "/{x}/**",
                "-/{x}",
                "the route's path `/{x}/**` does not begin with it",
            ),
            (
                "/api/**",
                "-/",
                "the route's path `/api/**` does not begin with it",
            ),
            (
                "/api/**",
                "-/api/**",
                "the route's path `/api/**` does not begin with it",
            ),
        ] {
            let told = rewritten(pattern, rewrite, "/v1/7");
            assert_eq!(told, Err(expected.to_owned()), "{pattern} {rewrite}");
        }
    }

    proptest! {
        /// Security case 16: whatever was asked for, what the upstream gets is canonical again and
        /// under the path that the route says.
        #[test]
        fn gateway_16_what_is_rewritten_is_canonical_again(
            raw in "/api(/([a-c.~%@:&=+]|%2e|%C3%A9|%20|\\.\\.){1,6}){1,3}"
        ) {
            let Ok(path) = canonical(&raw) else { return Ok(()) };
            for (pattern, rewrite) in [
                ("/api/**", "-/api"),
                ("/api/**", "/inner/**"),
                ("/api/{a}/**", "/{a}/inner/**"),
                ("/{x}/{a}/**", "/**"),
            ] {
                let forwarded = rewritten(pattern, rewrite, &path).expect("a good rewrite");
                prop_assert_eq!(canonical(&forwarded), Ok(Cow::Borrowed(&*forwarded)));
            }
        }
    }
}
