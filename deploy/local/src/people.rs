//! The people of the demo, with passwords of this clone's own.

use std::{fs, path::Path};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::{files, room};

const PEOPLE: [(&str, &str); 3] = [
    ("ann@example.com", "user"),
    ("bob@example.com", "user"),
    ("admin@example.com", "admin"),
];

/// One account of the demo.
#[derive(Clone, Deserialize, Serialize)]
pub struct Person {
    /// Also the login.
    pub email: String,
    /// In clear: the file is its owner's alone.
    pub password: String,
    /// The role of the account: `user` or `admin`.
    pub role: String,
}

/// The people of the file, which is written when it is not there: passwords are kept over restarts.
///
/// # Errors
/// When the file cannot be written, or holds something else.
pub(crate) fn ensure(file: &Path) -> anyhow::Result<Vec<Person>> {
    files::keep_or_write(file, || {
        let people = PEOPLE.map(|(email, role)| {
            let password = room::random_hex::<10>()?;
            Ok(Person {
                email: email.to_owned(),
                password,
                role: role.to_owned(),
            })
        });
        let people = people.into_iter().collect::<std::io::Result<Vec<_>>>()?;
        Ok(serde_json::to_string_pretty(&people)? + "\n")
    })?;
    serde_json::from_str(&fs::read_to_string(file)?)
        .with_context(|| format!("read {}; remove it to have new accounts", file.display()))
}

impl std::fmt::Debug for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.email, self.role)
    }
}
