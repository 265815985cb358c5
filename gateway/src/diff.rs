//! `gateway diff OLD NEW`: what another table would change. Who may do what, line by line; and, when
//! it is shown the access records of a day, which of those requests would have met another route or
//! another verdict, and how many users that hits.
//!
//! Both tables are asked with the same [`decide`]. What a record does not hold counts as absent:
//! headers, the values of a query, claims. Limits and validation are not asked, nor what roles grant:
//! where that decides it is said.

mod traffic;

use std::fmt;
use std::io::BufRead;

use serde::Serialize;

use crate::matrix::matrix;
use crate::plan::Plan;

pub use traffic::{Shift, Traffic};

/// What another table would change.
#[derive(Debug, Clone, Serialize)]
pub struct Difference {
    /// Who may do what: `-` what was, `+` what would be.
    pub exposure: Vec<String>,
    /// What becomes of known requests, when there are some.
    pub traffic: Option<Traffic>,
}

/// Compares two plans, over the access records that `records` holds, one a line.
///
/// Fails when `records` can't be read. A line that is no record is counted and passed over.
pub fn diff(
    old: &Plan,
    new: &Plan,
    records: Option<&mut dyn BufRead>,
) -> std::io::Result<Difference> {
    Ok(Difference {
        exposure: matrix(old).changes(&matrix(new)),
        traffic: records
            .map(|records| traffic::replay(old, new, records))
            .transpose()?,
    })
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.exposure.as_slice() {
            [] => writeln!(f, "who may do what: no change")?,
            lines => {
                writeln!(f, "who may do what:")?;
                lines.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
            }
        }
        match &self.traffic {
            Some(traffic) => write!(f, "{traffic}"),
            None => writeln!(f, "traffic: none was shown (--traffic access.ndjson)"),
        }
    }
}

#[cfg(test)]
mod tests;
