//! What tests need from npm and PyPI. It is installed once by `deploy/local/install.sh test`, outside the clone;
//! nothing is fetched while tests run.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

/// Where `install.sh` has put the packages that the folder `name` asks for, exactly those of its
/// `lock`.
pub(crate) fn modules(name: &str, lock: &str) -> anyhow::Result<PathBuf> {
    Ok(installed(name, "package-lock.json", lock)?.join("node_modules"))
}

/// Where it has put a folder of packages whose list is `lock`.
fn installed(name: &str, file: &str, lock: &str) -> anyhow::Result<PathBuf> {
    let cache = match (env::var_os("XDG_CACHE_HOME"), env::var_os("HOME")) {
        (Some(cache), _) if !cache.is_empty() => PathBuf::from(cache),
        (_, Some(home)) => Path::new(&home).join(".cache"),
        _ => bail!("neither XDG_CACHE_HOME nor HOME is set"),
    };
    let home = cache.join("vorota").join(name);
    let advice = || format!("{name} is not installed: run `deploy/local/install.sh test`, online");
    let found = fs::read_to_string(home.join(file)).with_context(advice)?;
    if found != lock {
        bail!("{} ({} is of another version)", advice(), home.display());
    }
    Ok(home)
}

/// PyPI's schemathesis, which asks an API whatever its OpenAPI document allows, and more.
///
/// # Errors
/// When it is not installed; the message says what to do.
pub fn schemathesis() -> anyhow::Result<PathBuf> {
    const LOCK: &str = include_str!("../schemathesis/requirements.txt");
    let home = installed("schemathesis", "requirements.txt", LOCK)?;
    Ok(home.join("bin").join("schemathesis"))
}
