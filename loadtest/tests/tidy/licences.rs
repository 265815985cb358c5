//! Under which licences others' code may come in.

use crate::{clean, finds, tree::CARGO};

const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Crates under another licence, each with the reason why it is taken all the same.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    (
        "webpki-roots",
        "CDLA-Permissive-2.0",
        "Mozilla's list of certificate authorities: data under a permissive licence for data",
    ),
    (
        "minicbor",
        "BlueOak-1.0.0",
        "as permissive as MIT, in plain words, with a grant of patents",
    ),
];

/// Reads an SPDX expression; `/` is how old crates write OR. AND binds tighter than OR.
fn is_allowed(expression: &str) -> bool {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    let verdict = any_of(&mut words);
    verdict && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_of(words: &mut Words<'_>) -> bool {
    let mut verdict = all_of(words);
    while words.next_if_eq(&"OR").is_some() {
        verdict |= all_of(words);
    }
    verdict
}

fn all_of(words: &mut Words<'_>) -> bool {
    let mut verdict = one(words);
    while words.next_if_eq(&"AND").is_some() {
        verdict &= one(words);
    }
    verdict
}

fn one(words: &mut Words<'_>) -> bool {
    if words.next_if_eq(&"(").is_some() {
        let verdict = any_of(words);
        return verdict & (words.next() == Some(")"));
    }
    let verdict = words.next().is_some_and(|name| ALLOWED.contains(&name));
    // An exception to a licence only ever grants more.
    if words.next_if_eq(&"WITH").is_some() {
        words.next();
    }
    verdict
}

fn refused<'a>(packages: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> Vec<String> {
    packages
        .filter_map(|(name, licence)| match licence {
            None => Some(format!("{name} names no licence")),
            Some(licence) if is_allowed(licence) => None,
            Some(licence) if EXCEPTIONS.iter().any(|it| it.0 == name && it.1 == licence) => None,
            Some(licence) => Some(format!(
                "{name} is under {licence}, which licences.rs does not allow"
            )),
        })
        .collect()
}

#[test]
fn every_licence_is_allowed() {
    clean(&refused(
        CARGO
            .packages
            .iter()
            .map(|it| (it.name.as_str(), it.license.as_deref())),
    ));
}

#[test]
fn every_exception_is_needed() {
    let stale = EXCEPTIONS.iter().filter(|(name, licence, reason)| {
        let found = CARGO
            .packages
            .iter()
            .any(|it| it.name == *name && it.license.as_deref() == Some(*licence));
        !found || reason.is_empty()
    });
    clean(
        &stale
            .map(|it| format!("licences.rs excepts {} for nothing", it.0))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn a_foreign_licence_is_found() {
    let check = |licence| refused([("x", licence)].into_iter());
    finds(&check(Some("GPL-3.0-only")), "GPL-3.0-only");
    finds(&check(Some("MIT AND GPL-3.0-only")), "GPL");
    finds(&check(Some("(MIT OR Apache-2.0) AND AGPL-3.0")), "AGPL");
    finds(&check(Some("CDLA-Permissive-2.0")), "CDLA");
    finds(&check(None), "no licence");
    for good in [
        "MIT/Apache-2.0",
        "GPL-2.0 OR MIT",
        "Apache-2.0 WITH LLVM-exception",
        "(MIT OR GPL-2.0) AND ISC",
    ] {
        clean(&check(Some(good)));
    }
}
