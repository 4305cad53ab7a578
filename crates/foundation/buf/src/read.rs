//! The window of bytes that were read and not yet consumed.

use std::fmt;
use std::ops::Range;
use std::rc::Rc;

use crate::pool::{self, Class, Shared, Storage};

/// Bytes read and not yet consumed. Holds no buffer while it is empty and [`ReadBuf::release`]d.
///
/// Parts can be given out as [`Shared`] without copying. While such a part lives, the bytes under it stay as
/// they are: the next [`ReadBuf::spare`] moves the unconsumed rest to a fresh buffer.
pub struct ReadBuf {
    storage: Option<Rc<Storage>>,
    start: u32,
    end: u32,
    class: Class,
    largest: Class,
}

impl ReadBuf {
    /// An empty window that will lease buffers of `class`. Leases nothing yet.
    pub const fn new(class: Class) -> ReadBuf {
        ReadBuf { storage: None, start: 0, end: 0, class, largest: class }
    }

    /// The same, which leases a buffer of `largest` once one of `class` was filled: for what is little, as a rule.
    pub const fn growing(class: Class, largest: Class) -> ReadBuf {
        ReadBuf { storage: None, start: 0, end: 0, class, largest }
    }

    /// The bytes that wait.
    #[inline]
    pub fn filled(&self) -> &[u8] {
        self.storage.as_ref().map_or(&[], |s| s.part(self.start, self.end))
    }

    /// The bytes that wait, the first [`ReadBuf::len`] of these, and whatever lies behind them in memory, which is 300 bytes
    /// at least: for a reader that looks at many bytes at once and judges afterwards whether they were there. Empty when
    /// there is no buffer.
    #[inline]
    pub fn filled_and_behind(&self) -> &[u8] {
        self.storage.as_ref().map_or(&[], |s| s.all_from(self.start))
    }

    /// The bytes that wait, to be worked on in place (decrypted, say). Empty while a part of the buffer is shared.
    pub fn filled_mut(&mut self) -> &mut [u8] {
        let waiting = self.start as usize..self.end as usize;
        self.storage.as_mut().and_then(Rc::get_mut).map_or(&mut [], |s| &mut s.bytes_mut()[waiting])
    }

    /// How many bytes wait.
    pub fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether no byte waits.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The most bytes that can wait at once.
    pub fn capacity(&self) -> usize {
        self.largest.bytes()
    }

    /// Leases buffers of `class` from the next lease on, and of `largest` once one was filled. Larger ones than before take effect with the next
    /// [`ReadBuf::spare`], smaller ones when the present buffer goes back.
    #[inline]
    pub fn lease_next(&mut self, class: Class, largest: Class) {
        (self.class, self.largest) = (class, largest);
    }

    /// Forgets the first `n` bytes.
    pub fn consume(&mut self, n: usize) {
        assert!(n <= self.len());
        self.start += n as u32;
    }

    /// Room to read into; empty only when [`ReadBuf::capacity`] bytes wait. Leases a buffer when there is none,
    /// moves the waiting bytes when they are shared or stand in the way.
    #[inline]
    pub fn spare(&mut self) -> &mut [u8] {
        if self.storage.is_none() {
            (self.start, self.end) = (0, 0);
            self.storage = Some(pool::lease(self.class));
        } else {
            self.make_room();
        }
        let end = self.end;
        self.storage.as_mut().and_then(Rc::get_mut).map_or(&mut [], |s| s.behind_mut(end))
    }

    #[inline(never)]
    fn make_room(&mut self) {
        let Some(storage) = self.storage.as_mut() else { return };
        let waiting = self.start as usize..self.end as usize;
        // Filled to its end, it was too small for what came.
        let class = if waiting.end == storage.len() { self.largest } else { self.class };
        match Rc::get_mut(storage).filter(|own| own.len() >= class.bytes()) {
            Some(_) if waiting.is_empty() => (self.start, self.end) = (0, 0),
            Some(own) => {
                if waiting.end == own.len() && waiting.start > 0 {
                    let len = waiting.len();
                    own.bytes_mut().copy_within(waiting, 0);
                    (self.start, self.end) = (0, len as u32);
                }
            }
            None => {
                let mut fresh = pool::lease(class.max(Class::for_bytes(waiting.len())));
                if let Some(own) = Rc::get_mut(&mut fresh) {
                    own.bytes_mut()[..waiting.len()].copy_from_slice(&storage.bytes()[waiting.clone()]);
                }
                (self.start, self.end) = (0, waiting.len() as u32);
                if let Some(old) = self.storage.replace(fresh) {
                    pool::release(old);
                }
            }
        }
    }

    /// Says that `n` bytes were put into [`ReadBuf::spare`].
    pub fn commit(&mut self, n: usize) {
        assert!(self.end as usize + n <= self.storage.as_ref().map_or(0, |s| s.len()));
        self.end += n as u32;
    }

    /// Copies `bytes` in, as far as they fit, and says how many did.
    pub fn fill_from(&mut self, bytes: &[u8]) -> usize {
        let spare = self.spare();
        let n = spare.len().min(bytes.len());
        spare[..n].copy_from_slice(&bytes[..n]);
        self.commit(n);
        n
    }

    /// A part of the waiting bytes, counted from the first of them.
    #[inline]
    pub fn share(&self, range: Range<usize>) -> Shared {
        assert!(range.start <= range.end && range.end <= self.len());
        let start = self.start as usize;
        Shared::new(self.storage.clone(), start + range.start, start + range.end)
    }

    /// Gives out the first `n` bytes and forgets them.
    #[inline]
    pub fn split_to(&mut self, n: usize) -> Shared {
        let part = self.share(0..n);
        self.consume(n);
        part
    }

    /// Gives the buffer back when no byte waits in it.
    pub fn release(&mut self) {
        if self.is_empty() {
            self.clear();
        }
    }

    /// Forgets everything and gives the buffer back.
    pub fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
        if let Some(storage) = self.storage.take() {
            pool::release(storage);
        }
    }
}

impl Drop for ReadBuf {
    fn drop(&mut self) {
        self.clear();
    }
}

impl fmt::Debug for ReadBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReadBuf(\"{}\")", self.filled().escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_window_holds_no_buffer() {
        let mut b = ReadBuf::new(Class::K4);
        assert_eq!(pool::stats().leased, 0);
        b.fill_from(b"abc");
        assert_eq!(pool::stats().leased, 1);
        b.consume(3);
        b.release();
        assert_eq!(pool::stats().leased, 0);
    }

    #[test]
    fn shared_parts_survive_the_next_read() {
        let mut b = ReadBuf::new(Class::K4);
        b.fill_from(b"headrest");
        let head = b.split_to(4);
        b.fill_from(b"more");
        assert_eq!(&*head, b"head");
        assert_eq!(b.filled(), b"restmore");
        drop(head);
        assert_eq!(pool::stats().leased, 1);
    }

    #[test]
    fn buffers_grow_at_once_and_shrink_when_they_go_back() {
        let mut b = ReadBuf::new(Class::K4);
        b.fill_from(b"waiting");
        b.lease_next(Class::K16, Class::K16);
        assert_eq!((b.spare().len(), b.filled()), ((16 << 10) - 7, &b"waiting"[..]));
        b.fill_from(&[1; 9000]);
        b.lease_next(Class::K4, Class::K4);
        assert_eq!(b.spare().len(), (16 << 10) - 9007);
        // More than a small buffer holds stands behind a part that is still in use.
        let part = b.split_to(7);
        assert_eq!((b.spare().len(), b.filled()), ((16 << 10) - 9000, &[1; 9000][..]));
        drop(part);
        b.clear();
        assert_eq!(b.spare().len(), 4096);
    }

    #[test]
    fn a_small_buffer_that_was_filled_is_followed_by_a_large_one() {
        let mut b = ReadBuf::growing(Class::K2, Class::K16);
        assert_eq!((b.spare().len(), b.capacity()), (2048, 16 << 10));
        b.fill_from(&[1; 2047]);
        assert_eq!(b.spare().len(), 1);
        b.fill_from(&[2]);
        assert_eq!((b.spare().len(), b.len(), b.filled()[2047]), (14 << 10, 2048, 2));
        b.fill_from(&[3; 14 << 10]);
        assert!(b.spare().is_empty());
        b.consume(16 << 10);
        b.release();
        assert_eq!(b.spare().len(), 2048);
        // Also when what filled it was taken out, or is in use.
        b.fill_from(&[1; 2048]);
        let part = b.split_to(2048);
        assert_eq!(b.spare().len(), 16 << 10);
        drop(part);
    }

    #[test]
    fn all_that_the_largest_buffer_holds_moves_when_it_is_shared() {
        let mut b = ReadBuf::new(Class::K68);
        b.fill_from(&[1; Class::K68.bytes()]);
        let part = b.share(0..1);
        b.lease_next(Class::K4, Class::K4);
        assert!(b.spare().is_empty());
        assert_eq!(b.filled(), [1; Class::K68.bytes()]);
        drop(part);
        assert_eq!(pool::stats().leased_bytes, Class::K68.bytes());
    }

    #[test]
    fn a_full_window_moves_to_the_front() {
        let mut b = ReadBuf::new(Class::K4);
        b.fill_from(&[1; 4096]);
        assert!(b.spare().is_empty());
        b.consume(4000);
        assert_eq!(b.spare().len(), 4000);
        assert_eq!(b.filled(), &[1; 96]);
    }

    #[test]
    fn there_is_memory_behind_even_a_full_window() {
        let mut b = ReadBuf::new(Class::K4);
        assert!(b.filled_and_behind().is_empty());
        b.fill_from(&[1; 4096]);
        b.consume(4090);
        assert!(b.filled_and_behind().starts_with(&[1; 6]) && b.filled_and_behind().len() >= 306);
    }

    #[test]
    fn waiting_bytes_change_in_place_unless_shared() {
        let mut b = ReadBuf::new(Class::K4);
        assert!(b.filled_mut().is_empty());
        b.fill_from(b"xabc");
        b.consume(1);
        b.filled_mut()[0] = b'A';
        assert_eq!(b.filled(), b"Abc");
        let part = b.share(0..1);
        assert!(b.filled_mut().is_empty());
        drop(part);
        assert_eq!(b.filled_mut(), b"Abc");
    }

    #[test]
    fn unshared_again_the_buffer_is_used_from_its_start() {
        let mut b = ReadBuf::new(Class::K4);
        b.fill_from(b"one");
        drop(b.split_to(3));
        assert_eq!(b.spare().len(), 4096);
    }
}
