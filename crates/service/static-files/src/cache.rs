//! The open-file cache of a worker.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use clock::Tick;
use foldhash::fast::RandomState;
use fs::{Changes, Notices, Place};

use crate::entry::{Entry, checked_to_be_due, is_due};
use crate::pages::Pages;
use crate::turns::Turns;

/// How much an open-file cache may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Entries, and so descriptors.
    pub entries: usize,
    /// Bytes of content and of paths.
    pub bytes: usize,
    /// Files up to this size are held in memory; larger ones as a descriptor.
    pub content_max: usize,
}

impl Default for Limits {
    /// 1,024 entries, 16 MiB, files of up to 16 KiB.
    fn default() -> Limits {
        Limits { entries: 1024, bytes: 16 << 20, content_max: 16 << 10 }
    }
}

/// What an open-file cache holds and has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Entries held.
    pub entries: usize,
    /// Descriptors held.
    pub descriptors: usize,
    /// Bytes of content and of paths held.
    pub bytes: usize,
    /// Look-ups that found an entry.
    pub hits: u64,
    /// Look-ups that found none.
    pub misses: u64,
    /// Entries dropped to make room.
    pub evictions: u64,
}

/// An entry that nobody asked for in this time is dropped, so that a deleted file does not keep its disk space.
const IDLE_MS: u32 = 60_000;

/// How often [`sweep`] looks for idle entries.
const SWEEP_EVERY: Duration = Duration::from_secs(15);

/// The open files of one worker, shared by all its routes: bounded in entries and bytes, dropped by the CLOCK rule (an
/// entry used since the hand last passed stays). The key is the path of the request as it is, so that a hit needs no
/// translation, nor any allocation.
///
/// The paths are hashed with foldhash under a seed of the process. SipHash would cost a third of the whole hit; and its
/// stronger promise protects nothing here: only paths of existing files get in, and at most `entries` of them.
#[derive(Debug)]
pub struct OpenFiles {
    inner: RefCell<Inner>,
    limits: Limits,
    notices: Option<Arc<Notices>>,
    /// How many changes were told of.
    told: Cell<u32>,
    turns: Turns,
    /// What is on its way that no entry holds.
    pub(crate) pages: Pages,
    teller: OnceCell<Teller>,
    /// When the roots of the routes were looked at.
    roots: RefCell<Vec<Weak<Cell<Tick>>>>,
}

/// Who is told what an operator should know.
struct Teller(Box<dyn Fn(&str)>);

impl fmt::Debug for Teller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Teller")
    }
}

/// One user of the cache: the paths of different routes mean different files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner(u32);

type Index = HashMap<Rc<[u8]>, u32, RandomState>;

#[derive(Debug)]
struct Inner {
    /// By owner; `None` where one has gone.
    indices: Vec<Option<Index>>,
    slots: Vec<Slot>,
    hand: usize,
    stats: CacheStats,
}

#[derive(Debug)]
struct Slot {
    owner: Owner,
    path: Rc<[u8]>,
    entry: Rc<Entry>,
    /// Since the hand last passed.
    used: bool,
    used_at: Tick,
}

impl Slot {
    fn bytes(&self) -> usize {
        self.path.len() + self.entry.content_bytes()
    }
}

impl OpenFiles {
    /// An empty cache.
    pub fn new(limits: Limits) -> Rc<OpenFiles> {
        OpenFiles::with_notices(limits, None)
    }

    /// An empty cache whose files are looked at again when `notices` tell of a change, and without one every ten seconds only.
    /// Whoever waits for them must pass them on to [`OpenFiles::changed`].
    pub fn with_notices(limits: Limits, notices: Option<Arc<Notices>>) -> Rc<OpenFiles> {
        let inner = Inner { indices: Vec::new(), slots: Vec::new(), hand: 0, stats: CacheStats::default() };
        Rc::new(OpenFiles {
            inner: RefCell::new(inner),
            limits,
            notices,
            told: Cell::new(0),
            turns: Turns::default(),
            pages: Pages::default(),
            teller: OnceCell::new(),
            roots: RefCell::default(),
        })
    }

    /// Has `teller` told what an operator should know: a sentence for each, as often as a file is loaded. The first teller stays.
    pub fn tell_to(&self, teller: impl Fn(&str) + 'static) {
        let _ = self.teller.set(Teller(Box::new(teller)));
    }

    /// Tells the operator.
    pub(crate) fn tell(&self, sentence: &str) {
        if let Some(Teller(tell)) = self.teller.get() {
            tell(sentence);
        }
    }

    /// Takes note of changes: the files that they may concern are looked at before they are sent again, and so are roots whose place
    /// another directory may have taken. Costs a pass over all entries.
    pub fn changed(&self, changes: &Changes, now: Tick) {
        self.told.set(self.told.get().wrapping_add(1));
        let due = checked_to_be_due(now);
        if changes.root_moved {
            self.roots.borrow().iter().filter_map(Weak::upgrade).for_each(|checked| checked.set(due));
        }
        for slot in &self.inner.borrow().slots {
            let entry = &slot.entry;
            // Where the name that is asked for first may have come to be, that is another one.
            let concern =
                |place| if entry.name == 0 { changes.concern(place) } else { changes.concern_folder_of(place) };
            if entry.covered.get().is_some_and(concern) {
                entry.covered.set(None);
                entry.checked.set(due);
            }
        }
    }

    /// Has the root that was looked at then looked at again when it may be another.
    pub(crate) fn watch_root(&self, checked: &Rc<Cell<Tick>>) {
        let roots = &mut *self.roots.borrow_mut();
        roots.retain(|other| other.strong_count() > 0);
        roots.push(Rc::downgrade(checked));
    }

    /// Who tells of changes.
    pub(crate) fn notices(&self) -> Option<Arc<Notices>> {
        self.notices.clone()
    }

    /// How many changes were told of.
    pub(crate) fn told(&self) -> u32 {
        self.told.get()
    }

    /// Who may do a piece of work on the worker itself.
    pub(crate) fn turns(&self) -> &Turns {
        &self.turns
    }

    /// Whether an entry can be sent without a look at its file.
    #[inline]
    pub(crate) fn is_current(&self, entry: &Entry, now: Tick) -> bool {
        !is_due(entry.checked.get(), now) || is_vouched_for(entry, now)
    }

    /// The file was looked at, and nothing but a change that is told of at `place` can make it another. `told` is how many were told
    /// of when the look began: if more came since, one of them may have been this file's, and it is looked at again.
    pub(crate) fn vouch(&self, entry: &Entry, place: Option<Place>, told: u32) {
        let is_quiet = told == self.told();
        if place.is_some() && !is_quiet {
            entry.checked.set(checked_to_be_due(entry.checked.get()));
        }
        entry.covered.set(place.filter(|_| is_quiet));
        // What was written a moment ago is read again after a second, and is then as good as any other.
        entry.vouched.set(if entry.is_believed() { 0 } else { VOUCHED_MAX });
    }

    /// What it holds and has done.
    pub fn stats(&self) -> CacheStats {
        self.inner.borrow().stats
    }

    /// Drops what was not asked for in the last minute. Costs a pass over all entries.
    pub fn expire(&self, now: Tick) {
        self.pages.let_go();
        self.drop_where(|slot| now.0.wrapping_sub(slot.used_at.0) >= IDLE_MS);
    }

    /// Drops every entry that holds a descriptor, and says how many: for when the process has run out of them.
    pub fn shed_descriptors(&self) -> usize {
        self.drop_where(|slot| slot.entry.holds_descriptor())
    }

    /// How much of it one file may have that is compressed on its way; nothing of a cache that holds none.
    pub(crate) fn share(&self) -> usize {
        if self.limits.entries == 0 { 0 } else { self.limits.bytes / 8 }
    }

    pub(crate) fn content_max(&self) -> u64 {
        self.limits.content_max.min(self.limits.bytes) as u64
    }

    pub(crate) fn register(&self) -> Owner {
        let inner = &mut *self.inner.borrow_mut();
        let place = inner.indices.iter().position(Option::is_none).unwrap_or(inner.indices.len());
        if place == inner.indices.len() {
            inner.indices.push(None);
        }
        inner.indices[place] = Some(Index::default());
        Owner(place as u32)
    }

    /// Drops all of an owner's entries and the owner.
    pub(crate) fn unregister(&self, owner: Owner) {
        self.forget_all(owner);
        self.inner.borrow_mut().indices[owner.0 as usize] = None;
    }

    /// Drops all of an owner's entries.
    pub(crate) fn forget_all(&self, owner: Owner) {
        self.drop_where(|slot| slot.owner == owner);
    }

    /// The entry under that path, current or not.
    pub(crate) fn find(&self, owner: Owner, path: &[u8], now: Tick) -> Option<Rc<Entry>> {
        let inner = &mut *self.inner.borrow_mut();
        let Some(at) = inner.position(owner, path) else {
            inner.stats.misses += 1;
            return None;
        };
        inner.stats.hits += 1;
        let slot = &mut inner.slots[at];
        slot.used = true;
        slot.used_at = now;
        Some(Rc::clone(&slot.entry))
    }

    /// Puts an entry under that path in the place of what was there, and makes room for it. An entry that does not fit at all
    /// is not taken.
    pub(crate) fn insert(&self, owner: Owner, path: &[u8], entry: &Rc<Entry>, now: Tick) {
        let inner = &mut *self.inner.borrow_mut();
        inner.remove(owner, path);
        let bytes = path.len() + entry.content_bytes();
        if bytes > self.limits.bytes || self.limits.entries == 0 {
            return;
        }
        while inner.slots.len() >= self.limits.entries || inner.stats.bytes + bytes > self.limits.bytes {
            inner.evict();
        }
        inner.add(Slot { owner, path: path.into(), entry: Rc::clone(entry), used: false, used_at: now });
    }

    /// Drops the entry under that path, if there is one.
    pub(crate) fn remove(&self, owner: Owner, path: &[u8]) {
        self.inner.borrow_mut().remove(owner, path);
    }

    fn drop_where(&self, doomed: impl Fn(&Slot) -> bool) -> usize {
        let inner = &mut *self.inner.borrow_mut();
        let before = inner.slots.len();
        // From the end, since a removal moves the last slot into the gap.
        for at in (0..before).rev() {
            if doomed(&inner.slots[at]) {
                inner.remove_at(at);
            }
        }
        before - inner.slots.len()
    }
}

/// Whether a change of an entry that is due to be looked at would have been told of. Not for ever: some changes are told to nobody.
#[cold]
fn is_vouched_for(entry: &Entry, now: Tick) -> bool {
    let times = entry.vouched.get();
    let vouched =
        entry.covered.get().is_some() && times < VOUCHED_MAX && now.0.wrapping_sub(entry.checked.get().0) < VOUCHED_MS;
    if vouched {
        entry.vouched.set(times + 1);
        entry.checked.set(now);
    }
    vouched
}

/// So many seconds a file is taken for current because no change was told of.
const VOUCHED_MAX: u8 = 9;

/// What nobody asked for in so long is looked at, whatever was told.
const VOUCHED_MS: u32 = 10_000;

impl Inner {
    fn position(&self, owner: Owner, path: &[u8]) -> Option<usize> {
        self.indices[owner.0 as usize].as_ref()?.get(path).map(|at| *at as usize)
    }

    fn add(&mut self, slot: Slot) {
        if let Some(index) = &mut self.indices[slot.owner.0 as usize] {
            index.insert(Rc::clone(&slot.path), self.slots.len() as u32);
            self.stats.bytes += slot.bytes();
            self.stats.descriptors += usize::from(slot.entry.holds_descriptor());
            self.slots.push(slot);
            self.stats.entries = self.slots.len();
        }
        self.check_invariants();
    }

    fn remove(&mut self, owner: Owner, path: &[u8]) {
        if let Some(at) = self.position(owner, path) {
            self.remove_at(at);
        }
    }

    fn remove_at(&mut self, at: usize) {
        let gone = self.slots.swap_remove(at);
        if let Some(index) = &mut self.indices[gone.owner.0 as usize] {
            index.remove(&gone.path);
        }
        if let Some(moved) = self.slots.get(at)
            && let Some(index) = &mut self.indices[moved.owner.0 as usize]
            && let Some(place) = index.get_mut(&moved.path)
        {
            *place = at as u32;
        }
        self.stats.bytes -= gone.bytes();
        self.stats.descriptors -= usize::from(gone.entry.holds_descriptor());
        self.stats.entries = self.slots.len();
        self.check_invariants();
    }

    /// Drops the first entry at or behind the hand that was not used since the hand last passed: at most two rounds.
    fn evict(&mut self) {
        loop {
            if self.hand >= self.slots.len() {
                self.hand = 0;
            }
            let slot = &mut self.slots[self.hand];
            if !std::mem::take(&mut slot.used) {
                break;
            }
            self.hand += 1;
        }
        self.remove_at(self.hand);
        self.stats.evictions += 1;
    }

    fn check_invariants(&self) {
        if cfg!(debug_assertions) {
            let indexed: usize = self.indices.iter().flatten().map(Index::len).sum();
            assert_eq!(indexed, self.slots.len());
            assert_eq!(self.stats.bytes, self.slots.iter().map(Slot::bytes).sum());
            for (at, slot) in self.slots.iter().enumerate() {
                assert_eq!(self.position(slot.owner, &slot.path), Some(at));
            }
        }
    }
}

/// Drops idle entries every so often, for as long as the cache lives. To be spawned once per worker: without it the entries
/// of a worker that has nothing to do keep their descriptors, and deleted files their space on the disk.
pub async fn sweep(cache: Weak<OpenFiles>) {
    loop {
        event_loop::sleep(SWEEP_EVERY).await;
        let Some(cache) = cache.upgrade() else { return };
        cache.expire(event_loop::now());
    }
}
