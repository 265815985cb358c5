use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead};
use std::net::IpAddr;

use http::{HeaderMap, Method};
use plugin_sdk::{Clock, Principal, SystemClock};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::decide::{self, Asker, Decision, RawHead};
use crate::plan::Plan;

/// A longer line is no record, in bytes.
const MAX_LINE: usize = 64 * 1024;
/// The host of records that name none.
const HOST: &str = "edge.test";

/// What becomes of known requests.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Traffic {
    /// How many there are.
    pub requests: u64,
    /// How many users made them.
    pub users: u64,
    /// Lines that were no records.
    pub unread: u64,
    /// The requests that would come to something else, by what they came to and would; most first.
    pub shifts: Vec<Shift>,
}

/// Requests that would all come to the same other thing.
#[derive(Debug, Clone, Serialize)]
pub struct Shift {
    /// What they come to now: `wallets.read`, or `wallets.read: 403`, or `404`.
    pub from: String,
    /// What they would come to.
    pub to: String,
    /// How many there are.
    pub requests: u64,
    /// How many users made them.
    pub users: u64,
    /// One of them.
    pub example: String,
}

/// What is needed of an access record.
#[derive(Deserialize)]
struct Known {
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    method: String,
    #[serde(default)]
    host: String,
    path: String,
    #[serde(default)]
    query: Vec<String>,
    #[serde(default)]
    client: Option<IpAddr>,
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    acr: Option<String>,
    #[serde(default)]
    auth_time: Option<i64>,
}

#[derive(Default)]
struct Group {
    requests: u64,
    users: HashSet<u64>,
    example: String,
}

/// Puts each record before both plans.
pub(super) fn replay(old: &Plan, new: &Plan, records: &mut dyn BufRead) -> io::Result<Traffic> {
    // Users are told apart by a hash of their own for this run: names are many and long.
    let hash = RandomState::new();
    let now = SystemClock::default().unix();
    let mut traffic = Traffic::default();
    let mut users = HashSet::new();
    let mut groups: BTreeMap<(String, String), Group> = BTreeMap::new();
    let mut line = Vec::new();
    while next(records, &mut line)? {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let Some(known) = serde_json::from_slice::<Known>(&line).ok() else {
            traffic.unread += 1;
            continue;
        };
        let Ok(method) = known.method.parse::<Method>() else {
            traffic.unread += 1;
            continue;
        };
        traffic.requests += 1;
        let user = known.user.as_ref().map(|user| hash.hash_one(user));
        users.extend(user);
        let asker = asker(&known, now);
        let [from, to] = [old, new].map(|plan| outcome(plan, &method, &known, &asker));
        if from == to {
            continue;
        }
        let group = groups.entry((from, to)).or_default();
        group.requests += 1;
        group.users.extend(user);
        if group.example.is_empty() {
            group.example = format!("{method} {}{}", known.host, known.path);
        }
    }
    traffic.users = size(users.len());
    traffic.shifts = groups
        .into_iter()
        .map(|((from, to), group)| Shift {
            from,
            to,
            requests: group.requests,
            users: size(group.users.len()),
            example: group.example,
        })
        .collect();
    traffic
        .shifts
        .sort_by_key(|shift| std::cmp::Reverse(shift.requests));
    Ok(traffic)
}

/// Reads a line, of which what is too long is left behind. `false` at the end.
fn next(records: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let mut any = false;
    loop {
        let piece = records.fill_buf()?;
        if piece.is_empty() {
            return Ok(any);
        }
        any = true;
        let end = piece.iter().position(|byte| *byte == b'\n');
        let part = &piece[..end.unwrap_or(piece.len())];
        if line.len() <= MAX_LINE {
            line.extend_from_slice(part);
        }
        let used = end.map_or(piece.len(), |end| end + 1);
        records.consume(used);
        if end.is_some() {
            if line.len() > MAX_LINE {
                // Not JSON any more, so that it is counted as unread.
                line.truncate(1);
            }
            return Ok(true);
        }
    }
}

fn asker(known: &Known, now: i64) -> Asker {
    let who = known.user.as_ref().map(|sub| Principal {
        sub: sub.clone(),
        roles: known.roles.clone(),
        scopes: known.scopes.clone(),
        sid: None,
        acr: known.acr.clone(),
        // As long ago now as it was then.
        auth_time: known
            .auth_time
            .map(|at| now.saturating_sub(known.at.unix_timestamp().saturating_sub(at))),
    });
    Asker::known_as(known.client, who, now)
}

fn outcome(plan: &Plan, method: &Method, known: &Known, asker: &Asker) -> String {
    let names: Vec<String> = known.query.iter().map(|name| format!("{name}=")).collect();
    let query = names.join("&");
    let headers = HeaderMap::new();
    let head = RawHead {
        method,
        authority: Some(match known.host.as_str() {
            "" => HOST,
            host => host,
        }),
        path: &known.path,
        query: (!query.is_empty()).then_some(&query),
        headers: &headers,
    };
    let decision = decide::decide(plan, &head, asker);
    match (&decision, decision.route(), decision.status()) {
        (Decision::Preflight(_), Some(route), _) => format!("{route}: a preflight"),
        (Decision::Forward(located), Some(route), _) if located.unjudged => {
            format!("{route}, if `rights` let it")
        }
        (_, Some(route), None) => route.to_owned(),
        (_, Some(route), Some(status)) => format!("{route}: {status}"),
        (_, None, Some(status)) => status.to_string(),
        (_, None, None) => "nothing".into(),
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let changed: u64 = self.shifts.iter().map(|shift| shift.requests).sum();
        write!(
            f,
            "traffic: of {} by {}, {changed} would come to something else",
            count(self.requests, "request"),
            count(self.users, "user")
        )?;
        match self.unread {
            0 => writeln!(f)?,
            unread => writeln!(f, "; not read: {}", count(unread, "line"))?,
        }
        for shift in &self.shifts {
            writeln!(
                f,
                "  {} -> {}: {} by {}, such as {}",
                shift.from,
                shift.to,
                count(shift.requests, "request"),
                count(shift.users, "user"),
                shift.example
            )?;
        }
        Ok(())
    }
}

fn count(number: u64, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        number => format!("{number} {what}s"),
    }
}

fn size(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
