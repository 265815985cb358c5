use std::collections::HashMap;

use super::pattern::{Pattern, Segment};

/// Patterns, arranged by segment. A leaf holds the indexes of the rules with that pattern.
#[derive(Debug, Default)]
pub(super) struct Tree {
    literals: HashMap<Box<str>, Tree>,
    param: Option<Box<Tree>>,
    here: Vec<usize>,
    below: Vec<usize>,
}

impl Tree {
    /// The leaf of a pattern; patterns that differ only in the names of parameters share it.
    pub(super) fn leaf_mut(&mut self, pattern: &Pattern) -> &mut Vec<usize> {
        let mut node = self;
        for segment in pattern.segments() {
            node = match segment {
                Segment::Literal(text) => node.literals.entry(text.clone()).or_default(),
                Segment::Param(_) => node.param.get_or_insert_default(),
            };
        }
        if pattern.has_tail() {
            &mut node.below
        } else {
            &mut node.here
        }
    }

    /// The leaf of the most specific pattern for a canonical path, and what its parameters caught.
    pub(super) fn find<'p>(&self, path: &'p str, caught: &mut Vec<&'p str>) -> Option<&[usize]> {
        self.descend(path.strip_prefix('/')?, caught)
    }

    /// The rules of leaves that no path comes to.
    pub(super) fn unreachable(&self) -> Vec<usize> {
        let mut all = Vec::new();
        // What ends here goes to `here`, what goes on to the parameter: nothing is left for `/**`.
        let goes_on = self.param.as_ref().is_some_and(|param| param.takes_all());
        if !self.here.is_empty() && goes_on {
            all.extend(&self.below);
        }
        let children = self.literals.values().chain(self.param.as_deref());
        all.extend(children.flat_map(Tree::unreachable));
        all
    }

    /// Whether every path that comes to this node finds a leaf at it or below.
    fn takes_all(&self) -> bool {
        let goes_on = || self.param.as_ref().is_some_and(|param| param.takes_all());
        !self.below.is_empty() || !self.here.is_empty() && goes_on()
    }

    // Recurses at most as deep as the longest pattern, however long the path is. Each node stands
    // for one prefix and is visited at most once.
    fn descend<'p>(&self, rest: &'p str, caught: &mut Vec<&'p str>) -> Option<&[usize]> {
        if rest.is_empty() {
            return leaf(&self.here).or(leaf(&self.below));
        }
        let (segment, rest) = rest.split_once('/').unwrap_or((rest, ""));
        if let Some(literal) = self.literals.get(segment)
            && let Some(found) = literal.descend(rest, caught)
        {
            return Some(found);
        }
        if let Some(param) = &self.param {
            caught.push(segment);
            if let Some(found) = param.descend(rest, caught) {
                return Some(found);
            }
            caught.pop();
        }
        leaf(&self.below)
    }
}

fn leaf(rules: &[usize]) -> Option<&[usize]> {
    (!rules.is_empty()).then_some(rules)
}
