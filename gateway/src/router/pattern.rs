use std::fmt;
use std::sync::Arc;

use crate::path;

/// The path of a route: `/v1/me`, `/v1/wallets/{wallet_id}`, `/files/**`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    segments: Vec<Segment>,
    tail: bool,
}

/// One step of a [`Pattern`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// Just this text, in canonical form.
    Literal(Box<str>),
    /// Any one segment, under this name.
    Param(Arc<str>),
}

/// Why a pattern was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// No request could ever have this path.
    #[error("`{0}` can never match: {1}")]
    Unmatchable(String, path::PathError),
    /// The literal has another canonical spelling.
    #[error("`{0}` can never match: its canonical form is `{1}`")]
    NotCanonical(String, String),
    /// `{…}` around something that is not a name.
    #[error(
        "`{0}` is no parameter: expected {{name}} with letters, digits and _, as a whole segment"
    )]
    BadParam(String),
    /// The same name twice.
    #[error("the parameter `{0}` stands there twice")]
    TwiceNamed(String),
    /// `*` elsewhere than in a last `**`.
    #[error("`{0}` is no wildcard: only a last `/**` is")]
    BadWildcard(String),
}

impl Pattern {
    /// Reads a pattern.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let (stem, tail) = match text.strip_suffix("/**") {
            Some(stem) => (stem, true),
            None => (text, false),
        };
        let mut segments: Vec<Segment> = Vec::new();
        let steps = stem.strip_prefix('/').filter(|rest| !rest.is_empty());
        for step in steps.into_iter().flat_map(|rest| rest.split('/')) {
            let segment = parse_segment(step)?;
            if segments.contains(&segment)
                && let Segment::Param(name) = &segment
            {
                return Err(PatternError::TwiceNamed(name.to_string()));
            }
            segments.push(segment);
        }
        if steps.is_none() && !(stem == "/" || tail && stem.is_empty()) {
            let error = path::canonical(stem)
                .err()
                .unwrap_or(path::PathError::EmptySegment);
            return Err(PatternError::Unmatchable(text.to_owned(), error));
        }
        Ok(Self { segments, tail })
    }

    /// Its steps.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Whether it ends in `/**`: it then takes its stem and all below.
    pub fn has_tail(&self) -> bool {
        self.tail
    }

    /// The names of its parameters, in order.
    pub fn params(&self) -> impl Iterator<Item = &Arc<str>> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Param(name) => Some(name),
            Segment::Literal(_) => None,
        })
    }

    /// The same, less its first segments.
    pub fn without_first(&self, segments: usize) -> Self {
        Self {
            segments: self.segments.get(segments..).unwrap_or_default().to_vec(),
            tail: self.tail,
        }
    }

    /// How specific it is; of two patterns that fit a path the smaller one decides.
    pub fn rank(&self) -> Vec<u8> {
        let segments = self.segments.iter().map(|segment| match segment {
            Segment::Literal(_) => 0,
            Segment::Param(_) => 1,
        });
        segments.chain(self.tail.then_some(2)).collect()
    }

    /// Whether some path fits both.
    pub fn overlaps(&self, other: &Self) -> bool {
        let mut pairs = self.segments.iter().zip(&other.segments);
        let alike = pairs.all(|(ours, theirs)| match (ours, theirs) {
            (Segment::Literal(one), Segment::Literal(other)) => one == other,
            _ => true,
        });
        let (ours, theirs) = (self.segments.len(), other.segments.len());
        alike && (ours >= theirs || self.tail) && (theirs >= ours || other.tail)
    }

    /// Whether every path that fits this one fits the other too.
    pub fn is_within(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.segments.len(), other.segments.len());
        let mut pairs = self.segments.iter().zip(&other.segments);
        let covered = pairs.all(|(ours, theirs)| match (ours, theirs) {
            (_, Segment::Param(_)) => true,
            (Segment::Literal(one), Segment::Literal(other)) => one == other,
            (Segment::Param(_), Segment::Literal(_)) => false,
        });
        covered && ours >= theirs && (other.tail || ours == theirs && !self.tail)
    }

    /// Whether a canonical path fits. The plain definition, which the router must agree with.
    pub fn matches(&self, path: &str) -> bool {
        let mut steps = path.split('/').skip(1).filter(|step| !step.is_empty());
        let fits = self.segments.iter().all(|segment| {
            steps.next().is_some_and(|step| match segment {
                Segment::Literal(text) => **text == *step,
                Segment::Param(_) => true,
            })
        });
        fits && (self.tail || steps.next().is_none())
    }
}

fn parse_segment(step: &str) -> Result<Segment, PatternError> {
    if let Some(name) = step
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
    {
        let good = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        return if good {
            Ok(Segment::Param(name.into()))
        } else {
            Err(PatternError::BadParam(step.to_owned()))
        };
    }
    if step.contains(['{', '}']) {
        return Err(PatternError::BadParam(step.to_owned()));
    }
    if step.contains('*') {
        return Err(PatternError::BadWildcard(step.to_owned()));
    }
    let whole = format!("/{step}");
    match path::canonical(&whole) {
        Ok(canonical) if canonical == whole && whole.len() > 1 => Ok(Segment::Literal(step.into())),
        Ok(canonical) if whole.len() > 1 => Err(PatternError::NotCanonical(
            step.to_owned(),
            canonical[1..].to_owned(),
        )),
        Ok(_) => Err(PatternError::Unmatchable(
            whole,
            path::PathError::EmptySegment,
        )),
        Err(error) => Err(PatternError::Unmatchable(whole, error)),
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            match segment {
                Segment::Literal(text) => write!(f, "/{text}")?,
                Segment::Param(name) => write!(f, "/{{{name}}}")?,
            }
        }
        match (self.tail, self.segments.is_empty()) {
            (true, _) => f.write_str("/**"),
            (false, true) => f.write_str("/"),
            (false, false) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_compared_by_what_fits_them() {
        for (one, other, overlaps, within) in [
            ("/a", "/a", true, true),
            ("/a", "/b", false, false),
            ("/a", "/{x}", true, true),
            ("/{x}", "/a", true, false),
            ("/a", "/a/**", true, true),
            ("/a/**", "/a", true, false),
            ("/a/**", "/a/{x}", true, false),
            ("/a/{x}", "/a/**", true, true),
            ("/a/b/**", "/a/{x}/c", true, false),
            ("/a/b/**", "/a/**", true, true),
            ("/a/b", "/a", false, false),
            ("/**", "/a/b", true, false),
            ("/", "/**", true, true),
            ("/", "/{x}", false, false),
        ] {
            let (one, other) = (
                Pattern::parse(one).expect(one),
                Pattern::parse(other).expect(other),
            );
            assert_eq!(one.overlaps(&other), overlaps, "{one} {other}");
            assert_eq!(other.overlaps(&one), overlaps, "{other} {one}");
            assert_eq!(one.is_within(&other), within, "{one} within {other}");
        }
    }

    #[test]
    fn a_good_pattern_is_written_as_it_was_read() {
        for text in [
            "/",
            "/**",
            "/v1/me",
            "/v1/wallets/{wallet_id}/entries",
            "/files/**",
        ] {
            assert_eq!(Pattern::parse(text).expect(text).to_string(), text);
        }
    }

    #[test]
    fn a_bad_pattern_says_why() {
        for (text, message) in [
            (
                "v1/me",
                "`v1/me` can never match: the path must begin with a slash",
            ),
            ("", "`` can never match: the path must begin with a slash"),
            ("/v1/", "`/` can never match: the path has an empty segment"),
            (
                "/v1//me",
                "`/` can never match: the path has an empty segment",
            ),
            (
                "/../me",
                "`/..` can never match: the path has a dot segment",
            ),
            ("/%61", "`%61` can never match: its canonical form is `a`"),
            ("/a*", "`a*` is no wildcard: only a last `/**` is"),
            ("/**/a", "`**` is no wildcard: only a last `/**` is"),
            (
                "/x{id}",
                "`x{id}` is no parameter: expected {name} with letters, digits and _, as a whole segment",
            ),
            ("/{a}/{a}", "the parameter `a` stands there twice"),
        ] {
            assert_eq!(
                Pattern::parse(text).map_err(|e| e.to_string()),
                Err(message.to_owned())
            );
        }
    }
}
