//! The servers that a policy may choose from.

use crate::ServerId;

/// A set of servers of which one is drawn by weight. Costs the same however many there are; a draw is a pass over the different
/// weights, of which there are few.
#[derive(Clone, Debug)]
pub(crate) struct Members {
    /// One for each weight that there is.
    groups: Vec<Group>,
    /// For each server the group of its weight, [`OUT`] for a weight of 0, and its place there, [`OUT`] when it is not in.
    places: Vec<Place>,
    len: usize,
    total_weight: u64,
    /// A bit for each server, so that the first member is found a word at a time.
    bits: Vec<u64>,
}

#[derive(Clone, Debug)]
struct Group {
    weight: u64,
    list: Vec<ServerId>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    group: u32,
    at: u32,
}

const OUT: u32 = u32::MAX;

impl Members {
    /// The set of all servers of these weights, but those of weight 0, which are never in it.
    pub(crate) fn all_of(weights: &[u32]) -> Members {
        let mut distinct: Vec<u32> = weights.iter().copied().filter(|weight| *weight > 0).collect();
        distinct.sort_unstable_by(|a, b| b.cmp(a));
        distinct.dedup();
        let group = |weight: &u32| distinct.binary_search_by(|other| weight.cmp(other)).map_or(OUT, |at| at as u32);
        let mut members = Members {
            groups: distinct.iter().map(|weight| Group { weight: u64::from(*weight), list: Vec::new() }).collect(),
            places: weights.iter().map(|weight| Place { group: group(weight), at: OUT }).collect(),
            len: 0,
            total_weight: 0,
            bits: vec![0; weights.len().div_ceil(64)],
        };
        (0..weights.len() as u32).for_each(|i| _ = members.insert(ServerId(i)));
        members
    }

    /// False when it was in already, or never is.
    pub(crate) fn insert(&mut self, server: ServerId) -> bool {
        let Some(place) = self.places.get_mut(server.index()).filter(|place| place.at == OUT) else { return false };
        let Some(group) = self.groups.get_mut(place.group as usize) else { return false };
        place.at = group.list.len() as u32;
        group.list.push(server);
        self.len += 1;
        self.total_weight += group.weight;
        self.bits[server.index() / 64] |= 1 << (server.index() % 64);
        true
    }

    /// False when it was not in.
    pub(crate) fn remove(&mut self, server: ServerId) -> bool {
        if !self.contains(server) {
            return false;
        }
        let place = &mut self.places[server.index()];
        let at = std::mem::replace(&mut place.at, OUT);
        let group = &mut self.groups[place.group as usize];
        group.list.swap_remove(at as usize);
        if let Some(moved) = group.list.get(at as usize) {
            self.places[moved.index()].at = at;
        }
        self.len -= 1;
        self.total_weight -= group.weight;
        self.bits[server.index() / 64] &= !(1 << (server.index() % 64));
        true
    }

    pub(crate) fn contains(&self, server: ServerId) -> bool {
        self.places.get(server.index()).is_some_and(|place| place.at != OUT)
    }

    /// The members in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = ServerId> + Clone {
        self.groups.iter().flat_map(|group| group.list.iter().copied())
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The sum of the members' weights.
    pub(crate) fn total_weight(&self) -> u64 {
        self.total_weight
    }

    /// The member with the lowest number.
    pub(crate) fn first(&self) -> Option<ServerId> {
        let word = self.bits.iter().position(|word| *word != 0)?;
        Some(ServerId(word as u32 * 64 + self.bits[word].trailing_zeros()))
    }

    /// Two different members, each by its weight, if there are two; `below` gives a number below its argument by chance.
    #[inline]
    pub(crate) fn two(&self, mut below: impl FnMut(u64) -> u64) -> Option<(ServerId, ServerId)> {
        if self.len < 2 {
            return None;
        }
        if let [only] = &*self.groups {
            let one = below(self.len as u64) as usize;
            let two = below(self.len as u64 - 1) as usize;
            return Some((only.list[one], only.list[two + usize::from(two >= one)]));
        }
        let one = self.holder(below(self.total_weight), None)?;
        let place = self.places[one.index()];
        let others = self.total_weight - self.groups[place.group as usize].weight;
        Some((one, self.holder(below(others), Some(place))?))
    }

    /// Each member but the one at `without` has as many tickets as its weight: who has this one?
    fn holder(&self, mut ticket: u64, without: Option<Place>) -> Option<ServerId> {
        for (i, group) in self.groups.iter().enumerate() {
            let gap = without.filter(|place| place.group as usize == i).map(|place| place.at as usize);
            let share = group.weight * (group.list.len() - usize::from(gap.is_some())) as u64;
            if ticket < share {
                let at = (ticket / group.weight) as usize;
                return group.list.get(at + usize::from(gap.is_some_and(|gap| at >= gap))).copied();
            }
            ticket -= share;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All pairs of tickets, counted: the first is drawn by weight among all, the second by weight among the others.
    #[test]
    fn each_is_drawn_by_its_weight_and_never_with_itself() {
        let mut members = Members::all_of(&[3, 0, 1, 1, 3, 2]);
        assert!(members.remove(ServerId(4)) && !members.insert(ServerId(1)));
        let mut drawn = std::collections::HashMap::new();
        for first in 0..members.total_weight() {
            let (one, _) = members.two(|bound| first.min(bound - 1)).unwrap();
            *drawn.entry(one.0).or_insert(0) += 1;
            let weight_of_others = members.total_weight() - [3, 0, 1, 1, 3, 2][one.index()];
            let mut seconds = std::collections::HashMap::new();
            for second in 0..weight_of_others {
                let mut tickets = [first, second].into_iter();
                let (again, two) = members.two(|_| tickets.next().unwrap()).unwrap();
                assert!(again == one && two != one);
                *seconds.entry(two.0).or_insert(0) += 1;
            }
            assert!(seconds.iter().all(|(id, count)| *count == [3, 0, 1, 1, 3, 2][*id as usize]), "{seconds:?}");
        }
        assert_eq!(drawn, [(0, 3), (2, 1), (3, 1), (5, 2)].into());
    }
}
