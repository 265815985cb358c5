//! How files are called and what they must not say.

use crate::{
    clean, finds,
    tree::{self, FILES},
};

/// A room without a name of its own collects whatever nobody placed.
const NAMELESS: &[&str] = &[
    "common", "core", "helper", "helpers", "misc", "shared", "util", "utils",
];

fn misnamed(path: &str) -> Vec<String> {
    let mut findings = Vec::new();
    if path.ends_with("/mod.rs") {
        findings.push(format!(
            "{path}: a room is x.rs with x/ beside it, so that tabs tell files apart"
        ));
    }
    // Data may be called what it is: a list of common passwords is one.
    let rooms_and_rust = path
        .strip_suffix(".rs")
        .or(path.rsplit_once('/').map(|(room, _)| room));
    let mut parts = rooms_and_rust.unwrap_or_default().split('/');
    if let Some(part) = parts.find(|part| NAMELESS.contains(part)) {
        findings.push(format!(
            "{path}: {part} is no name; call it after what it holds"
        ));
    }
    findings
}

/// Words that must not stand in shipped text. Written in halves, lest this file find itself.
const UNFINISHED: [&str; 4] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
];

fn unfinished(path: &str, text: &str) -> Vec<String> {
    let lines = text.lines().enumerate();
    lines
        .filter_map(|(index, line)| {
            let word = UNFINISHED.iter().find(|word| line.contains(**word))?;
            Some(format!(
                "{path}:{}: {word}: finish it, or open an issue and say nothing here",
                index + 1
            ))
        })
        .collect()
}

const FORBIDDEN: [(&str, &str); 6] = [
    (
        concat!("#[", "allow("),
        "say #[expect(lint, reason = \"…\")], which ends when its cause does",
    ),
    (
        concat!("#![", "allow("),
        "say #![expect(lint, reason = \"…\")], which ends when its cause does",
    ),
    (
        concat!("unsafe", " {"),
        "nothing here needs it; what does gets a crate of its own with its proof",
    ),
    (
        concat!("unsafe", " fn"),
        "nothing here needs it; what does gets a crate of its own with its proof",
    ),
    (
        concat!("unsafe", " impl"),
        "nothing here needs it; what does gets a crate of its own with its proof",
    ),
    (concat!("#[", "ignore]"), "say why: #[ignore = \"…\"]"),
];

fn forbidden(path: &str, text: &str) -> Vec<String> {
    tree::code(text)
        .filter_map(|(number, line)| {
            let (word, instead) = FORBIDDEN.iter().find(|(word, _)| line.contains(word))?;
            Some(format!("{path}:{number}: {word}: {instead}"))
        })
        .collect()
}

#[test]
fn files_have_names() {
    clean(
        &FILES
            .iter()
            .flat_map(|file| misnamed(&file.path))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn nothing_is_left_for_later() {
    clean(
        &FILES
            .iter()
            .flat_map(|file| unfinished(&file.path, &file.text))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn nothing_forbidden_is_written() {
    clean(
        &tree::rust()
            .flat_map(|file| forbidden(&file.path, &file.text))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn untidy_source_is_found() {
    finds(&misnamed("gateway/src/proxy/mod.rs"), "x.rs");
    finds(&misnamed("backends/web/src/utils.rs"), "utils");
    finds(&misnamed("backends/common/src/lib.rs"), "common");
    clean(&misnamed("gateway/src/common_name.rs"));
    clean(&misnamed("backends/users/src/password/common.txt"));
    for word in UNFINISHED {
        finds(
            &unfinished("x.rs", &format!("fn f() {{}}\n// {word}later")),
            "x.rs:2",
        );
    }
    for (word, _) in FORBIDDEN {
        finds(&forbidden("x.rs", &format!("\n{word}")), "x.rs:2");
    }
    clean(&forbidden(
        "x.rs",
        concat!("// unsafe", " { } would be faster"),
    ));
}
