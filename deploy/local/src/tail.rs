//! The end of a log, for an error message.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

const BYTES: u64 = 4096;
const LINES: usize = 20;

/// The last lines of the file, or nothing when it cannot be read.
pub(crate) fn of(path: &Path) -> String {
    let mut bytes = Vec::new();
    // A missing log must not hide the error that it was to explain.
    let _ = File::open(path).and_then(|mut file| {
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(BYTES)))?;
        file.read_to_end(&mut bytes)
    });
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
