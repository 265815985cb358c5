//! What is wrong with a configuration, where, and what would be right.

use std::fmt;
use std::path::{Path, PathBuf};

use serde_saphyr::{Error, Location};

/// One mistake.
#[derive(Debug, Clone)]
pub struct Mistake {
    place: Place,
    message: String,
    hint: Option<String>,
}

/// Where something stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    file: PathBuf,
    /// Line and column, from 1; none for the file as a whole.
    at: Option<(u64, u64)>,
}

impl Place {
    pub(crate) fn file(file: &Path) -> Self {
        Self {
            file: file.to_owned(),
            at: None,
        }
    }

    pub(super) fn of(file: &Path, at: Location) -> Self {
        let known = at != Location::UNKNOWN;
        Self {
            at: known.then(|| (at.line(), at.column())),
            ..Self::file(file)
        }
    }
}

/// All that were found, in the order of the file. The program ends with exit code 2.
#[derive(Debug)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    pub(crate) fn one(mistake: Mistake) -> Self {
        Self(vec![mistake])
    }

    pub(crate) fn of(mut mistakes: Vec<Mistake>) -> Self {
        mistakes.sort_by(|a, b| a.place.cmp(&b.place));
        Self(mistakes)
    }
}

impl Mistake {
    pub(crate) fn new(place: Place, message: impl Into<String>) -> Self {
        Self {
            place,
            message: message.into(),
            hint: None,
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn of_yaml(file: &Path, error: &Error) -> Self {
        let location = error.location().unwrap_or(Location::UNKNOWN);
        let say = |message: String| Self::new(Place::of(file, location), message);
        match error.without_snippet() {
            Error::SerdeUnknownField {
                field, expected, ..
            } => {
                say(format!("unknown key `{field}`")).hint(one_of(field, expected.iter().copied()))
            }
            Error::SerdeUnknownVariant {
                variant, expected, ..
            } => say(format!("`{variant}` is not among the choices"))
                .hint(one_of(variant, expected.iter().copied())),
            Error::SerdeMissingField { field, .. } => {
                say(format!("the key `{field}` is missing")).hint(format!("add `{field}:` here"))
            }
            Error::SerdeInvalidType {
                unexpected,
                expected,
                ..
            }
            | Error::SerdeInvalidValue {
                unexpected,
                expected,
                ..
            } => say(format!("found {unexpected}")).hint(format!("expected {expected}")),
            // serde carries one text only: a type of ours writes its hint behind a semicolon.
            Error::Message { msg, .. } => match msg.split_once("; ") {
                Some((message, hint)) => say(message.to_owned()).hint(hint),
                None => say(msg.clone()),
            },
            other => {
                let text = other.to_string();
                // The place is told in our own way, below.
                let text = text.split(" at line ").next().unwrap_or(&text);
                say(text.strip_prefix("error: ").unwrap_or(text).to_owned())
                    .hint("up to here it was YAML that could be read")
            }
        }
    }
}

/// "did you mean": the nearest of the choices, or all of them.
pub(super) fn one_of<'a>(word: &str, choices: impl Iterator<Item = &'a str>) -> String {
    let choices: Vec<&str> = choices.collect();
    let nearest = choices.iter().min_by_key(|choice| distance(word, choice));
    match nearest {
        Some(nearest) if distance(word, nearest) <= 2 => format!("did you mean `{nearest}`?"),
        Some(_) => format!("expected one of: {}", choices.join(", ")),
        None => "nothing may stand here".to_owned(),
    }
}

/// How many letters to add, drop or exchange (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.chars().enumerate() {
            let exchanged = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = exchanged.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.chars().count()]
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error: {}", self.message)?;
        write!(f, "  --> {}", self.place.file.display())?;
        if let Some((line, column)) = self.place.at {
            write!(f, ":{line}:{column}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n      hint: {hint}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}
