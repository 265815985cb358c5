//! What a person reads of it, and what missed its goal.

use std::io::{self, Write};
use std::time::Duration;

use anyhow::bail;

use crate::users::spent::Spent;

/// The cheapest round of something that was done over and over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Figure {
    /// CPU time each, in microseconds.
    pub(super) gateway: f64,
    pub(super) backend: f64,
    pub(super) postgres: f64,
    /// So many a second by the clock, in that round.
    pub(super) per_second: f64,
}

/// Whose processor time a goal is about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Whose {
    Everybodys,
    /// Without the gateway's, which is said beside it.
    Backends,
}

/// A line of the table.
pub(super) struct Line {
    pub(super) what: &'static str,
    pub(super) figure: Figure,
    pub(super) whose: Whose,
    /// So many a second and core, if there is a goal.
    pub(super) goal: Option<f64>,
    pub(super) others: &'static str,
}

/// A single value and the most that it may be.
pub(super) struct Bound {
    pub(super) what: String,
    pub(super) is: f64,
    pub(super) most: f64,
    pub(super) unit: &'static str,
    pub(super) others: &'static str,
}

impl Figure {
    pub(super) fn new(spent: Spent, done: u32, took: Duration) -> Self {
        let each = |spent: Duration| spent.as_secs_f64() * 1e6 / f64::from(done);
        Self {
            gateway: each(spent.gateway),
            backend: each(spent.backend),
            postgres: each(spent.postgres),
            per_second: f64::from(done) / took.as_secs_f64(),
        }
    }

    pub(super) fn all(&self) -> f64 {
        self.gateway + self.backend + self.postgres
    }

    fn per_core(&self, whose: Whose) -> f64 {
        let cost = match whose {
            Whose::Everybodys => self.all(),
            Whose::Backends => self.backend + self.postgres,
        };
        1e6 / cost
    }
}

impl Line {
    fn missed(&self) -> bool {
        self.goal
            .is_some_and(|goal| self.figure.per_core(self.whose) < goal)
    }

    fn text(&self) -> String {
        let Figure {
            gateway,
            backend,
            postgres,
            per_second,
        } = self.figure;
        let goal = self
            .goal
            .map_or("-".to_owned(), |goal| format!(">= {goal}"));
        format!(
            "{:<34}{:>9.1}{:>9.0}{:>9.0}{:>11.0}{:>10.0}  {goal:<8}{:<7}{}",
            self.what,
            self.figure.per_core(self.whose),
            gateway,
            backend,
            postgres,
            per_second,
            verdict(self.goal.map(|_| self.missed())),
            self.others,
        )
    }
}

impl Bound {
    fn missed(&self) -> bool {
        self.is > self.most
    }

    fn text(&self) -> String {
        let Self {
            what,
            is,
            most,
            unit,
            others,
        } = self;
        let said = format!("{is:.2} {unit}, at most {most:.2}");
        let verdict = verdict(Some(self.missed()));
        format!("{what:<54}{said:<28}{verdict:<7}{others}")
    }
}

fn verdict(missed: Option<bool>) -> &'static str {
    match missed {
        None => "",
        Some(false) => "held",
        Some(true) => "MISSED",
    }
}

pub(super) fn progress(what: &str) -> anyhow::Result<()> {
    Ok(writeln!(io::stderr(), "{what}")?)
}

/// Prints everything; an error if a goal was missed.
pub(super) fn tell(lines: &[Line], bounds: &[Bound]) -> anyhow::Result<()> {
    let text = text(lines, bounds);
    io::stdout().write_all(text.as_bytes())?;
    let missed = lines.iter().filter(|line| line.missed()).count()
        + bounds.iter().filter(|bound| bound.missed()).count();
    if missed > 0 {
        bail!("{missed} of the goals are missed");
    }
    Ok(())
}

fn text(lines: &[Line], bounds: &[Bound]) -> String {
    let mut said = vec![
        format!(
            "{:<34}{:>9}{:>29}{:>10}",
            "", "a second", "CPU µs each", "a second"
        ),
        format!(
            "{:<34}{:>9}{:>9}{:>9}{:>11}{:>10}  {:<8}{:<7}others",
            "", "and core", "gateway", "backend", "PostgreSQL", "by clock", "goal", "",
        ),
    ];
    said.extend(lines.iter().map(Line::text));
    said.push(String::new());
    said.extend(bounds.iter().map(Bound::text));
    if cfg!(debug_assertions) {
        said.push("A debug build: these figures mean nothing.".to_owned());
    }
    said.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(goal: f64) -> Line {
        let figure = Figure {
            gateway: 500.0,
            backend: 400.0,
            postgres: 100.0,
            per_second: 700.0,
        };
        Line {
            what: "a refresh",
            figure,
            whose: Whose::Backends,
            goal: Some(goal),
            others: "",
        }
    }

    #[test]
    fn what_misses_its_goal_says_so_and_fails() {
        let bound = |is| Bound {
            what: "memory".to_owned(),
            is,
            most: 60.0,
            unit: "MB",
            others: "",
        };
        assert!(tell(&[line(2_000.0)], &[bound(60.0)]).is_ok());
        assert!(tell(&[line(2_001.0)], &[]).is_err());
        assert!(tell(&[], &[bound(60.1)]).is_err());
        assert!(line(2_001.0).text().contains("MISSED"));
        assert!(line(2_000.0).text().contains("2000.0"));
    }
}
