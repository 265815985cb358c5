use std::time::Duration;

use super::Bounds;
use super::source::Source;
use crate::table;

/// Where the table says nothing.
const IN_FLIGHT: usize = 10_000;
/// Timers are looked at each 20 ms, three times: less can't be told from chance.
const LEAST_LAG: Duration = Duration::from_millis(10);

/// Compiles from what load on requests are refused. The section may be missing.
pub(super) fn compile(source: &mut Source<'_>) -> Bounds {
    let part = source.part("overload");
    let written: Option<table::Overload> = match source.document.root().get("overload") {
        Some(_) => part.read(&mut source.findings),
        None => None,
    };
    let written = written.unwrap_or_default();
    let lag = written.lag.map(|lag| lag.0);
    if lag.is_some_and(|lag| lag < LEAST_LAG) {
        let finding = part.error("lag", &["lag"], "takes for lag what is none");
        source.findings.push(finding.hint("at least `10ms`"));
    }
    Bounds {
        in_flight: written.in_flight.map_or(IN_FLIGHT, usize::from),
        lag,
    }
}
