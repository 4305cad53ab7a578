//! A route whose requests go to several upstreams, each with its share.

use std::cell::Cell;
use std::net::IpAddr;

use config::SplitBy;
use reverse_proxy::Proxy;

/// The shares of a route, on one worker.
pub(crate) struct Split {
    shares: Shares,
    proxies: Vec<Proxy>,
}

impl Split {
    /// The proxies with their weights, of which one is not zero. `worker` is this worker's number, so that not all begin at the
    /// same place.
    pub(crate) fn new(shares: Vec<(u32, Proxy)>, by: SplitBy, worker: u16) -> Split {
        let (weights, proxies): (Vec<u32>, _) = shares.into_iter().unzip();
        Split { shares: Shares::new(&weights, by, worker), proxies }
    }

    /// Who answers this request.
    pub(crate) fn pick(&self, client: Option<IpAddr>) -> Option<&Proxy> {
        self.proxies.get(self.shares.pick(client))
    }
}

struct Shares {
    /// Where each share ends, on a line as long as all weights together.
    ends: Vec<u32>,
    by: SplitBy,
    turn: Cell<u32>,
}

/// 2^32 over the golden ratio. Multiples of it, on a circle of 2^32, fall into its largest gaps: shares are right not only on
/// average, but among any few requests.
const STEP: u32 = 0x9E37_79B9;

impl Shares {
    fn new(weights: &[u32], by: SplitBy, worker: u16) -> Shares {
        let mut end = 0;
        let ends = weights.iter().map(|weight| {
            end += weight;
            end
        });
        Shares { ends: ends.collect(), by, turn: Cell::new(u32::from(worker) << 20) }
    }

    fn pick(&self, client: Option<IpAddr>) -> usize {
        let place = match (self.by, client) {
            (SplitBy::Client, Some(address)) => place_of(address),
            _ => {
                self.turn.set(self.turn.get().wrapping_add(STEP));
                self.turn.get()
            }
        };
        let total = self.ends.last().copied().unwrap_or(0);
        let at = ((u64::from(place) * u64::from(total)) >> 32) as u32;
        self.ends.partition_point(|end| *end <= at)
    }
}

/// A client's place on the circle: the same on all workers and machines, for ever. Of an IPv6 address only the network counts
/// (RFC 8981: the rest of it changes by itself).
fn place_of(address: IpAddr) -> u32 {
    let hash = |octets: &[u8]| {
        octets.iter().fold(0xcbf2_9ce4_8422_2325, |h: u64, b| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3))
    };
    let hash = match address.to_canonical() {
        IpAddr::V4(v4) => hash(&v4.octets()),
        IpAddr::V6(v6) => hash(&v6.octets()[..8]),
    };
    // The last octets of neighbours differ little, and so do their hashes' upper bits, without this.
    ((hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(shares: &Shares, client: impl Fn(u32) -> Option<IpAddr>, rounds: u32) -> Vec<u32> {
        let mut counts = vec![0; shares.ends.len()];
        (0..rounds).for_each(|n| counts[shares.pick(client(n))] += 1);
        counts
    }

    #[test]
    fn requests_are_shared_out_as_the_weights_say() {
        let shares = Shares::new(&[95, 0, 5], SplitBy::Request, 3);
        let many = counts(&shares, |_| None, 10_000);
        assert!(many[1] == 0 && (498..=502).contains(&many[2]), "{many:?}");
        for _ in 0..50 {
            let few = counts(&shares, |_| None, 100);
            assert!(few[1] == 0 && (3..=7).contains(&few[2]), "{few:?}");
        }
        assert_eq!(counts(&Shares::new(&[0, 1], SplitBy::Request, 0), |_| None, 100), [0, 100]);
    }

    #[test]
    fn a_client_stays_and_a_growing_share_sends_nobody_back() {
        let address = |n: u32| Some(IpAddr::from((0x0a00_0000 + n).to_be_bytes()));
        let (small, large) = (Shares::new(&[95, 5], SplitBy::Client, 0), Shares::new(&[80, 20], SplitBy::Client, 7));
        let found = counts(&small, address, 10_000);
        assert!((400..600).contains(&found[1]), "{found:?}");
        for n in 0..10_000 {
            assert_eq!(small.pick(address(n)), Shares::new(&[95, 5], SplitBy::Client, 1).pick(address(n)));
            assert!(small.pick(address(n)) <= large.pick(address(n)), "who is on the canary stays there");
        }
        let v6 = |text: &str| small.pick(Some(text.parse().unwrap()));
        assert_eq!(v6("2001:db8:1:2::1"), v6("2001:db8:1:2:ffff::7"));
    }
}
