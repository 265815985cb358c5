//! The fuzz targets for a moment: every seed, and then what random changes make of them.
//! `make fuzz` runs the same functions for as long as it is told to.

#[expect(
    unreachable_pub,
    reason = "it is a library for those that run it for hours"
)]
#[path = "../../fuzz/src/lib.rs"]
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// For each target, in seconds, unless `FUZZ_SECONDS` says otherwise.
const MOMENT: u64 = 2;
/// Changed inputs grow no longer than this, in bytes.
const LONGEST: usize = 8 * 1024;

/// Runs a target over its seeds and their offspring; whatever it panics at is shown whole.
#[expect(clippy::print_stdout, reason = "the tally is for people")]
fn run(name: &str, target: fn(&[u8])) {
    let folder = format!("{}/fuzz/seeds/{name}", env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(&folder).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    let seeds: Vec<Vec<u8>> = files
        .iter()
        .map(|file| std::fs::read(file).unwrap())
        .collect();
    assert!(!seeds.is_empty(), "{folder} is empty");
    for seed in &seeds {
        attempt(name, target, seed);
    }
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let said = std::env::var("FUZZ_SECONDS").ok();
    let seconds = said.map_or(MOMENT, |said| said.parse().unwrap());
    let (start, mut tried) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_secs(seconds) {
        attempt(name, target, &offspring(&seeds, &mut random));
        tried += 1;
    }
    println!("fuzz {name}: {tried} inputs in {seconds} s");
}

fn attempt(name: &str, target: fn(&[u8]), input: &[u8]) {
    let result = catch_unwind(AssertUnwindSafe(|| target(input)));
    assert!(
        result.is_ok(),
        "{name} breaks its promise at b\"{}\"",
        input.escape_ascii()
    );
}

/// Xorshift: the same each time, so that what fails once fails again.
struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 32).unwrap() % most.max(1)
    }
}

/// A seed with a few changes: bytes flipped, taken out, doubled, or taken from another seed.
fn offspring(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut below = |most| random.below(most);
    let mut input = seeds[below(seeds.len())].clone();
    for _ in 0..=below(4) {
        let at = below(input.len() + 1);
        let end = (at + below(16)).min(input.len());
        let piece: Vec<u8> = match below(5) {
            0 => vec![u8::try_from(below(256)).unwrap_or(0)],
            1 => Vec::new(),
            2 => input[at..end].repeat(2 + below(3)),
            3 => b"\r\n\0:;,%/.\"{[- \t"
                .get(below(15))
                .map_or_else(Vec::new, |byte| vec![*byte]),
            _ => {
                let other = &seeds[below(seeds.len())];
                let from = below(other.len() + 1);
                other[from..(from + below(32)).min(other.len())].to_vec()
            }
        };
        input.splice(at..end, piece);
    }
    input.truncate(LONGEST);
    input
}

#[test]
fn fuzz_table() {
    run("table", targets::table::run);
}

#[test]
fn fuzz_path() {
    run("path", targets::path::run);
}

#[test]
fn fuzz_framing() {
    run("framing", targets::framing::run);
}

#[test]
fn fuzz_jwt() {
    run("jwt", targets::jwt::run);
}

#[test]
fn fuzz_validate() {
    run("validate", targets::validate::run);
}

#[test]
fn fuzz_proxied() {
    run("proxied", targets::proxied::run);
}
