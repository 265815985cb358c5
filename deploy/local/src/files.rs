//! Files that only their owner may read, written whole or not at all.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use anyhow::Context;

/// Writes a file of mode 0600 beside its place and renames it: nobody reads half of it, and nobody
/// else reads any of it.
///
/// # Errors
/// When the directory cannot be written.
pub(crate) fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    replace(path, text, 0o600).with_context(|| format!("write {}", path.display()))
}

/// The same for a file that everybody may read.
///
/// # Errors
/// When the directory cannot be written.
pub(crate) fn write_public(path: &Path, text: &str) -> anyhow::Result<()> {
    replace(path, text, 0o644).with_context(|| format!("write {}", path.display()))
}

/// Writes a private file unless it is there already.
///
/// # Errors
/// When the text cannot be made or the file cannot be written.
pub(crate) fn keep_or_write(
    path: &Path,
    text: impl FnOnce() -> anyhow::Result<String>,
) -> anyhow::Result<()> {
    if path.exists() {
        Ok(())
    } else {
        write_private(path, &text()?)
    }
}

/// Makes a directory that only its owner may enter.
///
/// # Errors
/// When it cannot be made.
pub(crate) fn private_directory(path: &Path) -> anyhow::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("make {}", path.display()))
}

fn replace(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let draft = path.with_file_name(name);
    // A draft of an earlier run that was cut off could have other permissions.
    if draft.exists() {
        fs::remove_file(&draft)?;
    }
    let mut file: File = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_private_file_is_private_whole_and_kept() {
        let room = crate::room::private(&std::env::temp_dir()).expect("a directory");
        let path = room.join("a.key");
        fs::write(room.join("a.key.new"), "half of an earlier").expect("written");
        keep_or_write(&path, || Ok("first".to_owned())).expect("written");
        keep_or_write(&path, || Ok("second".to_owned())).expect("kept");
        assert_eq!(fs::read_to_string(&path).expect("readable"), "first");
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(&room).expect("readable").count(), 1);
        fs::remove_dir_all(room).expect("removed");
    }
}
