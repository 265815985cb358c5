//! Host, path, method and conditions to a route and its parameters.
//!
//! What is most specific decides, in this order; the order in the file never counts:
//!
//! 1. the host: by name, then the longest `*.name`, then any. The first of these that has a path
//!    that fits;
//! 2. the path, segment by segment from the left: a literal before a parameter before `/**`;
//! 3. the method: one that the most specific path does not take is a 405;
//! 4. the number of conditions on headers and the query, then how many of them name a value.
//!
//! A request never falls through to a wider path, whose rules may be weaker: not for its method,
//! and not when it meets no conditions of the most specific one, which is a 404. Nor does it fall
//! through to fewer conditions by saying twice what they are on: that is a 400.

mod condition;
mod host;
mod pattern;
mod sample;
mod tree;

use std::collections::HashMap;

use http::Method;
use plugin_sdk::Params;

pub use condition::{Conditions, Fit, Signs, Wanted};
pub use host::Host;
pub use pattern::{Pattern, PatternError, Segment};
pub use sample::Sample;
use tree::Tree;

/// Which requests a route takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// The hosts.
    pub host: Host,
    /// The methods; never empty. `GET` takes `HEAD` too.
    pub methods: Vec<Method>,
    /// The path.
    pub path: Pattern,
    /// What headers and the query must say besides.
    pub conditions: Conditions,
}

/// Finds the `T` of a request.
#[derive(Debug)]
pub struct Router<T> {
    rules: Vec<(Match, T)>,
    hosts: HashMap<Box<str>, Tree>,
    below: HashMap<Box<str>, Tree>,
    any_host: Tree,
}

/// Two rules that take the same requests, by their index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tie {
    /// The earlier one.
    pub first: usize,
    /// The later one.
    pub second: usize,
}

/// What [`Router::find`] found.
#[derive(Debug)]
pub struct Found<'a, T> {
    /// What stands behind the rule.
    pub value: &'a T,
    /// The path's parameters.
    pub params: Params,
}

/// Why no rule was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Miss {
    /// No rule has this path, or those that have it ask for something else in headers or query.
    NotFound,
    /// What a rule of this path asks of headers or query came more than once: who reads the one
    /// value would judge by other rules than who reads the other.
    Unclear,
    /// The rules of this path take other methods.
    MethodNotAllowed(Vec<Method>),
}

impl<T> Router<T> {
    /// Compiles rules. Rules that tie are an error: which of them won would hang on file order.
    pub fn new(rules: Vec<(Match, T)>) -> Result<Self, Vec<Tie>> {
        let mut router = Self {
            rules,
            hosts: HashMap::new(),
            below: HashMap::new(),
            any_host: Tree::default(),
        };
        let mut ties = Vec::new();
        for (index, (rule, _)) in router.rules.iter().enumerate() {
            let tree = match &rule.host {
                Host::Exact(host) => router.hosts.entry(host.clone()).or_default(),
                Host::Below(suffix) => router.below.entry(suffix.clone()).or_default(),
                Host::Any => &mut router.any_host,
            };
            let neighbours = tree.leaf_mut(&rule.path);
            let rival = neighbours
                .iter()
                .find(|other| tie(&router.rules[**other].0, rule));
            if let Some(&first) = rival {
                let second = index;
                ties.push(Tie { first, second });
            }
            // Sorted by how specific they are: the first that holds is the one. Of two alike no
            // request meets both, but a preflight may seem to: the text makes that certain too.
            let key = |index: usize| {
                let conditions = &router.rules[index].0.conditions;
                (conditions.rank(), conditions.to_string())
            };
            let at = neighbours.partition_point(|other| key(*other) <= key(index));
            neighbours.insert(at, index);
        }
        if ties.is_empty() {
            Ok(router)
        } else {
            Err(ties)
        }
    }

    /// Finds what stands behind a canonical path. Takes time linear in the path's length, unless
    /// the table itself nests parameters beside literals on many levels.
    pub fn find(
        &self,
        host: &str,
        method: &Method,
        path: &str,
        signs: &Signs<'_>,
    ) -> Result<Found<'_, T>, Miss> {
        let mut caught = Vec::new();
        let leaf = self
            .trees(host)
            .find_map(|tree| {
                caught.clear();
                tree.find(path, &mut caught)
            })
            .ok_or(Miss::NotFound)?;
        if !self.takes(leaf, method) {
            return Err(Miss::MethodNotAllowed(self.methods(leaf)));
        }
        let (rule, value) = self.choose(leaf, method, signs)?;
        let names = rule.path.params();
        let params = names.cloned().zip(caught.into_iter().map(String::from));
        Ok(Found {
            value,
            params: params.collect(),
        })
    }

    /// All rules, in the order given.
    pub fn rules(&self) -> &[(Match, T)] {
        &self.rules
    }

    /// The rules that no request can reach, since others take all of their paths.
    pub fn unreachable(&self) -> Vec<usize> {
        let hosts = self.hosts.values().chain(self.below.values());
        let mut unreachable: Vec<usize> = hosts
            .chain([&self.any_host])
            .flat_map(Tree::unreachable)
            .collect();
        unreachable.sort_unstable();
        unreachable
    }

    /// The trees that a host may be in, the most specific first.
    fn trees<'s>(&'s self, host: &'s str) -> impl Iterator<Item = &'s Tree> {
        // Most tables have no wildcard, and then no suffix is looked up.
        let wild = if self.below.is_empty() { "" } else { host };
        let below = host::suffixes(wild).filter_map(|suffix| self.below.get(suffix));
        let exact = self.hosts.get(host).into_iter();
        exact.chain(below).chain([&self.any_host])
    }

    fn takes(&self, leaf: &[usize], method: &Method) -> bool {
        let of = |wanted: &Method| {
            let mut rules = leaf.iter().map(|&index| &self.rules[index].0);
            rules.any(|rule| rule.methods.contains(wanted))
        };
        of(method) || *method == Method::HEAD && of(&Method::GET)
    }

    fn choose(
        &self,
        leaf: &[usize],
        method: &Method,
        signs: &Signs<'_>,
    ) -> Result<&(Match, T), Miss> {
        let taking = |wanted: &Method| {
            let rules = leaf.iter().map(|&index| &self.rules[index]);
            let rules = rules.filter(|(rule, _)| rule.methods.contains(wanted));
            let mut fits = rules.map(|rule| (rule, rule.0.conditions.fit(signs)));
            match fits.find(|(_, fit)| *fit != Fit::Fails) {
                Some((rule, Fit::Holds)) => Ok(rule),
                Some(_) => Err(Miss::Unclear),
                None => Err(Miss::NotFound),
            }
        };
        match taking(method) {
            // RFC 9110 §9.3.2: HEAD is GET without the content.
            Err(Miss::NotFound) if *method == Method::HEAD => taking(&Method::GET),
            taken => taken,
        }
    }

    fn methods(&self, leaf: &[usize]) -> Vec<Method> {
        let mut methods: Vec<Method> = leaf
            .iter()
            .flat_map(|&index| self.rules[index].0.methods.clone())
            .collect();
        if methods.contains(&Method::GET) {
            methods.push(Method::HEAD);
        }
        methods.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        methods.dedup();
        methods
    }
}

/// Whether two rules of one host and path take the same request and neither is more specific.
fn tie(one: &Match, other: &Match) -> bool {
    let (ours, theirs) = (&one.conditions, &other.conditions);
    one.methods
        .iter()
        .any(|method| other.methods.contains(method))
        && ours.rank() == theirs.rank()
        && ours.may_both_hold(theirs)
}

#[cfg(test)]
mod tests;
