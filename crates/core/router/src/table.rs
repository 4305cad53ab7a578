//! The paths of the rules for one host pattern: a trie of segments, and the regular expressions in order.

use memchr::memchr;
use regex::bytes::Regex;

use crate::condition::{Asked, Conditions};
use crate::literal;
use crate::pattern::PathPattern;

/// A rule as a lookup sees it: its place, its methods as a set of bits, and the place of its conditions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) index: u32,
    pub(crate) conditions: u32,
    pub(crate) methods: u64,
}

impl Entry {
    pub(crate) const NO_CONDITIONS: u32 = u32::MAX;
}

/// One lookup under way: the best rule so far, and which methods the rules met so far would have taken.
#[derive(Debug)]
pub(crate) struct Search<'s> {
    method: u64,
    asked: &'s Asked<'s>,
    conditions: &'s [Conditions],
    pub(crate) best: u32,
    pub(crate) allow: u64,
}

impl<'s> Search<'s> {
    pub(crate) const NONE: u32 = u32::MAX;

    pub(crate) fn new(method: u64, asked: &'s Asked<'s>, conditions: &'s [Conditions]) -> Search<'s> {
        Search { method, asked, conditions, best: Search::NONE, allow: 0 }
    }

    /// `entries` fit the path and lie in order, so the first that takes the rest of the request is the best of them.
    fn consider(&mut self, entries: &[Entry]) {
        for entry in entries {
            if entry.index >= self.best {
                return;
            }
            if entry.conditions != Entry::NO_CONDITIONS && !self.meets(entry.conditions) {
                continue;
            }
            if entry.methods & self.method != 0 {
                self.best = entry.index;
                return;
            }
            self.allow |= entry.methods;
        }
    }

    #[inline(never)]
    fn meets(&self, place: u32) -> bool {
        self.conditions.get(place as usize).is_none_or(|conditions| conditions.hold(self.asked))
    }

    /// The first of these that fits, of those that could be better than what was found.
    fn consider_matching(&mut self, path: &[u8], regexes: &[(Entry, Regex)]) {
        for (entry, regex) in regexes {
            if entry.index >= self.best {
                return;
            }
            if regex.is_match(path) {
                self.consider(std::slice::from_ref(entry));
            }
        }
    }
}

#[derive(Clone, Debug)]
struct Node {
    /// Sorted by segment.
    children: Vec<(Box<[u8]>, u32)>,
    /// Rules for a path that ends here.
    exact: Vec<Entry>,
    /// Rules for a path that ends here or goes on.
    prefix: Vec<Entry>,
    /// Rules whose expression can match only what goes on below.
    regexes: Vec<(Entry, Regex)>,
    /// The lowest place of a rule here or below, so that a walk that can find nothing better stops.
    least: u32,
}

impl Node {
    const EMPTY: Node =
        Node { children: Vec::new(), exact: Vec::new(), prefix: Vec::new(), regexes: Vec::new(), least: Search::NONE };
}

#[derive(Clone, Debug)]
pub(crate) struct Table {
    nodes: Vec<Node>,
    /// Those that can match anywhere.
    regexes: Vec<(Entry, Regex)>,
    least: u32,
}

impl Table {
    pub(crate) fn new() -> Table {
        Table { nodes: vec![Node::EMPTY], regexes: Vec::new(), least: Search::NONE }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.least == Search::NONE
    }

    /// Adds a rule; rules are added in order.
    pub(crate) fn insert(&mut self, path: &PathPattern, entry: Entry) {
        self.least = self.least.min(entry.index);
        match path {
            PathPattern::Exact(path) => self.node(path, entry).exact.push(entry),
            PathPattern::Prefix(prefix) => self.node(prefix, entry).prefix.push(entry),
            PathPattern::Regex(regex) => match literal::folder(regex.as_str()) {
                Some(folder) => self.node(&folder, entry).regexes.push((entry, regex.clone())),
                None => self.regexes.push((entry, regex.clone())),
            },
        }
    }

    /// The node of a path, made where it is missing. The empty path is the root.
    fn node(&mut self, path: &str, entry: Entry) -> &mut Node {
        let mut at = 0;
        self.nodes[at].least = self.nodes[at].least.min(entry.index);
        for segment in path.split('/').skip(1) {
            let fresh = self.nodes.len();
            let children = &mut self.nodes[at].children;
            at = match children.binary_search_by(|(s, _)| (**s).cmp(segment.as_bytes())) {
                Ok(found) => children[found].1 as usize,
                Err(place) => {
                    children.insert(place, (segment.as_bytes().into(), fresh as u32));
                    self.nodes.push(Node::EMPTY);
                    fresh
                }
            };
            self.nodes[at].least = self.nodes[at].least.min(entry.index);
        }
        &mut self.nodes[at]
    }

    pub(crate) fn search(&self, path: &[u8], search: &mut Search<'_>) {
        if self.least >= search.best {
            return;
        }
        self.walk(path, search);
        search.consider_matching(path, &self.regexes);
    }

    fn walk(&self, path: &[u8], search: &mut Search<'_>) {
        let [b'/', rest @ ..] = path else { return };
        let mut rest = rest;
        let mut node = &self.nodes[0];
        loop {
            search.consider(&node.prefix);
            search.consider_matching(path, &node.regexes);
            if node.children.is_empty() || node.least >= search.best {
                return;
            }
            let end = memchr(b'/', rest).unwrap_or(rest.len());
            let Ok(found) = node.children.binary_search_by(|(s, _)| (**s).cmp(&rest[..end])) else { return };
            node = &self.nodes[node.children[found].1 as usize];
            match rest.get(end + 1..) {
                Some(below) => rest = below,
                None => {
                    search.consider(&node.exact);
                    search.consider(&node.prefix);
                    return;
                }
            }
        }
    }
}
