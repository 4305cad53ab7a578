//! Searches that are under way.

use std::cell::Cell;
use std::rc::Rc;

use clock::Tick;

use crate::entry::Entry;
use crate::files::coded::CodedClaim;
use crate::load::Lookup;

/// A search that must wait, in two parts: `lookup` goes to another thread ([`Lookup::wait`]), `claim` stays.
#[derive(Debug)]
pub struct Work {
    /// What to do.
    pub lookup: Lookup,
    /// What it is done for.
    pub claim: Claim,
}

/// A search that is under way. While it lives, others are served what the cache holds; dropped without a conclusion, it leaves
/// the search to the next request.
#[derive(Debug)]
pub struct Claim {
    /// What the cache holds for the path, and when that was checked before.
    pub(super) entry: Option<(Rc<Entry>, Tick)>,
    /// When the root was checked before, if this search checks it.
    root: Option<(Rc<Cell<Tick>>, Tick)>,
    pub(super) began: Tick,
    pub(super) is_fallback: bool,
    pub(super) is_retry: bool,
    /// How many changes had been told of when it began.
    pub(super) told: u32,
    /// What it makes, if that is not the file as it is.
    pub(crate) coded: Option<CodedClaim>,
}

impl Claim {
    pub(super) fn new(entry: Option<Rc<Entry>>, root: Option<&Rc<Cell<Tick>>>, began: Tick, told: u32) -> Claim {
        let entry = entry.map(|e| {
            let before = e.checked.replace(began);
            (e, before)
        });
        let root = root.map(|r| (Rc::clone(r), r.replace(began)));
        Claim { entry, root, began, is_fallback: false, is_retry: false, told, coded: None }
    }

    pub(super) fn keep(&mut self) -> Option<Rc<Entry>> {
        self.root = None;
        self.entry.take().map(|(entry, _)| entry)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some((entry, before)) = self.entry.take() {
            entry.checked.set(before);
        }
        if let Some((checked, before)) = self.root.take() {
            checked.set(before);
        }
    }
}
