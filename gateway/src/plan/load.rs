use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use plugin_sdk::{Env, Registry};
use sha2::{Digest, Sha256};

use super::source::Source;
use super::{Plan, compile};
use crate::finding::Findings;
use crate::table::document::Document;
use crate::table::include::{expand, include, is_wild};

/// Of a file that the table names, only this much counts, in bytes.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// Findings after which a table is not whole.
const UNREAD: [&str; 2] = ["file", "yaml.syntax"];

/// A route table that was taken.
pub struct Loaded {
    /// What decides.
    pub plan: Plan,
    /// What should be looked at all the same.
    pub warnings: Findings,
    /// Every file that it was made of.
    pub files: Vec<PathBuf>,
}

/// A route table that was refused.
#[derive(Debug, Clone)]
pub struct Refused {
    /// Why, and the warnings beside.
    pub findings: Findings,
    /// Every file that it would have been made of, as far as that could be told.
    pub files: Vec<PathBuf>,
}

/// Reads and compiles a route table and runs its own tests. All faults are gathered first.
pub fn load(path: &Path, kinds: Registry, env: &Env) -> Result<Loaded, Refused> {
    let mut findings = Findings::default();
    let mut files = BTreeSet::from([path.to_owned()]);
    let document = Document::open(path, "the route table", &mut findings);
    let document = document.and_then(|mut document| {
        files.extend(include(&mut document, path, &mut findings));
        // What is missing of the table would be missed in every other part of it.
        let whole = !findings
            .iter()
            .any(|finding| UNREAD.contains(&&*finding.code));
        whole.then_some(document)
    });
    let Some(document) = document else {
        let files = files.into_iter().collect();
        return Err(Refused { findings, files });
    };
    let mut source = Source::new(&document, kinds, env, findings);
    source.files.extend(files);
    let plan = compile::compile(&mut source);
    let files: Vec<PathBuf> = source.files.iter().cloned().collect();
    match plan {
        Some(mut plan) if !source.findings.refuse() => {
            plan.version = version(&files);
            Ok(Loaded {
                plan,
                warnings: source.findings,
                files,
            })
        }
        _ => Err(Refused {
            findings: source.findings,
            files,
        }),
    }
}

/// Names the contents of files: the first 12 hex digits of a SHA-256. Reading stops where no good
/// file ends. Of a pattern it is the names that fit: a new file is an edit too.
pub(crate) fn version(files: &[PathBuf]) -> String {
    let mut hash = Sha256::new();
    for file in files {
        let mut contents = Vec::new();
        if is_wild(file) {
            for name in expand(file).unwrap_or_default() {
                hash.update(name.as_os_str().as_encoded_bytes());
                hash.update([0]);
            }
            continue;
        }
        // What can't be read is told apart from what is empty.
        let read =
            File::open(file).and_then(|file| file.take(MAX_FILE_BYTES).read_to_end(&mut contents));
        hash.update([u8::from(read.is_ok())]);
        hash.update(contents);
    }
    hash.finalize()[..6]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
