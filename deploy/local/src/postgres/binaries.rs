//! Where the system keeps PostgreSQL's programs.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;

/// Debian keeps each major version in a folder of its own, off the `PATH`.
const DEBIAN: &str = "/usr/lib/postgresql";

/// The directory of one major version's programs.
#[derive(Debug)]
pub(super) struct Binaries(PathBuf);

impl Binaries {
    /// The newest version there is; elsewhere than on Debian, the one on the `PATH`.
    pub(super) fn newest() -> anyhow::Result<Self> {
        let versions = fs::read_dir(DEBIAN).into_iter().flatten().flatten();
        let newest = versions
            .filter_map(|entry| {
                Some((
                    entry.file_name().to_str()?.parse::<u32>().ok()?,
                    entry.path(),
                ))
            })
            .filter(|(_, path)| complete(&path.join("bin")))
            .max();
        if let Some((_, path)) = newest {
            return Ok(Self(path.join("bin")));
        }
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
            .find(|directory| complete(directory))
            .map(Self)
            .context("PostgreSQL's server is not installed: `make run` and `make test` install Debian's package postgresql")
    }

    /// The version that made a cluster's data: another major version cannot read them.
    pub(super) fn of(major: &str) -> anyhow::Result<Self> {
        let directory = Path::new(DEBIAN).join(major).join("bin");
        if complete(&directory) {
            return Ok(Self(directory));
        }
        let fallback = Self::newest()?;
        anyhow::ensure!(
            !fallback.0.starts_with(DEBIAN),
            "the cluster was made by PostgreSQL {major}: install postgresql-{major}, or move its data aside"
        );
        Ok(fallback)
    }

    pub(super) fn tool(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

fn complete(directory: &Path) -> bool {
    ["initdb", "postgres"]
        .iter()
        .all(|tool| directory.join(tool).is_file())
}
