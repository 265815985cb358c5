//! How long files are. `cargo test -p loadtest --test tidy sizes -- --nocapture` prints it.

use crate::{
    clean, finds,
    tree::{self, FILES},
};

/// Past this a reader has lost the beginning before the end.
const LONGEST: usize = 600;

/// ARCHITECTURE.md is read in one sitting, or not at all.
const ARCHITECTURE_LONGEST: usize = 150;

fn too_long(path: &str, lines: usize) -> Vec<String> {
    let most = if path == "ARCHITECTURE.md" {
        ARCHITECTURE_LONGEST
    } else {
        LONGEST
    };
    if lines <= most {
        return Vec::new();
    }
    vec![format!(
        "{path} has {lines} lines, {most} at most: cut it where a second reader would look under another name"
    )]
}

/// Median, 90th percentile and longest of some lengths in order.
fn spread(sorted: &[usize]) -> [usize; 3] {
    let at = |part: usize| {
        sorted
            .get(sorted.len().saturating_sub(1) * part / 100)
            .copied()
            .unwrap_or(0)
    };
    [at(50), at(90), at(100)]
}

#[test]
fn files_stay_short() {
    clean(
        &FILES
            .iter()
            .flat_map(|file| too_long(&file.path, file.text.lines().count()))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn sizes() {
    let shipped = tree::rust().map(|file| tree::shipped(&file.path, &file.text).lines().count());
    let mut shipped: Vec<_> = shipped.filter(|lines| *lines > 0).collect();
    let mut whole: Vec<_> = tree::rust().map(|file| file.text.lines().count()).collect();
    for (what, lengths) in [
        ("whole Rust files", &mut whole),
        ("without tests", &mut shipped),
    ] {
        lengths.sort_unstable();
        let [median, p90, longest] = spread(lengths);
        let (files, lines) = (lengths.len(), lengths.iter().sum::<usize>());
        eprintln!(
            "{what}: {files} files, {lines} lines; median {median}, p90 {p90}, longest {longest}"
        );
    }
}

#[test]
fn a_long_file_is_found() {
    finds(&too_long("x.rs", 601), "600");
    finds(&too_long("ARCHITECTURE.md", 151), "150");
    clean(&too_long("x.rs", 600));
    let hundred: Vec<usize> = (1..=101).collect();
    assert_eq!(spread(&hundred), [51, 91, 101]);
    assert_eq!(spread(&[]), [0, 0, 0]);
}
