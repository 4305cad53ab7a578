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

enum Chunk {
    /// Copied bytes; more can be added behind `end` while this is the last chunk.
    Tail {
        buf: Buf,
        start: u32,
        end: u32,
    },
    Shared(Shared),
    Static(&'static [u8]),
    Cached {
        bytes: Rc<[u8]>,
        start: usize,
    },
    File(FileRange),
}

impl Chunk {
    fn bytes(&self) -> Option<&[u8]> {
        Some(match self {
            Chunk::Tail { buf, start, end } => &buf.as_ref()[*start as usize..*end as usize],
            Chunk::Shared(s) => s,
            Chunk::Static(s) => s,
            Chunk::Cached { bytes, start } => &bytes[*start..],
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
            Chunk::Tail { start, .. } => *start += n as u32,
            Chunk::Shared(s) => s.advance(n as usize),
            Chunk::Static(s) => *s = &s[n as usize..],
            Chunk::Cached { start, .. } => *start += n as usize,
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

thread_local! {
    /// Emptied rings, so that a new queue does not go to the allocator.
    static RINGS: RefCell<Vec<VecDeque<Chunk>>> = const { RefCell::new(Vec::new()) };
}

const RINGS_KEPT: usize = 64;

/// What a connection will write, in order. Empty queues hold no memory.
#[derive(Default)]
pub struct OutQueue {
    chunks: VecDeque<Chunk>,
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
    pub fn put(&mut self, mut bytes: &[u8]) {
        self.len += bytes.len() as u64;
        if let Some(Chunk::Tail { buf, end, .. }) = self.chunks.back_mut() {
            let room = &mut buf.as_mut()[*end as usize..];
            let n = room.len().min(bytes.len());
            room[..n].copy_from_slice(&bytes[..n]);
            *end += n as u32;
            bytes = &bytes[n..];
        }
        while !bytes.is_empty() {
            // The first buffer is small, for the usual head and small body; one that overflows it is in a burst.
            let class = if self.chunks.is_empty() && bytes.len() <= 4096 { Class::K4 } else { Class::K16 };
            let mut buf = Buf::lease(class);
            let n = buf.capacity().min(bytes.len());
            buf.as_mut()[..n].copy_from_slice(&bytes[..n]);
            self.push(Chunk::Tail { buf, start: 0, end: n as u32 });
            bytes = &bytes[n..];
        }
    }

    /// Copies `parts` to the end of the queue, one behind the other; cheaper than one by one.
    pub fn put_parts<const N: usize>(&mut self, parts: [&[u8]; N]) {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        if len == 0 {
            return;
        }
        if self.chunks.is_empty() {
            self.push(Chunk::Tail { buf: Buf::lease(Class::K4), start: 0, end: 0 });
        }
        if let Some(Chunk::Tail { buf, end, .. }) = self.chunks.back_mut() {
            let at = *end as usize;
            if let Some(mut room) = buf.as_mut().get_mut(at..at + len) {
                for part in parts {
                    let (here, behind) = room.split_at_mut(part.len());
                    here.copy_from_slice(part);
                    room = behind;
                }
                *end += len as u32;
                self.len += len as u64;
                return;
            }
        }
        parts.into_iter().for_each(|part| self.put(part));
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

    /// Adds bytes from `start` on that a cache also holds.
    pub fn push_cached(&mut self, bytes: &Rc<[u8]>, range: std::ops::Range<usize>) {
        // A cached chunk runs to the end of its allocation, so a part that ends earlier is copied.
        if range.len() < COPY_BELOW || range.end != bytes.len() {
            return self.put(&bytes[range]);
        }
        self.len += range.len() as u64;
        self.push(Chunk::Cached { bytes: Rc::clone(bytes), start: range.start });
    }

    /// Adds a part of a file.
    pub fn push_file(&mut self, range: FileRange) {
        if range.len > 0 {
            self.len += range.len;
            self.push(Chunk::File(range));
        }
    }

    fn push(&mut self, chunk: Chunk) {
        if self.chunks.capacity() == 0 {
            self.chunks = RINGS.with_borrow_mut(Vec::pop).unwrap_or_else(|| VecDeque::with_capacity(4));
        }
        self.chunks.push_back(chunk);
    }

    /// Fills `slices` with what can be written at once, or names the file range that is next.
    pub fn front<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> Front<'a> {
        let mut n = 0;
        for chunk in &self.chunks {
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

    /// Whether a file range waits anywhere in the queue.
    pub fn has_file(&self) -> bool {
        self.chunks.iter().any(|c| matches!(c, Chunk::File(_)))
    }

    /// Forgets the first `n` bytes: they were written.
    pub fn advance(&mut self, mut n: u64) {
        assert!(n <= self.len);
        self.len -= n;
        while let Some(front) = self.chunks.front_mut() {
            let len = front.len();
            if n < len {
                front.advance(n);
                return;
            }
            n -= len;
            self.chunks.pop_front();
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.chunks.clear();
        self.len = 0;
    }
}

impl Drop for OutQueue {
    fn drop(&mut self) {
        if self.chunks.capacity() == 0 {
            return;
        }
        let mut ring = std::mem::take(&mut self.chunks);
        ring.clear();
        // A ring that a burst made long is not kept.
        if ring.capacity() <= 64 {
            let _ = RINGS.try_with(|rings| {
                let mut rings = rings.borrow_mut();
                if rings.len() < RINGS_KEPT {
                    rings.push(ring);
                }
            });
        }
    }
}

impl std::fmt::Debug for OutQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OutQueue({} bytes in {} chunks)", self.len, self.chunks.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(q: &mut OutQueue, step: usize) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let mut slices = [IoSlice::new(&[]); 4];
            let Front::Bytes(n) = q.front(&mut slices) else { return all };
            let piece: Vec<u8> = slices[..n].iter().flat_map(|s| s.iter().copied()).take(step).collect();
            q.advance(piece.len() as u64);
            all.extend(piece);
        }
    }

    #[test]
    fn order_is_kept_whatever_the_pieces() {
        for step in [1, 7, 4096, 100_000] {
            let mut q = OutQueue::new();
            let mut want = Vec::new();
            let big = vec![b'x'; 5000];
            let cached: Rc<[u8]> = vec![b'c'; 3000].into();
            for i in 0..20u8 {
                q.put(&[i; 700]);
                want.extend([i; 700]);
                q.push_shared(Shared::copy_of(&big));
                want.extend(&big);
                q.push_cached(&cached, 10..3000);
                want.extend(&cached[10..]);
            }
            assert_eq!(q.len(), want.len() as u64);
            assert!(drain(&mut q, step) == want);
            assert!(q.is_empty());
        }
        assert_eq!(crate::stats().leased, 0);
    }

    #[test]
    fn parts_are_put_in_order_wherever_the_buffer_ends() {
        for before in [0, 1, 4000, 4090, 4096, 5000] {
            let mut q = OutQueue::new();
            q.put_parts([b"", b""]);
            assert_eq!(crate::stats().leased, 0);
            q.put(&vec![b'.'; before]);
            q.put_parts([b"HTTP/1.1 ", b"", b"200", b" OK\r\n"]);
            q.put_parts([&[b'x'; 20_000], b"y"]);
            let want =
                [vec![b'.'; before], b"HTTP/1.1 200 OK\r\n".to_vec(), vec![b'x'; 20_000], b"y".to_vec()].concat();
            assert_eq!(q.len(), want.len() as u64);
            assert!(drain(&mut q, 1000) == want, "{before}");
        }
        assert_eq!(crate::stats().leased, 0);
    }

    #[test]
    fn a_head_and_a_small_body_are_one_slice() {
        let mut q = OutQueue::new();
        q.put(b"HTTP/1.1 200 OK\r\n\r\n");
        q.push_shared(Shared::copy_of(b"hello"));
        assert!(matches!(q.front(&mut [IoSlice::new(&[]); 4]), Front::Bytes(1)));
    }
}
