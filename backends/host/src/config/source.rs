//! The file's text and where it stands.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use serde::de::{DeserializeOwned, DeserializeSeed, IgnoredAny};
use serde_saphyr::Location;

use super::mistake::{Mistake, Place};
use super::pick::At;
use crate::secret::relative_to;

/// The most that is read of a configuration, in bytes.
const MAX_BYTES: u64 = 1024 * 1024;

/// A configuration file in memory.
pub(crate) struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    pub(super) fn open(path: &Path) -> Result<Self, Mistake> {
        let mistake = |message: String| Mistake::new(Place::file(path), message);
        let length = std::fs::metadata(path)
            .map_err(|error| {
                mistake(format!("the configuration cannot be read: {error}"))
                    .hint("name it with --config PATH; `make run` writes var/backend.yaml")
            })?
            .len();
        if length > MAX_BYTES {
            return Err(mistake(format!("longer than {MAX_BYTES} bytes")));
        }
        let text = std::fs::read_to_string(path)
            .map_err(|error| mistake(format!("the configuration cannot be read: {error}")))?;
        Ok(Self {
            path: path.to_owned(),
            text,
        })
    }

    /// The document against a list of its keys. The outer error is a file that is no list of keys
    /// at all, behind which there is nothing more to find.
    pub(super) fn outline<T: DeserializeOwned>(
        &self,
    ) -> Result<Result<Option<T>, Mistake>, Mistake> {
        self.at::<BTreeMap<String, IgnoredAny>>(&[])?;
        Ok(self.at(&[]))
    }

    /// What stands at a path of keys, read with a type of its own; `None` where nothing does.
    pub(super) fn at<T: DeserializeOwned>(&self, path: &[&str]) -> Result<Option<T>, Mistake> {
        let base = self.path.parent().unwrap_or(Path::new(""));
        let found = PhantomData::<T>;
        relative_to(base, || {
            serde_saphyr::with_deserializer_from_str(&self.text, |deserializer| {
                At { path, found }.deserialize(deserializer)
            })
        })
        .map_err(|error| Mistake::of_yaml(&self.path, &error))
    }

    /// A place in this file.
    pub(super) fn place(&self, at: Location) -> Place {
        Place::of(&self.path, at)
    }

    /// This file as a whole.
    pub(super) fn file(&self) -> Place {
        Place::file(&self.path)
    }
}
