//! The paths of the rules for one host pattern: a trie of segments, and the regular expressions in order.

use memchr::memchr;
use regex::bytes::Regex;

use crate::pattern::PathPattern;

/// A rule as a lookup sees it: its place, and its methods as a set of bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) index: u32,
    pub(crate) methods: u64,
}

/// One lookup under way: the best rule so far, and which methods the rules met so far would have taken.
#[derive(Debug)]
pub(crate) struct Search {
    method: u64,
    pub(crate) best: u32,
    pub(crate) allow: u64,
}

impl Search {
    pub(crate) const NONE: u32 = u32::MAX;

    pub(crate) fn new(method: u64) -> Search {
        Search { method, best: Search::NONE, allow: 0 }
    }

    /// `entries` fit the path and lie in order, so the first that takes the method is the best of them.
    fn consider(&mut self, entries: &[Entry]) {
        for entry in entries {
            if entry.index >= self.best {
                return;
            }
            if entry.methods & self.method != 0 {
                self.best = entry.index;
                return;
            }
            self.allow |= entry.methods;
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
    /// The lowest place of a rule here or below, so that a walk that can find nothing better stops.
    least: u32,
}

impl Node {
    const EMPTY: Node = Node { children: Vec::new(), exact: Vec::new(), prefix: Vec::new(), least: Search::NONE };
}

#[derive(Clone, Debug)]
pub(crate) struct Table {
    nodes: Vec<Node>,
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
            PathPattern::Regex(regex) => self.regexes.push((entry, regex.clone())),
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

    pub(crate) fn search(&self, path: &[u8], search: &mut Search) {
        if self.least >= search.best {
            return;
        }
        self.walk(path, search);
        for (entry, regex) in &self.regexes {
            if entry.index >= search.best {
                return;
            }
            if regex.is_match(path) {
                search.consider(std::slice::from_ref(entry));
            }
        }
    }

    fn walk(&self, path: &[u8], search: &mut Search) {
        let [b'/', rest @ ..] = path else { return };
        let mut rest = rest;
        let mut node = &self.nodes[0];
        loop {
            search.consider(&node.prefix);
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
