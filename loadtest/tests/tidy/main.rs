//! The house rules that no compiler knows, as tests: `make check` runs them.
//!
//! Each rule is a pure function from what it reads to the findings it makes, and has a test beside
//! it that it can fail. A finding says what is wrong, where, and why it matters.

mod arrows;
mod cases;
mod dependencies;
mod format;
mod licences;
mod pages;
mod sizes;
mod source;
mod sql;
mod top;
mod tree;
mod versions;

/// Fails with every finding at once, so that one run tells all there is to mend.
#[track_caller]
fn clean(findings: &[String]) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

/// Fails unless there is exactly one finding and it speaks of `word`.
#[track_caller]
fn finds(findings: &[String], word: &str) {
    assert!(
        matches!(findings, [one] if one.contains(word)),
        "one finding about {word:?} was due, not {findings:?}"
    );
}
