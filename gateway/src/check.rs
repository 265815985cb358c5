//! `gateway check`: everything that is wrong with a route table, at once.

mod report;

use std::io::{self, Write};
use std::path::Path;

use plugin_sdk::Registry;

use crate::env;
use crate::finding::Findings;
use crate::plan::{self, Loaded, Refused};

pub use report::Format;

/// Checks a route table and writes down what was found. `true` when it would be taken.
pub fn check(
    config: &Path,
    kinds: Registry,
    format: Format,
    out: &mut dyn Write,
) -> io::Result<bool> {
    let (findings, routes) = match plan::load(config, kinds, &env::inert(config)) {
        Ok(Loaded { plan, warnings, .. }) => (warnings, Some(plan.routes.len())),
        Err(Refused { findings, .. }) => (findings, None),
    };
    report::write(format, &findings, out)?;
    if format == Format::Text {
        let verdict = verdict(routes, &findings);
        writeln!(out, "{}: {verdict}", config.display())?;
    }
    Ok(routes.is_some())
}

fn verdict(routes: Option<usize>, findings: &Findings) -> String {
    let (errors, warnings) = findings.count();
    let warnings = count(warnings, "warning");
    match routes {
        Some(routes) => format!("good ({}, {warnings})", count(routes, "route")),
        None => format!("refused ({}, {warnings})", count(errors, "error")),
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
