//! `gateway check`: everything that is wrong with a route table, at once.

use std::io::{self, Write};
use std::path::Path;

use plugin_sdk::Registry;

use crate::env;
use crate::plan::{self, Loaded, Refused};

/// Checks a route table and writes down what was found. `true` when it would be taken.
pub fn check(config: &Path, kinds: Registry, out: &mut dyn Write) -> io::Result<bool> {
    let name = config.display();
    match plan::load(config, kinds, &env::inert(config)) {
        Ok(Loaded { plan, warnings, .. }) => {
            write!(out, "{warnings}")?;
            let routes = plan.routes.len();
            writeln!(out, "{name}: good ({routes} routes, {} warnings)", warnings.count().1)?;
            Ok(true)
        }
        Err(Refused { findings, .. }) => {
            write!(out, "{findings}")?;
            let (errors, warnings) = findings.count();
            writeln!(out, "{name}: refused ({errors} errors, {warnings} warnings)")?;
            Ok(false)
        }
    }
}

#[cfg(test)]
mod tests;
