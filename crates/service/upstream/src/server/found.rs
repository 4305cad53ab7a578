//! What is known of a name: its addresses, lately and now.

use std::cell::{Cell, RefCell};

use clock::Tick;
use net::Address;

/// Many names have more addresses than an answer holds, and each answer has others of them. An address of such a name has gone when so many
/// look-ups in a row were without it; those of other names have gone with the first.
const GONE_AFTER: u32 = 3;

/// A name is not taken for one whose addresses come in turn any more when so many answers in a row were the same: what looked like it was a failover
/// and back.
pub(super) const SETTLED_AFTER: u32 = 30;

/// What the look-ups of a name came to. Shared with the one that is under way, which outlives whoever asked for it.
#[derive(Default)]
pub(super) struct Found {
    pub(super) addresses: RefCell<Vec<Address>>,
    /// Those that the last look-ups found, and how many of the latest were without each.
    pub(super) lately: RefCell<Vec<(Address, u32)>>,
    /// Whether its answers were seen to hold some of its addresses in turn.
    rotates: Cell<bool>,
    /// How many of the latest answers were the same as the one before.
    same: Cell<u32>,
    /// Look-ups that found something.
    answers: Cell<u32>,
    /// How often addresses have gone from among them; 0: there were none yet.
    pub(super) era: Cell<u32>,
    pub(super) error: RefCell<Option<String>>,
    pub(super) looking: Cell<bool>,
    pub(super) failed_at: Cell<Option<Tick>>,
}

impl Found {
    /// What is known of a server that is at these addresses, or at none yet.
    pub(super) fn at(addresses: Vec<Address>) -> Found {
        Found { addresses: RefCell::new(addresses), ..Found::default() }
    }

    /// Takes up what a look-up found.
    pub(super) fn learn(&self, addresses: Vec<Address>) {
        let mut lately = self.lately.borrow_mut();
        let is_same = {
            let before = self.addresses.borrow();
            before.len() == addresses.len() && before.iter().all(|address| addresses.contains(address))
        };
        self.same.set(if is_same { self.same.get().saturating_add(1) } else { 0 });
        if self.same.get() >= SETTLED_AFTER {
            self.rotates.set(false);
        }
        let (mut returned, mut left_out) = (false, false);
        for (address, without) in &mut *lately {
            if addresses.contains(address) {
                returned |= std::mem::take(without) > 0;
            } else {
                left_out |= *without == 0;
                *without += 1;
            }
        }
        // One that comes back to the others is no sign of it: it was down, perhaps.
        if returned && left_out {
            self.rotates.set(true);
        }
        let gone_after = self.gone_after();
        if self.era.get() == 0 || lately.iter().any(|(_, without)| *without == gone_after) {
            self.next_era();
        }
        lately.retain(|(_, without)| *without < GONE_AFTER);
        for address in &addresses {
            if lately.iter().all(|(other, _)| other != address) {
                lately.push((address.clone(), 0));
            }
        }
        self.addresses.replace(addresses);
        self.answers.set(self.answers.get().saturating_add(1));
    }

    /// Whether there are several addresses of which each is to have its turn. Where they come in turn already, those of the latest answer are few
    /// of those that connections are kept to.
    pub(super) fn has_several(&self) -> bool {
        self.addresses.borrow().len() > 1 && !self.rotates.get()
    }

    /// Adds what was known `before`. Look-ups since then may have come first.
    pub(super) fn follow_on(&self, before: &Found) {
        self.rotates.set(self.rotates.get() || before.rotates.get());
        let mut lately = self.lately.borrow_mut();
        for (address, without) in &*before.lately.borrow() {
            let without = without.saturating_add(self.answers.get());
            if without < GONE_AFTER && lately.iter().all(|(other, _)| other != address) {
                lately.push((address.clone(), without));
            }
        }
        let mut addresses = self.addresses.borrow_mut();
        if addresses.is_empty() {
            addresses.clone_from(&before.addresses.borrow());
        }
        if self.era.get() == 0 && before.era.get() != 0 {
            self.next_era();
        }
    }

    /// How many look-ups in a row are without an address when connections to it are no longer kept.
    pub(super) fn gone_after(&self) -> u32 {
        if self.rotates.get() { GONE_AFTER } else { 1 }
    }

    fn next_era(&self) {
        self.era.set(self.era.get().wrapping_add(1).max(1));
    }
}
