//! Whether a piece of a file is in the page cache.

use std::cell::RefCell;
use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd};

use buf::FileRange;
use clock::Tick;
use rustix::io::{Errno, ReadWriteFlags};

/// So long what was found in the page cache is taken to be there still: it was sent at once, so it is what the kernel would part with last.
const KNOWN_MS: u32 = 100;

/// Pieces of which that is known.
const PLACES: usize = 128;

/// A piece that was found in the page cache.
#[derive(Clone, Copy)]
struct Seen {
    /// The descriptor. Another file may have it meanwhile; at worst a worker waits once for a piece of that.
    file: i32,
    begin: u64,
    end: u64,
    when: Tick,
}

thread_local! {
    static SEEN: RefCell<[Seen; PLACES]> = const { RefCell::new([Seen { file: -1, begin: 0, end: 0, when: Tick(0) }; PLACES]) };
}

/// Whether the first `piece` bytes of the range are in the page cache, by all that is known. Hot files are asked about now and then, not with each
/// request.
pub(crate) fn is_resident(range: &FileRange, piece: u64) -> bool {
    let (file, begin, end) = (range.file.as_raw_fd(), range.offset, range.offset + piece);
    // Pieces of one file follow each other at 192 KiB.
    let place = (file as usize).wrapping_mul(31).wrapping_add((begin >> 16) as usize) % PLACES;
    let now = event_loop::now();
    SEEN.with_borrow_mut(|seen| {
        let seen = &mut seen[place];
        let is_known = (seen.file, seen.begin) == (file, begin) && end <= seen.end;
        if is_known && now.0.wrapping_sub(seen.when.0) < KNOWN_MS {
            return true;
        }
        let is_there = ask(range, piece);
        if is_there {
            *seen = Seen { file, begin, end, when: now };
        }
        is_there
    })
}

/// Whether the first and the last byte of the piece are in the page cache; the kernel reads ahead between them. Where that
/// cannot be asked (some file systems), it counts as resident.
fn ask(range: &FileRange, piece: u64) -> bool {
    let probe = |offset| {
        let mut byte = [0u8; 1];
        let slices = &mut [IoSliceMut::new(&mut byte)];
        let read = rustix::io::preadv2(range.file.as_fd(), slices, offset, ReadWriteFlags::NOWAIT);
        !matches!(read, Err(Errno::AGAIN))
    };
    probe(range.offset) && probe(range.offset + piece - 1)
}
