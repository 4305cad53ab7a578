//! Which of a server's addresses has its turn.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use balance::hash_of;
use clock::Tick;
use event_loop::{now, within};
use net::Address;

use super::{Server, connect_error};
use crate::pool::{Connection, Keep};

/// How long an address that failed is tried after the others. Each further failure doubles it.
pub(super) const AVOIDED: Duration = Duration::from_secs(5);

/// The longest such time.
const AVOIDED_MAX: Duration = Duration::from_secs(60);

/// An address that could not be connected to.
pub(super) struct Failed {
    address: Address,
    until: Tick,
    times: u32,
}

impl Server {
    /// An idle connection, if there is one: to the address whose turn it is, where there are several.
    #[inline]
    pub(crate) fn reuse(&self, now: Tick, keep: &Keep) -> Option<Box<Connection>> {
        if self.takes_turns(keep) { self.reuse_in_turn(now, keep) } else { self.pool.take(now, keep) }
    }

    /// Whether there are several addresses, and one connection to each can be kept. Where fewer are, one would be opened for many of the requests.
    #[inline]
    pub(super) fn takes_turns(&self, keep: &Keep) -> bool {
        self.several.get() && self.found.addresses.borrow().len() <= keep.idle
    }

    /// Without an idle one to that address the connection that is made begins with it: otherwise the addresses that were there first would have
    /// all requests, as long as they are enough.
    #[cold]
    #[inline(never)]
    fn reuse_in_turn(&self, now: Tick, keep: &Keep) -> Option<Box<Connection>> {
        let addresses = self.found.addresses.borrow();
        let first = self.next.get();
        for turn in (0..addresses.len()).map(|step| first.wrapping_add(step)) {
            let address = &addresses[turn % addresses.len()];
            let Address::Tcp(at) = address else { break };
            if self.is_avoided(address, now) {
                continue;
            }
            self.next.set(turn);
            let connection = self.pool.take_at(now, keep, place_of(*at))?;
            self.next.set(turn.wrapping_add(1));
            return Some(connection);
        }
        self.pool.take(now, keep)
    }

    /// Whether there are idle connections, but none to the address whose turn it is: another worker's would lead just anywhere, and two that take
    /// them from each other would never make one to an address that has come.
    pub(crate) fn wants_another_address(&self, keep: &Keep) -> bool {
        self.takes_turns(keep) && self.pool.len() > 0
    }

    fn is_avoided(&self, address: &Address, now: Tick) -> bool {
        self.failed.borrow().iter().any(|failed| failed.address == *address && !failed.until.is_due(now))
    }

    /// One address after the other, so that a try holds one descriptor at most. Each gets an equal part of the time that is
    /// left: an address that swallows everything (RFC 8305 §2 knows them) cannot starve those behind it. What the last one
    /// came to; `None` when it did not answer in its time.
    pub(super) async fn connect_to_any(&self, by: Tick) -> Option<io::Result<net::Stream>> {
        let candidates = self.candidates();
        let mut last = Some(Err(io::ErrorKind::NotFound.into()));
        for (left, address) in (1..=candidates.len() as u32).rev().zip(candidates) {
            let share = by.since(now()) / left;
            last = within(now().after(share), net::connect(&address)).await;
            if let Some(Ok(_)) = last {
                self.rehabilitate(&address);
                break;
            }
            self.avoid(address, last.as_ref().and_then(|tried| tried.as_ref().err()));
        }
        last
    }

    /// `why` not: no answer came in time.
    pub(super) fn avoid(&self, address: Address, why: Option<&io::Error>) {
        let mut failed = self.failed.borrow_mut();
        let before = failed.iter().position(|failed| failed.address == address).map(|at| failed.swap_remove(at));
        let times = before.map_or(0, |before| before.times);
        if times == 0 && self.several.get() {
            let why = why.map_or_else(|| "no connection came about in time".into(), connect_error);
            self.untold.borrow_mut().push((address.clone(), Some(why)));
        }
        let until = now().after(AVOIDED_MAX.min(AVOIDED * (1 << times.min(8))));
        failed.push(Failed { address, until, times: times + 1 });
    }

    /// The time is over in which an address is passed over.
    #[cfg(test)]
    pub(super) fn forgive(&self, address: &Address) {
        let mut failed = self.failed.borrow_mut();
        failed.iter_mut().filter(|failed| failed.address == *address).for_each(|failed| failed.until = now());
    }

    fn rehabilitate(&self, address: &Address) {
        let mut failed = self.failed.borrow_mut();
        let before = failed.iter().position(|failed| failed.address == *address).map(|at| failed.swap_remove(at));
        if before.is_some() && self.several.get() {
            self.untold.borrow_mut().push((address.clone(), None));
        }
    }

    /// Its addresses, beginning with another one each time. Those that failed a moment ago come last, so that one of them does
    /// not cost every connection its share of the time.
    pub(super) fn candidates(&self) -> Vec<Address> {
        let addresses = self.found.addresses.borrow();
        self.failed.borrow_mut().retain(|failed| addresses.contains(&failed.address));
        let first = self.next.get();
        self.next.set(first.wrapping_add(1));
        let (ahead, behind) = addresses.split_at(first % addresses.len().max(1));
        let in_turn = behind.iter().chain(ahead).cloned();
        let (last, mut candidates): (Vec<_>, Vec<_>) = in_turn.partition(|address| self.is_avoided(address, now()));
        candidates.extend(last);
        if let Some(address) = candidates.first() {
            self.begin_trial(address);
        }
        candidates
    }

    /// One that failed, and whose time is over, gets this request: the others pass it over meanwhile, or each that has its turn would wait for
    /// it as long as this one.
    fn begin_trial(&self, address: &Address) {
        let mut failed = self.failed.borrow_mut();
        if let Some(failed) = failed.iter_mut().find(|failed| failed.address == *address && failed.until.is_due(now()))
        {
            failed.until = now().after(AVOIDED);
        }
    }
}

/// A place that a connection leads to, as a number that is not 0.
pub(crate) fn place_of(at: SocketAddr) -> u32 {
    let ip = match at.ip().to_canonical() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    let [high, low] = at.port().to_be_bytes();
    let mut bytes = [0; 18];
    bytes[..16].copy_from_slice(&ip.octets());
    bytes[16..].copy_from_slice(&[high, low]);
    hash_of(&bytes) as u32 | 1
}
