use std::fmt;
use std::time::Duration;

use plugin_sdk::Period;
use serde::Serialize;

use crate::table::Size;

/// What becomes of a request, and why.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// The method.
    pub method: String,
    /// The path as it was asked for.
    pub asked: String,
    /// The host that it is for, in canonical form; `None` when it reached no route.
    pub host: Option<String>,
    /// The canonical path; `None` when it reached no route.
    pub path: Option<String>,
    /// What becomes of it.
    pub verdict: String,
    /// What it meets on its way, when it reached a route.
    pub way: Option<Way>,
    /// The other routes whose paths fit.
    pub runners_up: Vec<RunnerUp>,
}

/// A route that did not win.
#[derive(Debug, Clone, Serialize)]
pub struct RunnerUp {
    /// Its id.
    pub route: String,
    /// Why it is not the one.
    pub lost: String,
}

/// The route that won, as it runs.
#[derive(Debug, Clone, Serialize)]
pub struct Way {
    /// Its id.
    pub route: String,
    /// What it takes.
    pub rule: String,
    /// Why it won.
    pub why: String,
    /// What the path's parameters caught.
    pub params: Vec<(String, String)>,
    /// Whether somebody must be known.
    pub authenticated: bool,
    /// Its plugins, in the order in which the request meets them.
    pub chain: Vec<Step>,
    /// What becomes of it then.
    pub action: String,
    /// The upstream that this caller's requests go to.
    pub upstream: Option<String>,
    /// The path that the upstream gets, when it is not the one that was asked for.
    pub forwarded: Option<String>,
    /// Who gets a copy, and of how many.
    pub mirror: Option<String>,
    /// The addresses of its upstream.
    pub targets: Vec<String>,
    /// From the request's last byte to the answer's first, in milliseconds.
    pub timeout_ms: u64,
    /// The largest body, in bytes.
    pub max_body: u64,
    /// How many more attempts follow when no connection could be made.
    pub connect_retries: u32,
    /// How answers are kept.
    pub cache: Option<String>,
    /// Whether a WebSocket may be opened.
    pub websocket: bool,
    /// The version of the table that says so.
    pub table: String,
}

/// One plugin on the way.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// Its stage.
    pub stage: String,
    /// Its name in the table.
    pub name: String,
    /// What kind it is.
    pub kind: String,
    /// What it says to this request, as far as that can be told without the request itself.
    pub verdict: String,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", self.method, self.asked)?;
        if let Some(path) = self.path.as_ref().filter(|path| **path != self.asked) {
            writeln!(f, "  is        {path}")?;
        }
        writeln!(f, "  verdict   {}", self.verdict)?;
        if let Some(way) = &self.way {
            write!(f, "{way}")?;
        }
        for runner_up in &self.runners_up {
            writeln!(f, "  lost      {}: {}", runner_up.route, runner_up.lost)?;
        }
        Ok(())
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  route     {} ({})", self.route, self.rule)?;
        writeln!(f, "  why       {}", self.why)?;
        for (name, value) in &self.params {
            writeln!(f, "  param     {name} = {value}")?;
        }
        writeln!(f, "  chain")?;
        for step in &self.chain {
            let Step {
                stage,
                name,
                kind,
                verdict,
            } = step;
            writeln!(f, "    {stage:<10}{name:<14}{kind:<14}{verdict}")?;
        }
        write!(f, "  then      {}", self.action)?;
        match (&self.upstream, self.targets.as_slice()) {
            (None, _) | (_, []) => writeln!(f)?,
            (Some(one), targets) if self.action.contains(" or ") => {
                writeln!(f, ": this one to {one} at {}", targets.join(", "))?;
            }
            (Some(_), targets) => writeln!(f, " at {}", targets.join(", "))?,
        }
        if let Some(path) = &self.forwarded {
            writeln!(f, "  as        {path}")?;
        }
        if let Some(mirror) = &self.mirror {
            writeln!(f, "  mirror    {mirror}")?;
        }
        let timeout = Period(Duration::from_millis(self.timeout_ms));
        writeln!(
            f,
            "  timeout   {timeout}, body up to {}",
            Size(self.max_body)
        )?;
        writeln!(f, "  retries   {}, on connect only", self.connect_retries)?;
        writeln!(f, "  cache     {}", self.cache.as_deref().unwrap_or("none"))
    }
}
