use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use plugin_sdk::{Env, Registry};
use sha2::{Digest, Sha256};

use super::source::Source;
use super::{Plan, compile};
use crate::finding::{Finding, Findings, Place};
use crate::table::Size;
use crate::table::document::Document;

/// A longer table than this is refused unread, in bytes.
const MAX_BYTES: u64 = 4 << 20;
/// Of a file that the table names, only this much counts, in bytes.
const MAX_FILE_BYTES: u64 = 16 << 20;

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
    let document =
        read(path, &mut findings).and_then(|text| Document::parse(path, &text, &mut findings));
    let Some(document) = document else {
        return Err(Refused {
            findings,
            files: vec![path.to_owned()],
        });
    };
    let mut source = Source::new(&document, kinds, env, findings);
    source.files.insert(path.to_owned());
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

fn read(path: &Path, findings: &mut Findings) -> Option<String> {
    let refuse = |message: String| {
        let place = Place {
            file: path.into(),
            line: 1,
            column: 1,
        };
        Finding::error("file", place, message)
    };
    let text = match std::fs::metadata(path) {
        Ok(metadata) if metadata.len() > MAX_BYTES => {
            Err(format!("is longer than {}", Size(MAX_BYTES)))
        }
        _ => std::fs::read_to_string(path).map_err(|error| format!("can't be read: {error}")),
    };
    text.map_err(|fault| findings.push(refuse(format!("the route table {fault}"))))
        .ok()
}

/// Names the contents of files: the first 12 hex digits of a SHA-256. Reading stops where no good
/// file ends.
pub(crate) fn version(files: &[PathBuf]) -> String {
    let mut hash = Sha256::new();
    for file in files {
        let mut contents = Vec::new();
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
