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
            let routes = count(plan.routes.len(), "route");
            let warnings = count(warnings.count().1, "warning");
            writeln!(out, "{name}: good ({routes}, {warnings})")?;
            Ok(true)
        }
        Err(Refused { findings, .. }) => {
            write!(out, "{findings}")?;
            let (errors, warnings) = findings.count();
            let (errors, warnings) = (count(errors, "error"), count(warnings, "warning"));
            writeln!(out, "{name}: refused ({errors}, {warnings})")?;
            Ok(false)
        }
    }
}

fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

#[cfg(test)]
pub(crate) mod tests;
