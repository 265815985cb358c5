//! What must be random and secret: made at the first start, kept from then on. None has a default.

use std::path::Path;

use crate::{files, room};

/// Keys of 32 bytes, each a file of 64 hexadecimal digits.
const KEYS: [&str; 3] = ["identity.key", "cursor.key", "refresh.key"];

/// Makes what is missing in `directory`.
///
/// # Errors
/// When the directory cannot be written.
pub(crate) fn ensure(directory: &Path) -> anyhow::Result<()> {
    files::private_directory(directory)?;
    for name in KEYS {
        files::keep_or_write(&directory.join(name), || {
            Ok(room::random_hex::<32>()? + "\n")
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn secrets_are_made_once_and_differ() {
        let room = room::private(&std::env::temp_dir()).expect("a directory");
        let read = |name: &str| fs::read_to_string(room.join(name)).expect("readable");
        ensure(&room).expect("made");
        let identity = read("identity.key");
        assert_eq!(identity.trim().len(), 64);
        assert_ne!(identity, read("cursor.key"));
        ensure(&room).expect("kept");
        assert_eq!(identity, read("identity.key"));
        fs::remove_dir_all(room).expect("removed");
    }
}
