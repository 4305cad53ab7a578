//! Consistent hashing: a key keeps its server while other servers come and go.

use crate::ServerId;

/// Points of each server of weight 1 on the ring, as long as there are not too many altogether.
const POINTS: u64 = 160;

/// Points on a ring altogether; about a megabyte.
const POINTS_MAX: u64 = 1 << 17;

/// Servers at many places on a ring; a key belongs to the next one. Which servers are in use is the caller's knowledge, so
/// that the ring never changes.
#[derive(Clone, Debug)]
pub(crate) struct Ring {
    points: Vec<(u32, ServerId)>,
    /// For the first bits of a key the first point that can be meant, so that the search is short.
    starts: Vec<u32>,
    shift: u32,
}

impl Ring {
    /// A ring of servers of these weights and identities, which decide where they stand: a server has its places by what it
    /// is, not by its place in a list.
    pub(crate) fn new(servers: impl Iterator<Item = (ServerId, u32, u64)> + Clone) -> Ring {
        let total: u64 = servers.clone().map(|(_, weight, _)| u64::from(weight)).sum();
        let mut points = Vec::new();
        for (server, weight, identity) in servers.filter(|(_, weight, _)| *weight > 0) {
            let wanted = u64::from(weight) * POINTS;
            let count =
                if total * POINTS > POINTS_MAX { (u64::from(weight) * POINTS_MAX / total).max(1) } else { wanted };
            points.extend((0..count).map(|i| ((mix(identity ^ mix(i + 1)) >> 32) as u32, server)));
        }
        points.sort_unstable();
        let bits = (points.len().max(2) as u32).ilog2();
        let shift = 32 - bits;
        let mut starts = Vec::with_capacity(1 << bits);
        let mut at = 0;
        for bucket in 0..1u64 << bits {
            while points.get(at).is_some_and(|(hash, _)| u64::from(*hash) < bucket << shift) {
                at += 1;
            }
            starts.push(at as u32);
        }
        Ring { points, starts, shift }
    }

    /// The first server for `key` that will do, in the order of the ring, of those at so many points at most.
    pub(crate) fn find(&self, key: u64, points: usize, mut will_do: impl FnMut(ServerId) -> bool) -> Option<ServerId> {
        let hash = (mix(key) >> 32) as u32;
        let mut at = *self.starts.get((hash >> self.shift) as usize)? as usize;
        while self.points.get(at).is_some_and(|(point, _)| *point < hash) {
            at += 1;
        }
        let (before, from) = self.points.split_at(at.min(self.points.len()));
        from.iter().chain(before).take(points).map(|(_, server)| *server).find(|server| will_do(*server))
    }
}

/// Spreads a number over all 64 bits (the finaliser of SplitMix64).
pub(crate) fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The hash of a key or an identity. Not keyed: whoever chooses keys that meet on one server is stopped by the bounded load.
pub fn hash_of(bytes: &[u8]) -> u64 {
    let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    mix(bytes.iter().fold(0xcbf2_9ce4_8422_2325, fold))
}
