//! `gateway probe URL`: is the edge that is deployed there the one that the table describes? The
//! requests follow from the table, and each is one that must be refused: a stranger where somebody
//! must be known, a forged token, spoofed identity, a path with two readings, a body that is too
//! long. Nothing that should succeed is sent, so nothing happens behind the edge that holds.

mod attempt;
mod wire;

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::plan::Plan;
use attempt::Attempt;

pub use attempt::Token;
pub use wire::{Target, TargetError};

/// Between two requests: a probe is not to be a flood.
const PAUSE: Duration = Duration::from_millis(20);
/// For one request, from the connection to the answer's head.
const WITHIN: Duration = Duration::from_secs(10);

/// What an edge made of the requests.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// One for each request, in order.
    pub results: Vec<ProbeResult>,
}

/// What became of one request.
#[derive(Debug, Clone, Serialize)]
pub struct ProbeResult {
    /// What was tried.
    pub name: String,
    /// What must become of it.
    pub expected: String,
    /// What did.
    pub got: String,
    /// Whether that is right.
    pub verdict: Verdict,
}

/// Whether an edge did what its table says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It did.
    Good,
    /// It did not.
    Bad,
    /// Something came between: a limit, or the connection.
    Unclear,
}

/// Makes the requests that follow from a plan, one after another, and judges the answers. With a
/// token also those that its bearer may not make.
pub async fn probe(plan: &Plan, target: &Target, token: Option<&Token>) -> Report {
    let mut results = Vec::new();
    for attempt in attempt::all(plan, target, token) {
        let answer = target.ask(attempt.host.as_deref(), &attempt.request);
        let answer = tokio::time::timeout(WITHIN, answer).await;
        results.push(judge(&attempt, answer));
        tokio::time::sleep(PAUSE).await;
    }
    Report { results }
}

fn judge(
    attempt: &Attempt,
    answer: Result<std::io::Result<wire::Answer>, tokio::time::error::Elapsed>,
) -> ProbeResult {
    let (got, verdict) = match answer {
        Err(_) => (
            format!("no answer within {} s", WITHIN.as_secs()),
            Verdict::Unclear,
        ),
        Ok(Err(error)) => (error.to_string(), Verdict::Unclear),
        Ok(Ok(answer)) => {
            let verdict = match answer.status {
                status if attempt.expect.fits(status, &answer) => Verdict::Good,
                429 | 503 => Verdict::Unclear,
                _ => Verdict::Bad,
            };
            (answer.to_string(), verdict)
        }
    };
    ProbeResult {
        name: attempt.name.clone(),
        expected: attempt.expect.to_string(),
        got,
        verdict,
    }
}

impl Report {
    /// How many were of a verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        let of = self.results.iter().filter(|it| it.verdict == verdict);
        of.count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for result in &self.results {
            let ProbeResult {
                name,
                expected,
                got,
                verdict,
            } = result;
            match verdict {
                Verdict::Good => writeln!(f, "good     {name}: {got}")?,
                Verdict::Bad => writeln!(f, "BAD      {name}: {got}, expected {expected}")?,
                Verdict::Unclear => writeln!(f, "unclear  {name}: {got}, expected {expected}")?,
            }
        }
        writeln!(
            f,
            "{} good, {} bad, {} unclear",
            self.count(Verdict::Good),
            self.count(Verdict::Bad),
            self.count(Verdict::Unclear)
        )
    }
}
