//! Smooth weighted round robin over the servers that are fit to be picked.
//!
//! The well-known algorithm (each round every server gains its weight, the highest is picked and pays the sum)
//! costs a pass over all servers for each pick. Here the servers of one weight form a group that takes its
//! turns as one server of their total weight would, and inside a group the members follow each other in a
//! ring: the same shares, as smoothly, for a pass over the *different weights*, of which there are few. With
//! equal weights a pick costs the same for ten servers and for a thousand.

use crate::{ServerId, Tried};

/// The servers in rotation. Feed it with [`Rotation::insert`] and [`Rotation::remove`]; ask with
/// [`Rotation::next`], or [`Rotation::next_untried`] for a further try of the same request.
#[derive(Clone, Debug)]
pub(crate) struct Rotation {
    groups: Vec<Group>,
    /// For each server the group of its weight, [`NEVER`] for a weight of 0.
    group_of: Vec<u32>,
    total: i64,
}

const NEVER: u32 = u32::MAX;

#[derive(Clone, Debug)]
struct Group {
    weight: u32,
    /// In ascending order, so that a server that leaves and comes back finds its place in the ring again.
    members: Vec<ServerId>,
    /// The member whose turn is next.
    next: usize,
    /// The weight of all members together.
    share: i64,
    /// What the group has gained and not yet paid.
    credit: i64,
}

impl Rotation {
    /// A rotation of servers of these weights, all of them in.
    pub(crate) fn full(weights: &[u32]) -> Rotation {
        let mut distinct: Vec<u32> = weights.iter().copied().filter(|w| *w > 0).collect();
        distinct.sort_unstable_by(|a, b| b.cmp(a));
        distinct.dedup();
        let group = |w: &u32| distinct.binary_search_by(|d| w.cmp(d)).map_or(NEVER, |at| at as u32);
        let group_of: Vec<u32> = weights.iter().map(group).collect();
        let mut groups: Vec<Group> = distinct.iter().map(|weight| Group::empty(*weight)).collect();
        for (server, group) in group_of.iter().enumerate().filter(|(_, g)| **g != NEVER) {
            groups[*group as usize].members.push(ServerId(server as u32));
        }
        let mut rotation = Rotation { groups, group_of, total: 0 };
        rotation.weigh();
        rotation
    }

    /// Takes `server` in; false when its weight is 0 or it is in already. O(servers of that weight).
    pub(crate) fn insert(&mut self, server: ServerId) -> bool {
        let Some(group) = self.group_mut(server) else { return false };
        let Err(at) = group.members.binary_search(&server) else { return false };
        group.members.insert(at, server);
        if at < group.next {
            group.next += 1;
        }
        self.weigh();
        true
    }

    /// Takes `server` out, if it is in. O(servers of that weight).
    pub(crate) fn remove(&mut self, server: ServerId) -> bool {
        let Some(group) = self.group_mut(server) else { return false };
        let Ok(at) = group.members.binary_search(&server) else { return false };
        group.members.remove(at);
        if at < group.next {
            group.next -= 1;
        }
        if group.next >= group.members.len() {
            group.next = 0;
        }
        self.weigh();
        true
    }

    /// The next server. O(different weights).
    #[inline]
    pub(crate) fn next(&mut self) -> Option<ServerId> {
        if let [only] = &mut *self.groups {
            return only.turn(|_| true);
        }
        let best = self.best_group(|_| true)?;
        self.groups[best].turn(|_| true)
    }

    /// The next server that is not among `tried`, if there is one. O(different weights x tried).
    pub(crate) fn next_untried(&mut self, tried: &Tried) -> Option<ServerId> {
        let best = self.best_group(|group| group.members.iter().any(|m| !tried.contains(*m)))?;
        self.groups[best].turn(|m| !tried.contains(m))
    }

    /// Whether `server` is in.
    pub(crate) fn contains(&self, server: ServerId) -> bool {
        let group = self.group_of.get(server.index()).and_then(|g| self.groups.get(*g as usize));
        group.is_some_and(|g| g.members.binary_search(&server).is_ok())
    }

    fn group_mut(&mut self, server: ServerId) -> Option<&mut Group> {
        let group = *self.group_of.get(server.index())?;
        self.groups.get_mut(group as usize)
    }

    /// One round among the groups: all gain their share, the richest that will do pays the sum of them.
    fn best_group(&mut self, will_do: impl Fn(&Group) -> bool) -> Option<usize> {
        let mut best = None;
        let mut most = i64::MIN;
        for (i, group) in self.groups.iter().enumerate() {
            let credit = group.credit + group.share;
            if credit > most && !group.members.is_empty() && will_do(group) {
                (best, most) = (Some(i), credit);
            }
        }
        let best = best?;
        self.groups.iter_mut().for_each(|g| g.credit += g.share);
        self.groups[best].credit -= self.total;
        Some(best)
    }

    fn weigh(&mut self) {
        for group in &mut self.groups {
            group.share = i64::from(group.weight) * group.members.len() as i64;
        }
        self.total = self.groups.iter().map(|g| g.share).sum();
        // Credit gained under greater weights would otherwise be paid back in a row of turns.
        for group in &mut self.groups {
            group.credit = group.credit.clamp(-self.total, self.total);
        }
    }
}

impl Group {
    fn empty(weight: u32) -> Group {
        Group { weight, members: Vec::new(), next: 0, share: 0, credit: 0 }
    }

    /// The next member that will do, if any; the turn then is its successor's.
    fn turn(&mut self, will_do: impl Fn(ServerId) -> bool) -> Option<ServerId> {
        for _ in 0..self.members.len() {
            let member = self.members[self.next];
            self.next += 1;
            if self.next == self.members.len() {
                self.next = 0;
            }
            if will_do(member) {
                return Some(member);
            }
        }
        None
    }
}
