//! Host, method and path to a route and its parameters.
//!
//! The host is chosen first, then the path: the most specific pattern that matches it, segment by
//! segment from the left (a literal before a parameter before `/**`). Only then is the method
//! looked at: a method that the most specific pattern does not take is a 405 and never falls
//! through to a wider pattern, whose rules may be weaker. The order in the file never counts.

mod pattern;
mod tree;

use std::collections::HashMap;

use http::Method;
use plugin_sdk::Params;

pub use pattern::{Pattern, PatternError, Segment};
use tree::Tree;

/// Which requests a route takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// The host, in lower case and without a port; `None` means any.
    pub host: Option<String>,
    /// The methods; never empty. `GET` takes `HEAD` too.
    pub methods: Vec<Method>,
    /// The path.
    pub path: Pattern,
}

/// Finds the `T` of a request.
#[derive(Debug)]
pub struct Router<T> {
    rules: Vec<(Match, T)>,
    hosts: HashMap<String, Tree>,
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
    /// No rule has this path.
    NotFound,
    /// The rules of this path take other methods.
    MethodNotAllowed(Vec<Method>),
}

impl<T> Router<T> {
    /// Compiles rules. Rules that tie are an error: which of them won would hang on file order.
    pub fn new(rules: Vec<(Match, T)>) -> Result<Self, Vec<Tie>> {
        let mut hosts: HashMap<String, Tree> = HashMap::new();
        let mut any_host = Tree::default();
        let mut ties = Vec::new();
        for (index, (rule, _)) in rules.iter().enumerate() {
            let tree = match &rule.host {
                Some(host) => hosts.entry(host.clone()).or_default(),
                None => &mut any_host,
            };
            let neighbours = tree.leaf_mut(&rule.path);
            let rival = neighbours
                .iter()
                .find(|other| overlap(&rules[**other].0, rule));
            if let Some(&first) = rival {
                let second = index;
                ties.push(Tie { first, second });
            }
            neighbours.push(index);
        }
        if !ties.is_empty() {
            return Err(ties);
        }
        Ok(Self {
            rules,
            hosts,
            any_host,
        })
    }

    /// Finds what stands behind a canonical path. Takes time linear in the path's length, unless
    /// the table itself nests parameters beside literals on many levels.
    pub fn find(&self, host: &str, method: &Method, path: &str) -> Result<Found<'_, T>, Miss> {
        let mut caught = Vec::new();
        let leaf = self
            .hosts
            .get(host)
            .and_then(|tree| tree.find(path, &mut caught))
            .or_else(|| {
                caught.clear();
                self.any_host.find(path, &mut caught)
            })
            .ok_or(Miss::NotFound)?;
        let (rule, value) = self
            .by_method(leaf, method)
            .ok_or_else(|| Miss::MethodNotAllowed(self.methods(leaf)))?;
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

    fn by_method(&self, leaf: &[usize], method: &Method) -> Option<&(Match, T)> {
        let taking = |wanted: &Method| {
            let mut rules = leaf.iter().map(|&index| &self.rules[index]);
            rules.find(|(rule, _)| rule.methods.contains(wanted))
        };
        taking(method).or_else(|| {
            // RFC 9110 §9.3.2: HEAD is GET without the content.
            (*method == Method::HEAD).then(|| taking(&Method::GET))?
        })
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

fn overlap(one: &Match, other: &Match) -> bool {
    one.methods
        .iter()
        .any(|method| other.methods.contains(method))
}

#[cfg(test)]
mod tests;
