//! What a connection will write, in order.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::File;
use std::io::IoSlice;
use std::rc::Rc;

use crate::pool::{Buf, Class, Shared};

/// A part of a file to be sent.
#[derive(Clone, Debug)]
pub struct FileRange {
    /// The open file; positions are given explicitly, its own is never used.
    pub file: Rc<File>,
    /// The first byte to send.
    pub offset: u64,
    /// How many bytes to send.
    pub len: u64,
}

/// Copied bytes; more can be added behind `end` while nothing else was queued behind them.
#[derive(Default)]
struct Copied {
    buf: Buf,
    start: u32,
    end: u32,
}

impl Copied {
    fn lease(class: Class) -> Copied {
        Copied { buf: Buf::lease(class), start: 0, end: 0 }
    }

    /// Whether there is no buffer at all.
    #[inline]
    fn is_none(&self) -> bool {
        self.buf.is_none()
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        &self.buf.as_ref()[self.start as usize..self.end as usize]
    }

    /// Where more can be added.
    #[inline]
    fn room(&mut self) -> &mut [u8] {
        &mut self.buf.as_mut()[self.end as usize..]
    }

    /// Adds all of `parts`, `len` bytes in sum, or nothing when they do not fit.
    #[inline(always)]
    fn append<const N: usize>(&mut self, parts: &[&[u8]; N], len: usize) -> bool {
        let at = self.end as usize;
        let Some(mut room) = self.buf.as_mut().get_mut(at..at + len) else { return false };
        for part in parts {
            let (here, behind) = room.split_at_mut(part.len());
            here.copy_from_slice(part);
            room = behind;
        }
        self.end += len as u32;
        true
    }

    /// Adds what fits of `bytes`, and says how much that was.
    fn fill(&mut self, bytes: &[u8]) -> usize {
        let room = self.room();
        let n = room.len().min(bytes.len());
        room[..n].copy_from_slice(&bytes[..n]);
        self.end += n as u32;
        n
    }
}

enum Chunk {
    Copied(Copied),
    Shared(Shared),
    Static(&'static [u8]),
    /// Below 4 GiB, so that a chunk is no longer than one of a file.
    Cached {
        bytes: Rc<[u8]>,
        start: u32,
        end: u32,
    },
    File(FileRange),
}

impl Chunk {
    fn bytes(&self) -> Option<&[u8]> {
        Some(match self {
            Chunk::Copied(c) => c.bytes(),
            Chunk::Shared(s) => s,
            Chunk::Static(s) => s,
            Chunk::Cached { bytes, start, end } => &bytes[*start as usize..*end as usize],
            Chunk::File(_) => return None,
        })
    }

    fn len(&self) -> u64 {
        match self {
            Chunk::File(range) => range.len,
            other => other.bytes().map_or(0, |b| b.len() as u64),
        }
    }

    fn advance(&mut self, n: u64) {
        match self {
            Chunk::Copied(c) => c.start += n as u32,
            Chunk::Shared(s) => s.advance(n as usize),
            Chunk::Static(s) => *s = &s[n as usize..],
            Chunk::Cached { start, .. } => *start += n as u32,
            Chunk::File(range) => {
                range.offset += n;
                range.len -= n;
            }
        }
    }
}

/// What stands at the front of the queue.
#[derive(Debug)]
pub enum Front<'a> {
    /// Nothing is left.
    Empty,
    /// So many of the given slices were filled.
    Bytes(usize),
    /// A file range is next.
    File(&'a FileRange),
}

/// Bytes below this are copied into the queue's own buffer, where they share one write with their neighbours;
/// from here on holding the original is cheaper than copying it.
const COPY_BELOW: usize = 4096;

/// The chunks behind the first.
#[derive(Default)]
struct Ring(VecDeque<Chunk>);

thread_local! {
    /// Emptied rings, so that a new queue does not go to the allocator.
    #[expect(clippy::vec_box, reason = "the boxes are what is recycled")]
    static RINGS: RefCell<Vec<Box<Ring>>> = const { RefCell::new(Vec::new()) };
}

const RINGS_KEPT: usize = 64;

/// What a connection will write, in order. Empty queues hold no memory.
#[derive(Default)]
pub struct OutQueue {
    /// What stands before all of `rest`, if anything. Most messages are one head and a small body and need no more.
    first: Copied,
    /// Taken when something is queued that cannot be copied behind `first`, kept from then on.
    rest: Option<Box<Ring>>,
    len: u64,
}

impl OutQueue {
    /// An empty queue; holds nothing.
    pub fn new() -> OutQueue {
        OutQueue::default()
    }

    /// How many bytes wait, file ranges included.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Copies `bytes` to the end of the queue.
    #[inline]
    pub fn put(&mut self, bytes: &[u8]) {
        if self.has_no_rest() && self.first.append(&[bytes], bytes.len()) {
            self.len += bytes.len() as u64;
            return;
        }
        self.put_in_pieces(bytes);
    }

    /// Copies `parts` to the end of the queue, one behind the other; cheaper than one by one.
    // Always, so that a part whose length is known when compiling takes no call to be copied.
    #[inline(always)]
    pub fn put_parts<const N: usize>(&mut self, parts: [&[u8]; N]) {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        if self.has_no_rest() {
            if self.first.is_none() && len > 0 {
                self.first = Copied::lease(Class::K4);
            }
            if self.first.append(&parts, len) {
                self.len += len as u64;
                return;
            }
        }
        self.put_each(&parts);
    }

    /// Has `write` write to the end of the queue, into one piece of memory with room for at least `len` bytes (64 KiB, when
    /// `len` is more). It says how many bytes it wrote; what it wrote before an error is not queued.
    ///
    /// # Errors
    /// What `write` says.
    #[inline]
    pub fn write_with<E>(&mut self, len: usize, write: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> Result<(), E> {
        let mut end = self.lend_end(len.min(Class::K64.bytes()));
        let room = end.room();
        let room_len = room.len();
        let wrote = write(room);
        if let Ok(n) = &wrote {
            assert!(*n <= room_len);
            end.end += *n as u32;
            self.len += *n as u64;
        }
        self.give_end_back(end);
        wrote.map(drop)
    }

    /// Takes the copied bytes at the very end of the queue out of it, or none, with room for `len` more.
    #[inline]
    fn lend_end(&mut self, len: usize) -> Copied {
        if self.has_no_rest() {
            if self.first.is_none() {
                return Copied::lease(Class::for_bytes(len));
            }
            if self.first.room().len() >= len {
                return std::mem::take(&mut self.first);
            }
        }
        self.lend_end_of_rest(len)
    }

    #[cold]
    fn lend_end_of_rest(&mut self, len: usize) -> Copied {
        let last = self.rest.as_mut().and_then(|rest| rest.0.pop_back());
        match last {
            Some(Chunk::Copied(copied)) if copied.buf.capacity() - copied.end as usize >= len => return copied,
            Some(other) => self.push(other),
            None => {}
        }
        Copied::lease(Class::for_bytes(len).max(self.least_behind()))
    }

    /// The smallest buffer behind what is queued. What overflows the first, small one is in a burst; but behind a part of a file one head
    /// stands alone, before the next part: a client that asks for a hundred parts at once and does not read would hold a large buffer for each.
    fn least_behind(&self) -> Class {
        match self.rest.as_ref().and_then(|rest| rest.0.back()) {
            Some(Chunk::File(_)) => Class::K2,
            _ => Class::K16,
        }
    }

    /// Puts back what [`OutQueue::lend_end`] took, unless nothing is in it.
    #[inline]
    fn give_end_back(&mut self, end: Copied) {
        if end.start == end.end {
            return;
        }
        if self.has_no_rest() && self.first.is_none() {
            self.first = end;
        } else {
            self.push(Chunk::Copied(end));
        }
    }

    fn put_each(&mut self, parts: &[&[u8]]) {
        parts.iter().for_each(|part| self.put_in_pieces(part));
    }

    fn put_in_pieces(&mut self, mut bytes: &[u8]) {
        self.len += bytes.len() as u64;
        if let Some(last) = self.last_copied() {
            let n = last.fill(bytes);
            bytes = &bytes[n..];
        }
        while !bytes.is_empty() {
            // The first buffer is small, for the usual head and small body.
            let is_first = self.first.is_none() && self.has_no_rest();
            let least = if is_first { Class::K4 } else { self.least_behind() };
            let class = if bytes.len() <= least.bytes() { least } else { Class::K16 };
            let mut copied = Copied::lease(class);
            let n = copied.fill(bytes);
            bytes = &bytes[n..];
            if is_first {
                self.first = copied;
            } else {
                self.push(Chunk::Copied(copied));
            }
        }
    }

    /// The copied bytes that more can be added to: those at the very end of the queue.
    fn last_copied(&mut self) -> Option<&mut Copied> {
        match self.rest.as_mut().and_then(|rest| rest.0.back_mut()) {
            Some(Chunk::Copied(copied)) => Some(copied),
            Some(_) => None,
            None => (!self.first.is_none()).then_some(&mut self.first),
        }
    }

    #[inline]
    fn has_no_rest(&self) -> bool {
        self.rest.as_ref().is_none_or(|rest| rest.0.is_empty())
    }

    /// Adds a shared span; small ones are copied so that they join their neighbours in one write.
    pub fn push_shared(&mut self, bytes: Shared) {
        if bytes.len() < COPY_BELOW {
            return self.put(&bytes);
        }
        self.len += bytes.len() as u64;
        self.push(Chunk::Shared(bytes));
    }

    /// Adds text that lives as long as the program.
    pub fn push_static(&mut self, bytes: &'static [u8]) {
        if bytes.len() < COPY_BELOW {
            return self.put(bytes);
        }
        self.len += bytes.len() as u64;
        self.push(Chunk::Static(bytes));
    }

    /// Adds a range of bytes that others hold too. Few are copied where that saves a slice of the write. Behind a file it saves none, and
    /// takes a buffer for each: the heads of many parts of a file, a hundred bytes each, would hold half a megabyte for a client that
    /// does not read.
    pub fn push_cached(&mut self, bytes: &Rc<[u8]>, range: std::ops::Range<usize>) {
        let joins = self.is_empty() || self.last_copied().is_some();
        let (Ok(start), Ok(end)) = (u32::try_from(range.start), u32::try_from(range.end)) else {
            return self.put(&bytes[range]);
        };
        if range.is_empty() || (range.len() < COPY_BELOW && joins) {
            return self.put(&bytes[range]);
        }
        self.len += range.len() as u64;
        self.push(Chunk::Cached { bytes: Rc::clone(bytes), start, end });
    }

    /// Adds a part of a file.
    pub fn push_file(&mut self, range: FileRange) {
        if range.len > 0 {
            self.len += range.len;
            self.push(Chunk::File(range));
        }
    }

    fn push(&mut self, chunk: Chunk) {
        self.rest.get_or_insert_with(Ring::recycled).0.push_back(chunk);
    }

    /// Fills `slices` with what can be written at once, or names the file range that is next.
    #[inline]
    pub fn front<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> Front<'a> {
        let mut n = 0;
        if !self.first.is_none() {
            let Some(slice) = slices.first_mut() else { return Front::Empty };
            *slice = IoSlice::new(self.first.bytes());
            n = 1;
        }
        match &self.rest {
            Some(rest) => rest.front(slices, n),
            None if n == 0 => Front::Empty,
            None => Front::Bytes(n),
        }
    }

    /// All that waits, if it is one piece of bytes; the usual case, for which [`OutQueue::front`] needs no slices.
    #[inline]
    pub fn only(&self) -> Option<&[u8]> {
        (!self.first.is_none() && self.has_no_rest()).then(|| self.first.bytes())
    }

    /// Whether a file range waits anywhere in the queue.
    pub fn has_file(&self) -> bool {
        self.rest.as_ref().is_some_and(|rest| rest.0.iter().any(|c| matches!(c, Chunk::File(_))))
    }

    /// Forgets the first `n` bytes: they were written.
    #[inline]
    pub fn advance(&mut self, mut n: u64) {
        assert!(n <= self.len);
        self.len -= n;
        if !self.first.is_none() {
            let len = u64::from(self.first.end - self.first.start);
            if n < len {
                self.first.start += n as u32;
                return;
            }
            n -= len;
            self.first = Copied::default();
        }
        if let Some(rest) = &mut self.rest {
            rest.advance(n);
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.first = Copied::default();
        if let Some(rest) = &mut self.rest {
            rest.0.clear();
        }
        self.len = 0;
    }
}

impl Ring {
    fn recycled() -> Box<Ring> {
        RINGS.with_borrow_mut(Vec::pop).unwrap_or_else(|| Box::new(Ring(VecDeque::with_capacity(4))))
    }

    /// Fills `slices` behind the first `n`.
    fn front<'a>(&'a self, slices: &mut [IoSlice<'a>], mut n: usize) -> Front<'a> {
        for chunk in &self.0 {
            match chunk {
                Chunk::File(range) if n == 0 => return Front::File(range),
                Chunk::File(_) => break,
                _ if n == slices.len() => break,
                other => {
                    slices[n] = IoSlice::new(other.bytes().unwrap_or_default());
                    n += 1;
                }
            }
        }
        if n == 0 { Front::Empty } else { Front::Bytes(n) }
    }

    fn advance(&mut self, mut n: u64) {
        while let Some(front) = self.0.front_mut() {
            let len = front.len();
            if n < len {
                front.advance(n);
                return;
            }
            n -= len;
            self.0.pop_front();
        }
    }
}

impl Drop for OutQueue {
    #[inline]
    fn drop(&mut self) {
        if let Some(rest) = self.rest.take() {
            recycle(rest);
        }
    }
}

fn recycle(mut ring: Box<Ring>) {
    ring.0.clear();
    // A ring that a burst made long is not kept.
    if ring.0.capacity() <= 64 {
        let _ = RINGS.try_with(|rings| {
            let mut rings = rings.borrow_mut();
            if rings.len() < RINGS_KEPT {
                rings.push(ring);
            }
        });
    }
}

impl std::fmt::Debug for OutQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let chunks = usize::from(!self.first.is_none()) + self.rest.as_ref().map_or(0, |rest| rest.0.len());
        write!(f, "OutQueue({} bytes in {chunks} chunks)", self.len)
    }
}

#[cfg(test)]
mod tests;
