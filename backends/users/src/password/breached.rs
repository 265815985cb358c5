//! The operator's own file of breached passwords, as large as it may be.
//!
//! It has the form in which Have I Been Pwned gives its list away: lines `HASH:COUNT`, ordered by
//! the hash, which is SHA-1 in hexadecimal. The whole list has tens of gigabytes, so it is never
//! loaded: a look-up halves the file until it stands on the line, in some forty small reads.
//!
//! The file is opened anew for each look-up, so that the operator may put a newer one in its place
//! at any time (with `mv`, so that nobody meets half of it).

use std::{
    fs::File,
    io::{self, ErrorKind},
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
};

use prometheus::IntCounter;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

/// Hexadecimal digits of SHA-1.
const HASH: usize = 40;
/// No line is longer, its end included.
const MAX_LINE: usize = 80;

/// Where the file is, and how it fares.
pub(crate) struct BreachedFile {
    path: PathBuf,
    is_lost: AtomicBool,
    failures: IntCounter,
}

impl BreachedFile {
    /// Refuses what is no such file, so that a mistake shows at the start.
    pub(crate) fn open(path: PathBuf) -> io::Result<Self> {
        let file = File::open(&path)?;
        if line_from(&file, 0)?.is_none() {
            return Err(malformed());
        }
        let failures = IntCounter::new(
            "users_breached_file_failures_total",
            "Look-ups that the file of breached passwords could not answer",
        );
        Ok(Self {
            path,
            is_lost: AtomicBool::new(false),
            failures: failures.expect("a valid metric"),
        })
    }

    /// How often the file gave no answer.
    pub(crate) fn failures(&self) -> IntCounter {
        self.failures.clone()
    }

    /// Tells whether a password is in the file. When the file can't be read the answer is no, and
    /// the list that the program carries goes on by itself: people must be able to change their
    /// passwords, above all when something is amiss. It is counted each time and said once.
    ///
    /// Reads from a disk: not for a thread that serves others.
    pub(crate) fn holds(&self, password: &[u8]) -> bool {
        let answer = File::open(&self.path).and_then(|file| find(&file, &sha1(password)));
        match answer {
            Ok(holds) => {
                if self.is_lost.swap(false, Ordering::Relaxed) {
                    tracing::info!("the file of breached passwords is back");
                }
                holds
            }
            Err(error) => {
                self.failures.inc();
                if !self.is_lost.swap(true, Ordering::Relaxed) {
                    tracing::error!(
                        path = %self.path.display(), %error,
                        "the file of breached passwords can't be read: only the bundled list is asked",
                    );
                }
                false
            }
        }
    }
}

fn sha1(password: &[u8]) -> [u8; HASH] {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut hex = [0; HASH];
    // What the list is made with; nothing is protected by it here.
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, password);
    for (pair, byte) in hex.chunks_exact_mut(2).zip(hash.as_ref()) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    hex
}

fn find(file: &File, wanted: &[u8; HASH]) -> io::Result<bool> {
    // The line, if it is there, begins in `from..to`.
    let (mut from, mut to) = (0, file.metadata()?.len());
    while from < to {
        let middle = from + (to - from) / 2;
        match line_from(file, middle)? {
            Some((start, hash)) if start < to => match hash.cmp(wanted) {
                std::cmp::Ordering::Equal => return Ok(true),
                std::cmp::Ordering::Less => from = start + 1,
                std::cmp::Ordering::Greater => to = middle,
            },
            _ => to = middle,
        }
    }
    Ok(false)
}

/// The first line that begins at `offset` or after it: where, and its hash.
fn line_from(file: &File, offset: u64) -> io::Result<Option<(u64, [u8; HASH])>> {
    let mut buffer = [0; 2 * MAX_LINE];
    // One byte before, where the line's predecessor ends if it begins at `offset` itself.
    let at = offset.saturating_sub(1);
    let read = read_at(file, &mut buffer, at)?;
    let read = &buffer[..read];
    let skipped = if offset == 0 {
        0
    } else {
        match read.iter().take(MAX_LINE).position(|byte| *byte == b'\n') {
            Some(end) => end + 1,
            None if read.len() < MAX_LINE => return Ok(None),
            None => return Err(malformed()),
        }
    };
    let line = &read[skipped..];
    if line.is_empty() {
        return Ok(None);
    }
    let Some((hash, rest)) = line.split_first_chunk::<HASH>() else {
        return Err(malformed());
    };
    if rest.first() != Some(&b':') || !hash.iter().all(u8::is_ascii_hexdigit) {
        return Err(malformed());
    }
    Ok(Some((
        at + skipped as u64,
        hash.to_ascii_uppercase().try_into().expect("as long"),
    )))
}

fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], at + filled as u64) {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn malformed() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "a line is not HASH:COUNT")
}

#[cfg(test)]
mod tests {
    use std::{env, fs, process};

    use super::*;

    /// A file that is gone with its test.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str, text: &str) -> Self {
            let path = env::temp_dir().join(format!("breached-{name}-{}", process::id()));
            fs::write(&path, text).expect("written");
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            // It may be gone already.
            let _ = fs::remove_file(&self.0);
        }
    }

    fn list(passwords: impl Iterator<Item = String>, end: &str) -> String {
        let mut hashes: Vec<String> = passwords
            .map(|password| String::from_utf8(sha1(password.as_bytes()).to_vec()).expect("ASCII"))
            .collect();
        hashes.sort();
        let mut text = String::new();
        for (n, hash) in hashes.iter().enumerate() {
            // Lines of several lengths.
            text += &format!(
                "{hash}:{}{end}",
                7_u64.pow(u32::try_from(n % 12).expect("small"))
            );
        }
        text
    }

    #[test]
    fn the_hash_is_the_one_that_the_list_is_made_with() {
        // Of the list itself, as its documentation shows it.
        assert_eq!(
            &sha1(b"password"),
            b"5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8"
        );
    }

    #[test]
    fn each_line_is_found_and_nothing_between_them() {
        for (count, end) in [
            (1, "\n"),
            (2, "\r\n"),
            (3, "\n"),
            (1_000, "\r\n"),
            (1_001, "\n"),
        ] {
            let text = list((0..count).map(|n| format!("leaked {n}")), end);
            // With the last line's end and without.
            for text in [text.as_str(), text.trim_end()] {
                let scratch = Scratch::new("found", text);
                let file = BreachedFile::open(scratch.0.clone()).expect("such a file");
                for n in 0..count {
                    assert!(
                        file.holds(format!("leaked {n}").as_bytes()),
                        "{n} of {count}"
                    );
                    assert!(
                        !file.holds(format!("kept {n}").as_bytes()),
                        "{n} of {count}"
                    );
                }
                assert_eq!(file.failures.get(), 0);
            }
        }
    }

    #[test]
    fn another_file_is_refused_at_the_start() {
        for text in [
            "",
            "password\n",
            "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8\n",
        ] {
            let scratch = Scratch::new("refused", text);
            assert!(BreachedFile::open(scratch.0.clone()).is_err(), "{text:?}");
        }
        assert!(BreachedFile::open("/nowhere/breached.txt".into()).is_err());
    }

    #[test]
    fn a_file_that_is_lost_answers_no_until_it_is_back() {
        let text = list((0..50).map(|n| format!("leaked {n}")), "\n");
        let scratch = Scratch::new("lost", &text);
        let file = BreachedFile::open(scratch.0.clone()).expect("such a file");
        fs::remove_file(&scratch.0).expect("removed");
        assert!(!file.holds(b"leaked 1"));
        assert!(!file.holds(b"leaked 2"));
        assert!(file.is_lost.load(Ordering::Relaxed));
        assert_eq!(file.failures.get(), 2);
        fs::write(&scratch.0, "x".repeat(1_000)).expect("written");
        assert!(!file.holds(b"leaked 1"));
        assert_eq!(file.failures.get(), 3);
        fs::write(&scratch.0, &text).expect("written");
        assert!(file.holds(b"leaked 1"));
        assert!(!file.is_lost.load(Ordering::Relaxed));
    }
}
