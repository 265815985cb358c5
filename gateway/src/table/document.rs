//! A YAML document with the position of every key and value; of one file, or of several that were
//! taken into one.

mod node;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use serde_saphyr::{DuplicateKeyPolicy, Location, Spanned};

use super::size::Size;
use super::suggest;
use crate::finding::{Finding, Findings, Place};
use node::Value;

pub(crate) use node::Node;

/// A longer file than this is refused unread, in bytes.
const MAX_BYTES: u64 = 4 << 20;

/// What an included file may say: its keys, and whether each holds a list. All others are the
/// table's own.
const SHARED: [(&str, bool); 7] = [
    ("upstreams", false),
    ("auth", false),
    ("limits", false),
    ("caches", false),
    ("plugins", false),
    ("routes", true),
    ("tests", true),
];

/// A parsed file, and what was taken in of others.
pub(crate) struct Document {
    files: Vec<Arc<Path>>,
    root: Node,
}

impl Document {
    /// Reads and parses a file; `what` says what it is.
    pub(crate) fn open(file: &Path, what: &str, findings: &mut Findings) -> Option<Self> {
        match read(file) {
            Ok(text) => Self::parse(file, &text, findings),
            Err(fault) => {
                let place = Place {
                    file: file.into(),
                    line: 1,
                    column: 1,
                };
                findings.push(Finding::error("file", place, format!("{what} {fault}")));
                None
            }
        }
    }

    /// Takes another file's entries in. Names that stand in both are errors that tell both places.
    pub(crate) fn take_in(&mut self, mut other: Self, findings: &mut Findings) {
        let file = self.files.len();
        self.files.append(&mut other.files);
        other.root.stamp(file);
        let place = self.at(&other.root);
        let Value::Map(sections) = other.root.value else {
            let message = "the included file must be a map of sections";
            findings.push(Finding::error("include.value", place, message));
            return;
        };
        for (key, theirs) in sections {
            let place = self.place_at(theirs.file, key.referenced);
            let Some((_, list)) = SHARED.iter().find(|(name, _)| *name == key.value) else {
                let message = format!("an included file has no key `{}`", key.value);
                let hint = match &*key.value {
                    "include" => "the table itself names all files".into(),
                    _ => suggest::hint(&key.value, SHARED.iter().map(|(name, _)| *name)),
                };
                findings.push(Finding::error("include.key", place, message).hint(hint));
                continue;
            };
            if if *list {
                !theirs.is_list()
            } else {
                !theirs.is_map()
            } {
                let kind = if *list { "a list" } else { "a map of names" };
                let message = format!("`{}` must be {kind}", key.value);
                findings.push(Finding::error(
                    format!("{}.value", key.value),
                    place,
                    message,
                ));
                continue;
            }
            self.merge(key, theirs, findings);
        }
    }

    fn merge(&mut self, key: Spanned<String>, theirs: Node, findings: &mut Findings) {
        let section = key.value.clone();
        let twice = self.twice(&section, &theirs);
        findings.extend(twice);
        let Value::Map(sections) = &mut self.root.value else {
            return;
        };
        let ours = sections
            .iter_mut()
            .find(|(known, _)| known.value == section);
        match (ours.map(|(_, ours)| &mut ours.value), theirs.value) {
            (Some(Value::Map(ours)), Value::Map(theirs)) => ours.extend(theirs),
            (Some(Value::List(ours)), Value::List(theirs)) => ours.extend(theirs),
            (None, value) => sections.push((key, Node { value, ..theirs })),
            // What the table itself has wrong is told where its section is compiled.
            (Some(_), _) => {}
        }
    }

    fn twice(&self, section: &str, theirs: &Node) -> Vec<Finding> {
        let known = self.root.get(section);
        let both = theirs.entries().iter().filter_map(|(key, value)| {
            let first = known?.entries().iter();
            let (first, node) = first.into_iter().find(|(one, _)| one.value == key.value)?;
            let first = self.place_at(node.file, first.referenced);
            let place = self.place_at(value.file, key.referenced);
            let message = format!(
                "`{}` stands in `{section}` twice, first {}",
                key.value,
                first.from(&place)
            );
            Some(Finding::error("include.twice", place, message))
        });
        both.collect()
    }

    /// Parses a file. Syntax errors end it; keys that stand there twice are all found.
    pub(crate) fn parse(file: &Path, text: &str, findings: &mut Findings) -> Option<Self> {
        let file: Arc<Path> = file.into();
        let options = serde_saphyr::options! {
            duplicate_keys: DuplicateKeyPolicy::PassThrough,
            strict_booleans: true,
            with_snippet: false,
        };
        match serde_saphyr::from_str_with_options::<Spanned<Value>>(text, options) {
            Ok(root) => {
                let document = Self {
                    files: vec![file],
                    root: root.into(),
                };
                document.find_duplicates(&document.root, findings);
                Some(document)
            }
            Err(error) => {
                let at = error.location().unwrap_or(Location::UNKNOWN);
                let message = error.to_string();
                // The parser repeats the position, in words of its own.
                let message = message.split(" at line ").next().unwrap_or(&message);
                let place = Place {
                    file,
                    line: at.line().max(1),
                    column: at.column().max(1),
                };
                findings.push(Finding::error("yaml.syntax", place, message));
                None
            }
        }
    }

    /// The whole.
    pub(crate) fn root(&self) -> &Node {
        &self.root
    }

    /// Where the value at the end of a path begins, or the last part of the path that is there.
    pub(crate) fn place<S: AsRef<str>>(&self, path: &[S]) -> Place {
        let mut node = &self.root;
        for step in path {
            match node.get(step.as_ref()) {
                Some(next) => node = next,
                None => break,
            }
        }
        self.at(node)
    }

    /// Where the last key of a path stands, or the last part of the path that is there.
    pub(crate) fn place_of_key<S: AsRef<str>>(&self, path: &[S]) -> Place {
        let Some((last, parents)) = path.split_last() else {
            return self.at(&self.root);
        };
        let parent = parents
            .iter()
            .try_fold(&self.root, |node, step| node.get(step.as_ref()));
        let key = parent.and_then(|node| match &node.value {
            Value::Map(entries) => entries.iter().find(|(key, _)| key.value == last.as_ref()),
            _ => None,
        });
        key.map_or_else(
            || self.place(path),
            |(key, value)| self.place_at(value.file, key.referenced),
        )
    }

    fn at(&self, node: &Node) -> Place {
        self.place_at(node.file, node.at)
    }

    fn place_at(&self, file: usize, at: Location) -> Place {
        Place {
            file: self.files[file].clone(),
            line: at.line(),
            column: at.column(),
        }
    }

    fn find_duplicates(&self, node: &Node, findings: &mut Findings) {
        let mut seen: HashMap<&str, u64> = HashMap::new();
        for (key, value) in node.entries() {
            let line = key.referenced.line();
            match seen.entry(&key.value) {
                Entry::Vacant(entry) => {
                    entry.insert(line);
                }
                Entry::Occupied(first) => {
                    let first = first.get();
                    let message =
                        format!("`{}` stands there twice, first on line {first}", key.value);
                    let place = self.place_at(value.file, key.referenced);
                    findings.push(Finding::error("yaml.key.duplicate", place, message));
                }
            }
            self.find_duplicates(value, findings);
        }
        for item in node.items() {
            self.find_duplicates(item, findings);
        }
    }
}

/// Reads a file, at most so much of it: a device has no length that could be asked for.
fn read(file: &Path) -> Result<String, String> {
    let fault = |error: io::Error| format!("can't be read: {error}");
    let open = File::open(file).map_err(fault)?;
    let mut text = String::new();
    let read = open.take(MAX_BYTES + 1).read_to_string(&mut text);
    match u64::try_from(text.len()) {
        Ok(..=MAX_BYTES) => read.map(|_| text).map_err(fault),
        _ => Err(format!("is longer than {}", Size(MAX_BYTES))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (Option<Document>, String) {
        let mut findings = Findings::default();
        let document = Document::parse(Path::new("t.yaml"), text, &mut findings);
        (document, findings.to_string())
    }

    #[test]
    fn every_key_and_value_has_a_place() {
        let (document, _) = parse("a:\n  b: [1, {c: no}]\n# why\nd: 5s\n");
        let document = document.expect("YAML");
        for (path, place, of_key) in [
            (&["a", "b"][..], "t.yaml:2:6", "t.yaml:2:3"),
            (&["a", "b", "1", "c"], "t.yaml:2:14", "t.yaml:2:11"),
            (&["d"], "t.yaml:4:4", "t.yaml:4:1"),
            (&["a", "x"], "t.yaml:2:3", "t.yaml:2:3"),
        ] {
            assert_eq!(document.place(path).to_string(), place, "{path:?}");
            assert_eq!(document.place_of_key(path).to_string(), of_key, "{path:?}");
        }
        let json = serde_json::json!({"a": {"b": [1, {"c": "no"}]}, "d": "5s"});
        assert_eq!(document.root().to_json(), json);
    }

    #[test]
    fn all_duplicates_are_found() {
        let (document, findings) = parse("a: 1\nb: {c: 1, c: 2}\na: 2\n");
        assert!(document.is_some());
        assert_eq!(
            findings.matches("yaml.key.duplicate").count(),
            2,
            "{findings}"
        );
    }

    #[test]
    fn gateway_40_a_file_without_an_end_is_refused() {
        let mut findings = Findings::default();
        let document = Document::open(Path::new("/dev/zero"), "the table", &mut findings);
        assert!(document.is_none());
        let findings = findings.to_string();
        assert!(findings.contains("is longer than 4MiB"), "{findings}");
    }

    #[test]
    fn bombs_are_refused() {
        let mut bomb = String::from("a0: &a0 [x, x]\n");
        for level in 1..40 {
            let below = level - 1;
            bomb += &format!("a{level}: &a{level} [*a{below}, *a{below}]\n");
        }
        let (document, findings) = parse(&bomb);
        assert!(document.is_none(), "{findings}");
        let deep = "[".repeat(100_000);
        assert!(parse(&deep).0.is_none());
    }
}
