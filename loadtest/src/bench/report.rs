//! What a person reads of it.

use std::io::{self, Write};

use crate::bench::{EDGE, NGINX_PLAIN, NGINX_TLS, PLAIN};

/// The cheapest round of a contender.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure {
    /// CPU time a request, in microseconds.
    pub(crate) cpu_us: f64,
    /// Requests a second in that round.
    pub(crate) per_second: f64,
}

pub(crate) fn progress(what: &str) -> anyhow::Result<()> {
    Ok(writeln!(io::stderr(), "{what}")?)
}

pub(crate) fn table(figures: &[(&str, Figure)]) -> anyhow::Result<()> {
    Ok(io::stdout().write_all(text(figures).as_bytes())?)
}

fn text(figures: &[(&str, Figure)]) -> String {
    let mut lines = vec![format!("{:<24}{:>12}{:>10}", "", "CPU µs/req", "req/s")];
    for (name, figure) in figures {
        lines.push(format!(
            "{name:<24}{:>12.1}{:>10.0}",
            figure.cpu_us, figure.per_second
        ));
    }
    lines.push(String::new());
    let cost = |wanted: &str| {
        figures
            .iter()
            .find(|(name, _)| *name == wanted)
            .map(|(_, figure)| figure.cpu_us)
    };
    for (ours, theirs) in [(PLAIN, NGINX_PLAIN), (EDGE, NGINX_PLAIN), (EDGE, NGINX_TLS)] {
        if let Some((mine, other)) = cost(ours).zip(cost(theirs)) {
            lines.push(format!("{ours} / {theirs}: {:.2}", mine / other));
        }
    }
    if cfg!(debug_assertions) {
        lines.push("A debug build: the gateway's figures mean nothing.".to_owned());
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_stand_below_the_figures() {
        let figure = |cpu_us| Figure {
            cpu_us,
            per_second: 20_000.0,
        };
        let said = text(&[(NGINX_PLAIN, figure(20.0)), (PLAIN, figure(30.0))]);
        assert!(
            said.contains("gateway, plain pass             30.0     20000\n"),
            "{said}"
        );
        assert!(
            said.contains("gateway, plain pass / nginx, plain pass: 1.50\n"),
            "{said}"
        );
        assert!(!said.contains("full edge job"), "{said}");
    }
}
