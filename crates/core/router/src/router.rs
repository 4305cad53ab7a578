//! From host, path and method to a route.

use std::fmt;

use memchr::memrchr;
use message::Method;

use crate::condition::{Asked, Conditions};
use crate::pattern::{HOST_BYTES_MAX, HostPattern};
use crate::rule::{RouteId, Rule};
use crate::table::{Entry, Search, Table};

/// The routes of a site. Built once, read-only afterwards: call [`Router::find`] with the effective authority and the
/// path from [`crate::normalise`].
///
/// Cost of a lookup: no allocation; tens of instructions where the first rule takes everything; else one walk along the
/// path for each host pattern that fits, plus the regular expressions that stand before the best match so far: of those
/// that begin with `^/folder/`, only those whose folder the path goes through. How many rules there are for other hosts and
/// paths makes next to no difference; rules for one and the same host and path that differ in their conditions are asked in
/// turn. Clone it once per worker: a regular expression shared between threads keeps its scratch memory behind a lock, and
/// its clone has its own (made by its first match).
#[derive(Clone, Debug)]
pub struct Router {
    /// The first rule takes every request whose path begins with `/`.
    first_takes_all: bool,
    /// Rules for any host.
    any: Table,
    /// Sorted by host.
    exact: Vec<(Box<[u8]>, Table)>,
    /// By the domain below which they stand, sorted.
    under: Vec<(Box<[u8]>, Table)>,
    /// The longest domain in `under`.
    under_bytes_max: usize,
    /// Methods without a bit of their own in [`message`]; bit `CUSTOM_FIRST + i` is `custom[i]`.
    custom: Vec<Box<[u8]>>,
    /// Some rule asks for a method at all.
    methods_matter: bool,
    /// Of the rules that have any.
    conditions: Vec<Conditions>,
}

/// What a lookup found.
#[derive(Debug)]
pub enum Found<'r> {
    /// The first rule that the request fits.
    Route(RouteId),
    /// Only the method kept the request from fitting: 405 with this list (RFC 9110 §15.5.6).
    MethodNotAllowed(Allow<'r>),
    /// No rule is for this host and path: 404.
    NoRoute,
}

/// Rules name more methods that are not standard ones than a router can tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyMethods;

impl fmt::Display for TooManyMethods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the routes name more than {CUSTOM_MAX} methods that are not standard ones")
    }
}

impl std::error::Error for TooManyMethods {}

/// The standard methods, in the order an Allow field lists them; a method's bit is its place here.
const STANDARD: [&[u8]; 9] = [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH"];
const CUSTOM_FIRST: usize = STANDARD.len();
/// The topmost bit stands for any other method, which only a rule without methods takes.
const OTHER: u64 = 1 << 63;
const CUSTOM_MAX: usize = 63 - CUSTOM_FIRST;
const ANY: u64 = u64::MAX;

impl Router {
    /// Builds the router; the place of a rule in `rules` is its [`RouteId`].
    ///
    /// # Panics
    /// With 2^32 rules or more.
    pub fn build(rules: &[Rule]) -> Result<Router, TooManyMethods> {
        let mut router = Router {
            first_takes_all: rules.first().is_some_and(|first| first.covers(&Rule::any())),
            any: Table::new(),
            exact: Vec::new(),
            under: Vec::new(),
            under_bytes_max: 0,
            custom: Vec::new(),
            methods_matter: false,
            conditions: Vec::new(),
        };
        for (index, rule) in rules.iter().enumerate() {
            let index = u32::try_from(index).expect("fewer than 2^32 rules");
            let entry =
                Entry { index, methods: router.method_bits(rule)?, conditions: router.place_of(&rule.conditions) };
            if rule.hosts.is_empty() {
                router.any.insert(&rule.path, entry);
            }
            for host in &rule.hosts {
                router.table(host).insert(&rule.path, entry);
            }
        }
        router.under_bytes_max = router.under.iter().map(|(domain, _)| domain.len()).max().unwrap_or(0);
        Ok(router)
    }

    /// The route of a request: the first rule, in the order of building, that it fits. A rule that only the method keeps
    /// from fitting is passed over; when nothing behind it fits, the answer names the methods that would have.
    #[inline]
    pub fn find(&self, asked: &Asked<'_>) -> Found<'_> {
        self.sole(asked.path).map_or_else(|| self.search(asked), Found::Route)
    }

    /// The route of a request whatever its method and authority are: [`Router::find`] gives the same. `None` where those
    /// matter. The first rule often takes all; then this spares finding out what it is not asked for.
    #[inline]
    pub fn sole(&self, path: &[u8]) -> Option<RouteId> {
        (self.first_takes_all && path.first() == Some(&b'/')).then_some(RouteId(0))
    }

    fn search(&self, asked: &Asked<'_>) -> Found<'_> {
        let method = if self.methods_matter { self.method_bit(asked.method) } else { OTHER };
        let mut search = Search::new(method, asked, &self.conditions);
        self.any.search(asked.path, &mut search);
        if !self.exact.is_empty() || !self.under.is_empty() {
            self.search_host(host_of(asked.authority), asked.path, &mut search);
        }
        match search {
            Search { best: Search::NONE, allow: 0, .. } => Found::NoRoute,
            Search { best: Search::NONE, allow, .. } => Found::MethodNotAllowed(Allow { router: self, methods: allow }),
            Search { best, .. } => Found::Route(RouteId(best)),
        }
    }

    fn search_host(&self, host: &[u8], path: &[u8], search: &mut Search<'_>) {
        let mut lower = [0; HOST_BYTES_MAX];
        let Some(lower) = lower.get_mut(..host.len()) else { return };
        lower.copy_from_slice(host);
        lower.make_ascii_lowercase();
        let lower = &*lower;
        if let Some(table) = look_up(&self.exact, lower) {
            table.search(path, search);
        }
        // Domains from the shortest to the longest that any rule asks for, so that labels without end cost nothing.
        let mut end = lower.len();
        while !self.under.is_empty() {
            let Some(dot) = memrchr(b'.', &lower[..end]) else { return };
            let domain = &lower[dot + 1..];
            if domain.len() > self.under_bytes_max || dot == 0 {
                return;
            }
            if let Some(table) = look_up(&self.under, domain) {
                table.search(path, search);
            }
            end = dot;
        }
    }

    fn table(&mut self, host: &HostPattern) -> &mut Table {
        let (tables, key) = match host {
            HostPattern::Exact(name) => (&mut self.exact, name.as_bytes()),
            HostPattern::Under(domain) => (&mut self.under, domain.as_bytes()),
        };
        let place = match tables.binary_search_by(|(host, _)| (**host).cmp(key)) {
            Ok(found) => found,
            Err(place) => {
                tables.insert(place, (key.into(), Table::new()));
                place
            }
        };
        &mut tables[place].1
    }

    fn place_of(&mut self, conditions: &Conditions) -> u32 {
        if conditions.is_empty() {
            return Entry::NO_CONDITIONS;
        }
        self.conditions.push(conditions.clone());
        // As many as rules at most.
        (self.conditions.len() - 1) as u32
    }

    fn method_bits(&mut self, rule: &Rule) -> Result<u64, TooManyMethods> {
        if rule.methods.is_empty() {
            return Ok(ANY);
        }
        self.methods_matter = true;
        let mut bits = 0;
        for method in &rule.methods {
            let token = method.as_str().as_bytes();
            if self.method_bit(token) == OTHER {
                if self.custom.len() == CUSTOM_MAX {
                    return Err(TooManyMethods);
                }
                self.custom.push(token.into());
            }
            bits |= self.method_bit(token);
        }
        Ok(bits)
    }

    fn method_bit(&self, token: &[u8]) -> u64 {
        let place = match Method::of(token) {
            Method::Get => 0,
            Method::Head => 1,
            Method::Post => 2,
            Method::Put => 3,
            Method::Delete => 4,
            Method::Connect => 5,
            Method::Options => 6,
            Method::Trace => 7,
            Method::Patch => 8,
            Method::Other => match self.custom.iter().position(|c| **c == *token) {
                Some(place) => CUSTOM_FIRST + place,
                None => return OTHER,
            },
        };
        1 << place
    }

    /// Whether there is no rule at all.
    pub fn is_empty(&self) -> bool {
        self.any.is_empty() && self.exact.is_empty() && self.under.is_empty()
    }
}

fn look_up<'t>(tables: &'t [(Box<[u8]>, Table)], host: &[u8]) -> Option<&'t Table> {
    tables.binary_search_by(|(name, _)| (**name).cmp(host)).ok().map(|found| &tables[found].1)
}

/// The host of an authority as hosts are compared, but for its case: without the port and one trailing dot. An IPv6
/// address keeps its brackets.
pub fn host_of(authority: &[u8]) -> &[u8] {
    let host = match memrchr(b':', authority) {
        Some(colon) if !authority[colon..].contains(&b']') => &authority[..colon],
        _ => authority,
    };
    host.strip_suffix(b".").unwrap_or(host)
}

/// The methods that would have been taken; its `Display` is the value of an Allow field.
#[derive(Clone, Copy)]
pub struct Allow<'r> {
    router: &'r Router,
    methods: u64,
}

impl<'r> Allow<'r> {
    /// The methods, standard ones first.
    pub fn iter(self) -> impl Iterator<Item = &'r [u8]> {
        let all = STANDARD.into_iter().chain(self.router.custom.iter().map(|c| &**c));
        all.enumerate().filter(move |(place, _)| self.methods & 1 << place != 0).map(|(_, token)| token)
    }

    /// Whether this method is among them.
    pub fn contains(self, method: &[u8]) -> bool {
        self.iter().any(|token| token == method)
    }
}

impl fmt::Display for Allow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, token) in self.iter().enumerate() {
            write!(f, "{}{}", if n == 0 { "" } else { ", " }, token.escape_ascii())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Allow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Allow({self})")
    }
}
