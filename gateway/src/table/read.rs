//! One entry of the table into its type, with all its faults located. What can't be read is struck
//! out and the rest is read again, so that the second mistake shows beside the first.

use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::document::Document;
use super::suggest;
use crate::finding::{Finding, Findings};

/// A part of the table that has a name.
#[derive(Clone)]
pub(crate) struct Part<'a> {
    /// The table.
    pub(crate) document: &'a Document,
    /// Where in it.
    pub(crate) path: Vec<String>,
    /// What codes begin with: `route`.
    pub(crate) code: &'static str,
    /// What messages begin with: `route "wallets.read"`.
    pub(crate) name: String,
}

/// Why a value was refused, and where in it.
pub(crate) struct Fault {
    /// Keys and indexes from the value's root.
    pub(crate) at: Vec<String>,
    /// What is wrong.
    pub(crate) message: String,
    /// What would be right, when whoever refused it knows.
    pub(crate) hint: Option<String>,
}

impl Part<'_> {
    /// Reads it as `T`. `None` when nothing of it can be kept.
    pub(crate) fn read<T: DeserializeOwned>(&self, findings: &mut Findings) -> Option<T> {
        self.attempt(self.json(), findings, |json| {
            serde_path_to_error::deserialize(json).map_err(|error| Fault {
                at: error
                    .path()
                    .iter()
                    .map(ToString::to_string)
                    .filter(|step| step != "?")
                    .collect(),
                message: error.inner().to_string(),
                hint: None,
            })
        })
    }

    /// Makes something of a value, as often as it takes to find all its faults.
    pub(crate) fn attempt<T>(
        &self,
        mut json: Json,
        findings: &mut Findings,
        make: impl Fn(Json) -> Result<T, Fault>,
    ) -> Option<T> {
        let mut struck: Vec<String> = Vec::new();
        loop {
            let fault = match make(json.clone()) {
                Ok(made) => return Some(made),
                Err(fault) => fault,
            };
            if is_consequence(&fault, &struck) {
                return None;
            }
            if let Some(meant) = misspelt(&fault) {
                struck.push(meant);
            }
            let last = strike(&mut json, &fault.at);
            findings.push(self.finding(fault));
            struck.push(last?);
        }
    }

    /// What the table says, without positions.
    pub(crate) fn json(&self) -> Json {
        let mut steps = self.path.iter();
        let node = steps.try_fold(self.document.root(), |node, step| node.get(step));
        node.map_or(Json::Null, |node| node.to_json())
    }

    /// The same, further in.
    pub(crate) fn at<S: ToString>(&self, steps: &[S]) -> Vec<String> {
        let steps = steps.iter().map(ToString::to_string);
        self.path.iter().cloned().chain(steps).collect()
    }

    /// An error at a place within.
    pub(crate) fn error(&self, code: &str, at: &[&str], message: impl AsRef<str>) -> Finding {
        let place = self.document.place(&self.at(at));
        let message = format!("{} {}", self.name, message.as_ref());
        Finding::error(format!("{}.{code}", self.code), place, message)
    }

    /// A warning at a place within.
    pub(crate) fn warning(&self, code: &str, at: &[&str], message: impl AsRef<str>) -> Finding {
        let place = self.document.place(&self.at(at));
        let message = format!("{} {}", self.name, message.as_ref());
        Finding::warning(format!("{}.{code}", self.code), place, message)
    }

    fn finding(&self, fault: Fault) -> Finding {
        let at = self.at(&fault.at);
        let code = |code: &str| format!("{}.{code}", self.code);
        let finding = if let Some(key) = quoted(&fault.message, "unknown field ") {
            let place = self.document.place_of_key(&at);
            let message = format!("{} has no key `{key}`", self.name);
            let known = expected(&fault.message);
            Finding::error(code("key.unknown"), place, message)
                .hint(suggest::hint(&key, known.iter().map(String::as_str)))
        } else if let Some(key) = quoted(&fault.message, "missing field ") {
            let message = format!("{} lacks `{}`", self.name, dotted(&fault.at, &key));
            Finding::error(code("key.missing"), self.document.place(&at), message)
        } else {
            let message = match fault.at.is_empty() {
                true => format!("{}: {}", self.name, fault.message),
                false => format!("{}, `{}`: {}", self.name, fault.at.join("."), fault.message),
            };
            let finding = Finding::error(code("value"), self.document.place(&at), message);
            match self.hint_for(&at, &fault.message) {
                Some(hint) => finding.hint(hint),
                None => finding,
            }
        };
        match fault.hint {
            Some(hint) => finding.hint(hint),
            None => finding,
        }
    }

    /// What the value should have been, where that can be told from it.
    fn hint_for(&self, at: &[String], message: &str) -> Option<String> {
        if let Some(variant) = quoted(message, "unknown variant ") {
            let known = expected(message);
            return Some(suggest::hint(&variant, known.iter().map(String::as_str)));
        }
        let here = Part {
            path: at.to_vec(),
            ..self.clone()
        };
        let written = match here.json() {
            Json::Number(_) if message.ends_with("expected a string") => {
                return Some(
                    "a bare number lacks its unit; if it is text, put it in quotes".into(),
                );
            }
            Json::Number(number) => number.to_string(),
            Json::String(text) => text,
            _ => return None,
        };
        suggest::with_unit(&written, message)
    }
}

/// Whether a fault is only there because of what was struck out, under its own name or the one
/// that was meant.
fn is_consequence(fault: &Fault, struck: &[String]) -> bool {
    match quoted(&fault.message, "missing field ") {
        Some(field) => struck.contains(&dotted(&fault.at, &field)),
        None => fault.at.is_empty() && !struck.is_empty(),
    }
}

/// The key that an unknown one was meant to be.
fn misspelt(fault: &Fault) -> Option<String> {
    let (_, parents) = fault.at.split_last()?;
    let wrong = quoted(&fault.message, "unknown field ")?;
    let known = expected(&fault.message);
    let meant = suggest::nearest(&wrong, known.iter().map(String::as_str))?;
    Some(dotted(parents, meant))
}

/// Takes the innermost key of a path out of a value; gives back its path, dotted. Elements of a
/// list go with their key, so that the indexes of later faults stay true.
fn strike(json: &mut Json, at: &[String]) -> Option<String> {
    for depth in (0..at.len()).rev() {
        let parent = at[..depth]
            .iter()
            .try_fold(&mut *json, |node, step| match node {
                Json::Object(map) => map.get_mut(step),
                Json::Array(items) => items.get_mut(step.parse::<usize>().ok()?),
                _ => None,
            });
        if let Some(Json::Object(map)) = parent
            && map.remove(&at[depth]).is_some()
        {
            return Some(at[..=depth].join("."));
        }
    }
    None
}

fn dotted(at: &[String], key: &str) -> String {
    let mut steps: Vec<&str> = at.iter().map(String::as_str).collect();
    steps.push(key);
    steps.join(".")
}

/// The word in backticks after a phrase.
fn quoted(message: &str, phrase: &str) -> Option<String> {
    let rest = message.strip_prefix(phrase)?.strip_prefix('`')?;
    Some(rest.split_once('`')?.0.to_owned())
}

/// The words in backticks that serde expected.
fn expected(message: &str) -> Vec<String> {
    let Some((_, words)) = message.split_once(", expected ") else {
        return Vec::new();
    };
    words
        .split('`')
        .skip(1)
        .step_by(2)
        .map(String::from)
        .collect()
}
