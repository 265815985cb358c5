//! `gateway check --matrix`: who may do what, one line per route and method. Kept in a file beside
//! the table, so that a review sees what a change opens.
//!
//! What happens to a stranger is not told by the table but by [`decide`]: the very decision of the
//! edge on a request made up for the route.

use std::fmt;

use serde_json::Value as Json;

use crate::decide::{self, Asker, Decision, RawHead};
use crate::plan::{Plan, Route};
use crate::router::{Host, Sample};

/// The host of requests to routes that take any.
const HOST: &str = "edge.test";

/// Who may do what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matrix(Vec<Row>);

/// One route and method.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    place: String,
    method: String,
    route: String,
    stranger: String,
    who: String,
}

/// Draws up a plan's matrix, in the order of hosts and paths.
pub fn matrix(plan: &Plan) -> Matrix {
    let mut rows: Vec<Row> = plan
        .routes
        .values()
        .flat_map(|route| route.rule.samples().map(|sample| row(plan, route, &sample)))
        .collect();
    rows.sort();
    Matrix(rows)
}

fn row(plan: &Plan, route: &Route, sample: &Sample) -> Row {
    let conditions = route.rule.conditions.to_string();
    let conditions = match conditions.as_str() {
        "" => String::new(),
        text => format!(" [{text}]"),
    };
    Row {
        place: match &route.rule.host {
            Host::Any => format!("{}{conditions}", route.rule.path),
            host => format!("{host}{}{conditions}", route.rule.path),
        },
        method: sample.method.to_string(),
        route: route.id.to_string(),
        stranger: stranger(plan, route, sample),
        who: who(route),
    }
}

/// What becomes of the request when nobody in particular makes it.
fn stranger(plan: &Plan, route: &Route, sample: &Sample) -> String {
    let head = RawHead {
        method: &sample.method,
        authority: Some(sample.host.as_deref().unwrap_or(HOST)),
        path: &sample.path,
        query: sample.query.as_deref(),
        headers: &sample.headers,
    };
    let decision = decide::decide(plan, &head, &Asker::nobody());
    match (&decision, decision.status()) {
        _ if decision.route() != Some(&route.id) => "never gets here".into(),
        (Decision::Forward(_), _) => "in".into(),
        (_, Some(status)) => status.to_string(),
        (_, None) => "a preflight".into(),
    }
}

/// Who may, as the table says it.
fn who(route: &Route) -> String {
    let mut text = match &route.access.why_public {
        Some(why) => format!("everybody: {why}"),
        None => route.access.ways.join(" or "),
    };
    if let Some(demands) = &route.access.demands {
        let demands = flow(demands);
        let demands = demands.trim_start_matches("{ ").trim_end_matches(" }");
        text += &format!(", if {demands}");
    }
    text
}

/// A value as one line of YAML, keys in order.
fn flow(value: &Json) -> String {
    match value {
        Json::Object(map) => {
            let pairs = map
                .iter()
                .map(|(key, value)| format!("{key}: {}", flow(value)));
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
        Json::Array(items) => {
            format!(
                "[{}]",
                items.iter().map(flow).collect::<Vec<_>>().join(", ")
            )
        }
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl Matrix {
    /// The lines that differ between two tables: `-` what was, `+` what is.
    pub fn changes(&self, new: &Self) -> Vec<String> {
        let gone = self.0.iter().filter(|row| !new.0.contains(row));
        let come = new.0.iter().filter(|row| !self.0.contains(row));
        let mut lines: Vec<(&Row, char)> = gone.map(|row| (row, '-')).collect();
        lines.extend(come.map(|row| (row, '+')));
        // A changed row stands as its old form above its new one.
        lines.sort_by(|(one, a), (other, b)| {
            let key = |row: &Row| (row.place.clone(), row.method.clone());
            (key(one), *a == '+').cmp(&(key(other), *b == '+'))
        });
        lines
            .into_iter()
            .map(|(row, sign)| {
                format!(
                    "{sign} {} {}  {}  stranger: {}  {}",
                    row.method, row.place, row.route, row.stranger, row.who
                )
            })
            .collect()
    }
}

impl fmt::Display for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = Row {
            method: "METHOD".into(),
            place: "PLACE".into(),
            route: "ROUTE".into(),
            stranger: "STRANGER".into(),
            who: "WHO".into(),
        };
        let widest = |part: fn(&Row) -> &str| {
            let rows = self.0.iter().chain([&head]);
            rows.map(|row| part(row).chars().count()).max().unwrap_or(0)
        };
        let (method, place) = (widest(|row| &row.method), widest(|row| &row.place));
        let (route, stranger) = (widest(|row| &row.route), widest(|row| &row.stranger));
        for row in std::iter::once(&head).chain(&self.0) {
            writeln!(
                f,
                "{:<method$}  {:<place$}  {:<route$}  {:<stranger$}  {}",
                row.method, row.place, row.route, row.stranger, row.who
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
