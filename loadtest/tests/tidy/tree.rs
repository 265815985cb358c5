//! What the rules read: the files we write, and what Cargo knows of the workspace.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use cargo_metadata::{Metadata, MetadataCommand};

/// A text file of ours.
pub(crate) struct File {
    /// Relative to the repository's root.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .expect("the root exists")
}

/// Every text file we write; what is built, run or generated is left out.
pub(crate) static FILES: LazyLock<Vec<File>> = LazyLock::new(|| {
    let root = root();
    let mut files = Vec::new();
    let mut rooms = vec![root.clone()];
    while let Some(room) = rooms.pop() {
        for entry in fs::read_dir(&room).expect("a directory is read") {
            let path = entry.expect("an entry is read").path();
            let name = path
                .strip_prefix(&root)
                .expect("below the root")
                .to_string_lossy()
                .into_owned();
            if path.is_symlink() || is_left_out(&name) {
            } else if path.is_dir() {
                rooms.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                files.push(File { path: name, text });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
});

fn is_left_out(name: &str) -> bool {
    const RUN_OR_MADE: [&str; 6] = [
        ".git",
        "target",
        "var",
        "certs/dev",
        "Cargo.lock",
        "LICENSE",
    ];
    const GENERATED: [&str; 4] = [
        "/.sqlx",
        "openapi.json",
        "routes.schema.json",
        "wycheproof/jose.json",
    ];
    RUN_OR_MADE.contains(&name) || GENERATED.iter().any(|end| name.ends_with(end))
}

/// The Rust files.
pub(crate) fn rust() -> impl Iterator<Item = &'static File> {
    FILES.iter().filter(|file| file.path.ends_with(".rs"))
}

/// The packages this machine's build takes, ours first.
pub(crate) static CARGO: LazyLock<Metadata> = LazyLock::new(|| {
    // Without the filter Cargo wants the packages of other systems too, and asks the network.
    let platform = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .other_options(["--frozen", "--filter-platform", &platform].map(str::to_owned))
        .exec()
        .expect("cargo metadata speaks")
});

/// The part of a Rust file that ships: nothing of a test's, else all before its test module.
pub(crate) fn shipped<'a>(path: &str, text: &'a str) -> &'a str {
    let is_test = path.contains("/tests/")
        || path.contains("/benches/")
        || path.contains("/testing")
        || path.ends_with("/tests.rs");
    if is_test {
        ""
    } else {
        text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text)
    }
}

/// The lines of a Rust file that are not comments, each with its number.
pub(crate) fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

#[test]
fn the_tree_holds_what_we_write_and_no_more() {
    let has = |path: &str| FILES.iter().any(|file| file.path == path);
    assert!(has("Cargo.toml") && has("loadtest/tests/tidy/tree.rs"));
    assert!(!FILES.iter().any(|file| file.path.starts_with("target/")));
}
