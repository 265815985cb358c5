use http::Method;

use super::report::RunnerUp;
use crate::decide::{self, RawHead};
use crate::plan::Plan;
use crate::router::{Fit, Host, Match, Segment, Signs};

/// Every other route whose path fits, and why it is not the one.
pub(super) fn runners_up(plan: &Plan, head: &RawHead<'_>, winner: Option<&str>) -> Vec<RunnerUp> {
    let Ok(path) = crate::path::canonical(head.path) else {
        return Vec::new();
    };
    let host = decide::host(head.authority).unwrap_or_default();
    let rules = plan.router.rules().iter();
    let fitting: Vec<_> = rules.filter(|(rule, _)| rule.path.matches(&path)).collect();
    // The host and path that decide: of the rules that stand there the winner is one, if any is.
    let deciding = fitting
        .iter()
        .map(|(rule, _)| rule)
        .filter(|rule| rule.host.takes(&host))
        .min_by_key(|rule| (by_host(&rule.host), rule.path.rank()));
    let won = fitting
        .iter()
        .find(|(_, route)| winner == Some(&*route.id))
        .map(|(rule, _)| rule);
    let others = fitting
        .iter()
        .filter(|(_, route)| winner != Some(&*route.id));
    let told = others.map(|(rule, route)| RunnerUp {
        route: route.id.to_string(),
        lost: why(rule, head, &host, deciding, won),
    });
    told.collect()
}

/// How specific a host is; the smaller the more.
fn by_host(host: &Host) -> (u8, std::cmp::Reverse<usize>) {
    let (kind, length) = match host {
        Host::Exact(name) => (0, name.len()),
        Host::Below(suffix) => (1, suffix.len()),
        Host::Any => (2, 0),
    };
    (kind, std::cmp::Reverse(length))
}

fn why(
    rule: &Match,
    head: &RawHead<'_>,
    host: &str,
    deciding: Option<&Match>,
    won: Option<&Match>,
) -> String {
    let Some(deciding) = deciding.filter(|_| rule.host.takes(host)) else {
        return format!("is for the host {}", rule.host);
    };
    if rule.host != deciding.host {
        let whose = match &rule.host {
            Host::Any => "any host".into(),
            host => format!("the hosts {host}"),
        };
        return format!("is for {whose}, {} for {}", whom(won), deciding.host);
    }
    if rule.path.rank() != deciding.path.rank() {
        return wider(rule, deciding, won);
    }
    if !takes(rule, head.method) {
        let methods: Vec<&str> = rule.methods.iter().map(Method::as_str).collect();
        return match won {
            Some(_) => format!("takes {}", methods.join(", ")),
            None => format!("takes {}, not {}", methods.join(", "), head.method),
        };
    }
    let signs = Signs {
        headers: head.headers,
        query: head.query,
        preflight: false,
    };
    match rule.conditions.fit(&signs) {
        Fit::Fails => return format!("asks for {}", rule.conditions),
        Fit::Unclear => return format!("asks for {}, of which one came twice", rule.conditions),
        Fit::Holds => {}
    }
    match won.map(|won| &won.conditions) {
        Some(asked) if asked.rank() < rule.conditions.rank() => {
            format!("asks for less than {asked}")
        }
        _ => "takes HEAD only as GET".into(),
    }
}

fn whom(won: Option<&Match>) -> &'static str {
    match won {
        Some(_) => "the winner",
        None => "what decides",
    }
}

fn takes(rule: &Match, method: &Method) -> bool {
    rule.methods.contains(method) || *method == Method::HEAD && rule.methods.contains(&Method::GET)
}

fn wider(rule: &Match, deciding: &Match, won: Option<&Match>) -> String {
    let mut pairs = rule.path.segments().iter().zip(deciding.path.segments());
    let wider = pairs.find_map(|(ours, theirs)| match (ours, theirs) {
        (Segment::Param(name), Segment::Literal(text)) => Some((name, text)),
        _ => None,
    });
    match wider {
        Some((name, text)) => {
            format!(
                "{} is wider: {{{name}}} where {} says {text}",
                rule.path,
                whom(won)
            )
        }
        None => format!("{} is wider than {}", rule.path, deciding.path),
    }
}
