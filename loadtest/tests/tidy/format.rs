//! `cargo fmt` does not find rooms that a macro declares; rustfmt does when it is told of them.

use std::{fs, path::Path, process::Command};

use crate::{clean, finds, tree};

fn unformatted(root: &Path, paths: &[&str]) -> Vec<String> {
    let rustfmt = Command::new("rustfmt")
        .args(["--check", "--edition", "2024", "--files-with-diff"])
        .args(paths)
        .current_dir(root)
        .output()
        .expect("rustfmt is part of the toolchain");
    let said = String::from_utf8_lossy(&rustfmt.stdout);
    let files = said.lines().map(|path| format!("{path} is not formatted"));
    files.collect()
}

#[test]
fn every_file_is_formatted() {
    let paths: Vec<&str> = tree::rust().map(|file| file.path.as_str()).collect();
    clean(&unformatted(&tree::root(), &paths));
}

#[test]
fn an_unformatted_file_is_found() {
    let room = std::env::temp_dir().join(format!("vorota-tidy-{}", std::process::id()));
    fs::create_dir_all(&room).expect("a directory is made");
    fs::write(room.join("good.rs"), "fn main() {}\n").expect("written");
    fs::write(room.join("bad.rs"), "fn main( ){}\n").expect("written");
    let findings = unformatted(&room, &["good.rs", "bad.rs"]);
    fs::remove_dir_all(&room).expect("removed");
    finds(&findings, "bad.rs");
}
