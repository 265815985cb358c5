use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use plugin_sdk::{Env, Link, Period, Registry};

use crate::finding::{Finding, Findings};
use crate::table::document::Document;
use crate::table::read::Part;
use crate::table::suggest;

/// What a plan is compiled from, and what was found so far.
pub(super) struct Source<'a> {
    pub(super) document: &'a Document,
    pub(super) env: Env,
    pub(super) kinds: Registry,
    pub(super) findings: Findings,
    pub(super) files: BTreeSet<PathBuf>,
    used: BTreeSet<(&'static str, String)>,
}

/// The sections of named entries, with what one of them is called.
const NAMED: [(&str, &str); 5] = [
    ("upstreams", "upstream"),
    ("auth", "way to prove who is calling"),
    ("limits", "limit"),
    ("caches", "cache"),
    ("plugins", "plugin"),
];

impl<'a> Source<'a> {
    pub(super) fn new(
        document: &'a Document,
        kinds: Registry,
        env: &Env,
        findings: Findings,
    ) -> Self {
        Self {
            document,
            env: env.clone(),
            kinds,
            findings,
            files: BTreeSet::new(),
            used: BTreeSet::new(),
        }
    }

    /// A top-level key as a part.
    pub(super) fn part(&self, key: &'static str) -> Part<'a> {
        Part {
            document: self.document,
            path: vec![key.to_owned()],
            code: key,
            name: format!("`{key}`"),
        }
    }

    /// The entries of a section, in the order of the file.
    pub(super) fn entries(
        &mut self,
        section: &'static str,
        code: &'static str,
    ) -> Vec<(String, Part<'a>)> {
        let Some(node) = self.document.root().get(section) else {
            return Vec::new();
        };
        if !node.is_map() {
            let finding = self
                .part(section)
                .error("value", &[], "must be a map of names");
            self.findings.push(finding);
        }
        let mut seen = BTreeSet::new();
        let entries = node.keys().filter(|name| seen.insert(*name)).map(|name| {
            let part = Part {
                document: self.document,
                path: vec![section.to_owned(), name.to_owned()],
                code,
                name: format!("{code} \"{name}\""),
            };
            (name.to_owned(), part)
        });
        entries.collect()
    }

    /// Whether a name stands in a section.
    pub(super) fn has(&self, section: &'static str, name: &str) -> bool {
        let known = self.document.root().get(section);
        known.is_some_and(|node| node.get(name).is_some())
    }

    /// Whether a name stands in a section. When it does not, that is an error at `at` in `part`.
    pub(super) fn resolve(
        &mut self,
        section: &'static str,
        name: &str,
        part: &Part<'_>,
        at: &[&str],
    ) -> bool {
        if self.has(section, name) {
            self.used.insert((section, name.to_owned()));
            return true;
        }
        let known = self.document.root().get(section);
        let names = known.into_iter().flat_map(|node| node.keys());
        let finding = part
            .error(
                "name.unknown",
                at,
                format!("names `{name}`, which is not in `{section}`"),
            )
            .hint(suggest::hint(name, names));
        self.findings.push(finding);
        false
    }

    /// The links of a list of names. Unknown names and those named twice are errors.
    pub(super) fn links(
        &mut self,
        section: &'static str,
        key: &str,
        names: &[String],
        known: &BTreeMap<String, Link>,
        part: &Part<'_>,
    ) -> Vec<Link> {
        let mut links = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let at = [key, &index.to_string()];
            if names[..index].contains(name) {
                let message = format!("names `{name}` twice");
                self.findings.push(part.error("name.twice", &at, message));
            } else if self.resolve(section, name, part, &at) {
                // What has its name and no link was refused where it stands.
                links.extend(known.get(name).cloned());
            }
        }
        links
    }

    /// A length of time that must be one: zero reads like "at once" to one and "never" to another.
    pub(super) fn positive(
        &mut self,
        period: Option<Period>,
        default: Duration,
        part: &Part<'_>,
        at: &[&str],
    ) -> Duration {
        let Some(period) = period else {
            return default;
        };
        if period.0.is_zero() {
            let finding = part.error("zero", at, format!("gives `{}` no time", at.join(".")));
            let hint = format!("write `{}` or leave the key out", Period(default));
            self.findings.push(finding.hint(hint));
        }
        period.0
    }

    /// A file that the plan depends on, under the table's folder. `false` when it is not there.
    pub(super) fn file(&mut self, path: &str, part: &Part<'_>, at: &[&str]) -> bool {
        if path.contains("-----BEGIN") {
            let finding = part.error(
                "literal",
                at,
                "holds a key itself where its file should be named",
            );
            self.findings
                .push(finding.hint("secrets don't stand in the table"));
            return false;
        }
        let full = self.env.path(path);
        let fault = match std::fs::metadata(&full) {
            Ok(metadata) if metadata.is_file() => None,
            Ok(_) => Some("it is no file".to_owned()),
            Err(error) => Some(error.to_string()),
        };
        self.files.insert(full);
        let Some(fault) = fault else { return true };
        let finding = part.error(
            "file",
            at,
            format!("names `{path}`, which can't be read: {fault}"),
        );
        self.findings.push(finding);
        false
    }

    /// Warns of entries that no route names.
    pub(super) fn warn_of_unused(&mut self) {
        for (section, what) in NAMED {
            let names = self
                .document
                .root()
                .get(section)
                .into_iter()
                .flat_map(|node| node.keys());
            for name in names {
                if self.used.contains(&(section, name.to_owned())) {
                    continue;
                }
                let place = self.document.place_of_key(&[section, name]);
                let message = format!("no route uses the {what} `{name}`");
                self.findings.push(Finding::warning(
                    format!("{section}.unused"),
                    place,
                    message,
                ));
            }
        }
    }
}
