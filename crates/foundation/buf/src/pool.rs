//! The pool of one worker thread.
//!
//! A buffer keeps its reference count while it lies in the pool, so leasing, sharing and giving back never
//! touch the allocator once the pool is warm.

use std::cell::RefCell;
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

/// The sizes a buffer can have. A TLS record must lie in one piece (20 KiB), a head in one buffer of the
/// smallest class that holds the configured limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// 2 KiB: most heads, either way. Thousands of requests may be on their way at once.
    K2,
    /// 4 KiB: larger heads and small answers.
    K4,
    /// 16 KiB: the ordinary read.
    K16,
    /// 20 KiB: one TLS record on the wire.
    K20,
    /// 64 KiB: the largest head, and bulk copies.
    K64,
    /// 68 KiB: a body of 64 KiB together with its head.
    K68,
}

/// Free buffers kept per class (6 MiB at most in all); more than that goes back to the allocator, so
/// that a burst does not stay in memory.
const KEEP: [usize; 6] = [1024, 128, 64, 16, 16, 16];

impl Class {
    const ALL: [Class; 6] = [Class::K2, Class::K4, Class::K16, Class::K20, Class::K64, Class::K68];

    /// The size in bytes.
    pub const fn bytes(self) -> usize {
        match self {
            Class::K2 => 2 << 10,
            Class::K4 => 4 << 10,
            Class::K16 => 16 << 10,
            Class::K20 => 20 << 10,
            Class::K64 => 64 << 10,
            Class::K68 => 68 << 10,
        }
    }

    /// The smallest class that holds `bytes`; the largest for anything above that.
    pub fn for_bytes(bytes: usize) -> Class {
        Class::ALL.into_iter().find(|c| c.bytes() >= bytes).unwrap_or(Class::K68)
    }
}

pub(crate) struct Storage {
    /// At least `len` bytes.
    mem: Box<[u8]>,
    len: usize,
    /// Where it goes back to; `None` for memory that was never the pool's.
    class: Option<Class>,
}

struct Pool {
    free: [Vec<Rc<Storage>>; 6],
    /// The buffers there are, free and leased. Changes with the allocator only, so that a lease is a pop and no more.
    made: [usize; 6],
}

/// Bytes behind each buffer that nobody uses. Buffers of a power of two lie at the same distance modulo the page, so
/// the beginnings of all of them would compete for the same few sets of the CPU's caches.
const STAGGER: usize = 304;

impl Storage {
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.mem[..self.len]
    }

    /// A part; the same as of [`Storage::bytes`], with one look at the bounds.
    #[inline]
    pub(crate) fn part(&self, start: u32, end: u32) -> &[u8] {
        debug_assert!(end as usize <= self.len);
        &self.mem[start as usize..end as usize]
    }

    /// What there is from `start` on, beyond the end too.
    #[inline]
    pub(crate) fn all_from(&self, start: u32) -> &[u8] {
        &self.mem[start as usize..]
    }

    #[inline]
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.mem[..self.len]
    }

    /// What follows the first `at` bytes.
    #[inline]
    pub(crate) fn behind_mut(&mut self, at: u32) -> &mut [u8] {
        &mut self.mem[at as usize..self.len]
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

thread_local! {
    static POOL: RefCell<Pool> = const {
        RefCell::new(Pool { free: [const { Vec::new() }; 6], made: [0; 6] })
    };
}

/// What the pool of this thread holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Buffers somebody holds.
    pub leased: usize,
    /// Bytes of those buffers.
    pub leased_bytes: usize,
    /// Bytes waiting in the pool.
    pub free_bytes: usize,
}

/// Counts the buffers of this thread. Tests use it to show that nothing leaked.
pub fn stats() -> PoolStats {
    POOL.with_borrow(|pool| {
        let mut s = PoolStats::default();
        for class in Class::ALL {
            let i = class as usize;
            let leased = pool.made[i] - pool.free[i].len();
            s.leased += leased;
            s.leased_bytes += leased * class.bytes();
            s.free_bytes += pool.free[i].len() * class.bytes();
        }
        s
    })
}

/// Gives every free buffer of this thread back to the allocator.
pub fn trim() {
    let free = POOL.with_borrow_mut(|pool| {
        for (made, free) in pool.made.iter_mut().zip(&pool.free) {
            *made -= free.len();
        }
        std::mem::take(&mut pool.free)
    });
    drop(free);
}

/// Whether fewer buffers of that class are in use than are kept: for those who can do with a smaller one.
pub fn is_plentiful(class: Class) -> bool {
    POOL.with_borrow(|pool| {
        let i = class as usize;
        pool.made[i] - pool.free[i].len() < KEEP[i]
    })
}

#[inline]
pub(crate) fn lease(class: Class) -> Rc<Storage> {
    POOL.with_borrow_mut(|pool| pool.free[class as usize].pop()).unwrap_or_else(|| make(class))
}

#[cold]
#[inline(never)]
fn make(class: Class) -> Rc<Storage> {
    POOL.with_borrow_mut(|pool| pool.made[class as usize] += 1);
    let mem = vec![0; class.bytes() + STAGGER].into_boxed_slice();
    Rc::new(Storage { mem, len: class.bytes(), class: Some(class) })
}

/// Gives up one hold on `storage`; the last holder puts it back into the pool.
#[inline]
pub(crate) fn release(storage: Rc<Storage>) {
    if Rc::strong_count(&storage) == 1 {
        give_back(storage);
    }
}

fn give_back(storage: Rc<Storage>) {
    let Some(class) = storage.class else { return };
    let i = class as usize;
    // While the thread ends its pool may be gone already; the allocator takes the buffer then.
    let _ = POOL.try_with(|pool| {
        let mut pool = pool.borrow_mut();
        let free = &mut pool.free[i];
        if free.len() == free.capacity() || free.len() >= KEEP[i] {
            pool.take_another(storage, i);
        } else {
            free.push(storage);
        }
    });
}

impl Pool {
    /// Takes a buffer for which there may be no room.
    #[cold]
    fn take_another(&mut self, storage: Rc<Storage>, i: usize) {
        if self.free[i].len() < KEEP[i] {
            self.free[i].push(storage);
        } else {
            self.made[i] -= 1;
        }
    }
}

/// One leased buffer, writable. Dropping it gives it back. The default one is none at all and has no room.
#[derive(Default)]
pub struct Buf {
    storage: Option<Rc<Storage>>,
}

impl Buf {
    /// Leases a buffer from this thread's pool. The content is whatever the last holder left.
    pub fn lease(class: Class) -> Buf {
        Buf { storage: Some(lease(class)) }
    }

    /// Whether this is the default one.
    #[inline]
    pub(crate) fn is_none(&self) -> bool {
        self.storage.is_none()
    }

    /// The size in bytes.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.storage.as_ref().map_or(0, |s| s.len())
    }

    /// Makes the first `len` bytes read-only and shareable, without copying.
    pub fn freeze(mut self, len: usize) -> Shared {
        Shared::new(self.storage.take(), 0, len)
    }
}

impl AsRef<[u8]> for Buf {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        self.storage.as_ref().map_or(&[], |s| s.bytes())
    }
}

impl AsMut<[u8]> for Buf {
    #[inline]
    fn as_mut(&mut self) -> &mut [u8] {
        // The holder of a `Buf` is the only one by construction, so this never comes up empty.
        self.storage.as_mut().and_then(Rc::get_mut).map_or(&mut [], |s| s.bytes_mut())
    }
}

impl Drop for Buf {
    #[inline]
    fn drop(&mut self) {
        if let Some(storage) = self.storage.take() {
            release(storage);
        }
    }
}

impl fmt::Debug for Buf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buf({})", self.capacity())
    }
}

/// A read-only span of a pooled buffer. A clone costs a counter.
#[derive(Clone, Default)]
pub struct Shared {
    storage: Option<Rc<Storage>>,
    start: u32,
    end: u32,
}

impl Shared {
    pub(crate) fn new(storage: Option<Rc<Storage>>, start: usize, end: usize) -> Shared {
        debug_assert!(start <= end && end <= storage.as_ref().map_or(0, |s| s.len()));
        Shared { storage, start: start as u32, end: end as u32 }
    }

    /// Copies `bytes` into a leased buffer of the fitting class (68 KiB at most).
    pub fn copy_of(bytes: &[u8]) -> Shared {
        let mut buf = Buf::lease(Class::for_bytes(bytes.len()));
        buf.as_mut()[..bytes.len()].copy_from_slice(bytes);
        buf.freeze(bytes.len())
    }

    /// Copies `bytes` into memory of their exact size outside of the pool: for what is kept for long, where a pooled
    /// buffer would waste most of itself. Costs two allocations.
    pub fn kept_copy(bytes: &[u8]) -> Shared {
        let storage = Storage { mem: bytes.into(), len: bytes.len(), class: None };
        Shared::new(Some(Rc::new(storage)), 0, bytes.len())
    }

    /// Where it lies in memory: what its bytes are found by, and the bytes.
    pub fn places(&self) -> [*const (); 2] {
        let counter = self.storage.as_ref().map_or(std::ptr::null(), |storage| Rc::as_ptr(storage).cast());
        [counter, self.as_ptr().cast()]
    }

    /// How many bytes. Cheaper than to look at them.
    #[inline]
    pub fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether there is no byte.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// A part of this span; the range counts from its start.
    pub fn slice(&self, range: std::ops::Range<usize>) -> Shared {
        assert!(range.start <= range.end && range.end <= self.len());
        let start = self.start as usize;
        Shared::new(self.storage.clone(), start + range.start, start + range.end)
    }

    /// Drops the first `n` bytes.
    pub fn advance(&mut self, n: usize) {
        assert!(n <= self.len());
        self.start += n as u32;
    }
}

impl Deref for Shared {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.storage.as_ref().map_or(&[], |s| s.part(self.start, self.end))
    }
}

impl Drop for Shared {
    #[inline]
    fn drop(&mut self) {
        if let Some(storage) = self.storage.take() {
            release(storage);
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shared(\"{}\")", self.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_returns_to_the_pool_and_is_used_again() {
        trim();
        let buf = Buf::lease(Class::K4);
        assert_eq!(stats().leased, 1);
        let shared = buf.freeze(10);
        let twin = shared.clone();
        drop(shared);
        assert_eq!(stats().leased, 1);
        drop(twin);
        assert_eq!(stats(), PoolStats { leased: 0, leased_bytes: 0, free_bytes: 4096 });
        let _again = Buf::lease(Class::K4);
        assert_eq!(stats(), PoolStats { leased: 1, leased_bytes: 4096, free_bytes: 0 });
    }

    #[test]
    fn a_burst_goes_back_to_the_allocator() {
        trim();
        let burst: Vec<Buf> = (0..1000).map(|_| Buf::lease(Class::K16)).collect();
        drop(burst);
        assert_eq!(stats().free_bytes, KEEP[2] * Class::K16.bytes());
    }

    #[test]
    fn a_class_is_plentiful_while_few_of_it_are_in_use() {
        trim();
        let mut used: Vec<Buf> = (1..KEEP[5]).map(|_| Buf::lease(Class::K68)).collect();
        assert!(is_plentiful(Class::K68));
        used.push(Buf::lease(Class::K68));
        assert!(!is_plentiful(Class::K68));
        used.pop();
        assert!(is_plentiful(Class::K68));
    }

    #[test]
    fn what_the_largest_class_holds_can_be_copied() {
        assert_eq!([64 << 10, (64 << 10) + 1, usize::MAX].map(Class::for_bytes), [Class::K64, Class::K68, Class::K68]);
        let most = vec![7; Class::K68.bytes()];
        assert_eq!(*Shared::copy_of(&most), *most);
    }

    #[test]
    fn a_kept_copy_is_none_of_the_pools() {
        trim();
        let kept = Shared::kept_copy(b"hello world");
        let part = kept.slice(0..5);
        drop(kept);
        assert_eq!(&*part, b"hello");
        drop(part);
        assert_eq!(stats(), PoolStats::default());
    }

    #[test]
    fn slices_keep_the_buffer() {
        let whole = Shared::copy_of(b"hello world");
        let part = whole.slice(6..11);
        drop(whole);
        assert_eq!(&*part, b"world");
        assert_eq!(stats().leased, 1);
    }
}
