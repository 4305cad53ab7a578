//! A rule: what a request must look like to take a route.

use crate::condition::Conditions;
use crate::pattern::{HostPattern, MethodToken, PathPattern};

/// The place of a route in the list the router was built from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteId(pub u32);

impl RouteId {
    /// As an index into the list.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a request must look like. Hosts, path, methods and conditions must all fit.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// The hosts it is for; empty means any, a request without a host included.
    pub hosts: Vec<HostPattern>,
    /// The paths it is for.
    pub path: PathPattern,
    /// The methods it is for; empty means any.
    pub methods: Vec<MethodToken>,
    /// What else must hold; usually nothing.
    pub conditions: Conditions,
}

impl Rule {
    /// The rule that every request fits.
    pub fn any() -> Rule {
        Rule { hosts: Vec::new(), path: PathPattern::any(), methods: Vec::new(), conditions: Conditions::default() }
    }

    /// Whether every request that fits `other` fits this rule too, so that `other` behind it is never reached. May say
    /// no where that is hard to tell.
    pub fn covers(&self, other: &Rule) -> bool {
        covers_all(&self.hosts, &other.hosts, HostPattern::covers)
            && self.path.covers(&other.path)
            && covers_all(&self.methods, &other.methods, MethodToken::eq)
            && (self.conditions.is_empty() || self.conditions == other.conditions)
    }
}

/// Of two lists in which empty means any: whether each of `theirs` is covered by one of `ours`.
fn covers_all<T>(ours: &[T], theirs: &[T], covers: impl Fn(&T, &T) -> bool) -> bool {
    ours.is_empty() || (!theirs.is_empty() && theirs.iter().all(|their| ours.iter().any(|our| covers(our, their))))
}
