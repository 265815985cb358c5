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
