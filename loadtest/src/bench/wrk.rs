//! Load by wrk, from the processor that the contenders do not run on.

use std::{path::Path, process::Command};

use anyhow::{Context, ensure};

/// What wrk says it did.
#[derive(Debug, PartialEq)]
pub(crate) struct Load {
    pub(crate) requests: f64,
    pub(crate) per_second: f64,
}

/// Sends requests as fast as they are answered, each with the next of `tokens` if there are any.
/// A single answer that is not 2xx spoils the round.
pub(crate) fn press(
    url: &str,
    seconds: u32,
    script: &Path,
    tokens: Option<&Path>,
) -> anyhow::Result<Load> {
    let mut command = Command::new("taskset");
    command.args(["-c", "1", "wrk", "-t1", "-c32", &format!("-d{seconds}s")]);
    if let Some(tokens) = tokens {
        command.arg("-s").arg(script).arg(url).arg("--").arg(tokens);
    } else {
        command.arg(url);
    }
    let output = command
        .output()
        .context("start wrk; Debian's package is wrk")?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "wrk: {said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    read(&said).with_context(|| format!("wrk said:\n{said}"))
}

fn read(said: &str) -> anyhow::Result<Load> {
    let bad = ["Non-2xx", "Socket errors"]
        .iter()
        .find(|word| said.contains(**word));
    ensure!(bad.is_none(), "not every request was answered well");
    let requests = said
        .lines()
        .find_map(|line| line.trim().split_once(" requests in "));
    let per_second = said
        .lines()
        .find_map(|line| line.strip_prefix("Requests/sec:"));
    let (requests, _) = requests.context("it named no number of requests")?;
    let per_second = per_second.context("it named no rate")?;
    let load = Load {
        requests: requests.parse()?,
        per_second: per_second.trim().parse()?,
    };
    ensure!(load.requests > 0.0, "no request was answered");
    Ok(load)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "Running 3s test @ http://localhost:1/\n  1 threads and 32 connections\n  \
        90000 requests in 3.00s, 20.00MB read\nRequests/sec:  30000.50\nTransfer/sec: 6.00MB\n";

    #[test]
    fn figures_are_read_and_failures_spoil_them() {
        let load = read(SAID).expect("it is wrk's");
        assert_eq!(
            load,
            Load {
                requests: 90_000.0,
                per_second: 30_000.5
            }
        );
        assert!(read(&format!("{SAID}  Non-2xx or 3xx responses: 1\n")).is_err());
        assert!(read(&SAID.replace("90000", "0")).is_err());
        assert!(read("").is_err());
    }
}
