//! Whether a piece of a file is in the page cache.

use std::cell::RefCell;
use std::io::IoSliceMut;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use buf::FileRange;
use clock::Tick;
use rustix::io::{Errno, ReadWriteFlags};

/// So long what was found in the page cache is taken to be there still, in milliseconds: it was sent at once, so it is what the kernel would part with last.
const KNOWN_MS: u32 = 1000;

/// So much of a file is asked about at once, in bytes.
const WINDOW: u64 = 1 << 20;

/// One byte of so many is asked for: between them the kernel reads ahead, and what was not there is read a MiB at once.
const STEP: u64 = 256 << 10;

/// Windows of which something is known.
const PLACES: usize = 128;

/// A part of a window that was found in the page cache.
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
/// request, and long ones a window at a time.
pub(crate) fn is_resident(range: &FileRange, piece: u64) -> bool {
    let file = range.file.as_fd();
    let sent = range.offset..range.offset + piece;
    SEEN.with_borrow_mut(|seen| {
        is_known(seen, file.as_raw_fd(), sent, range.offset + range.len, event_loop::now(), |at| probe(file, at))
    })
}

/// Whether `sent` is there, of a file of which what is sent next ends at `all`; `probe` tells of one byte.
fn is_known(
    seen: &mut [Seen; PLACES],
    file: i32,
    sent: Range<u64>,
    all: u64,
    now: Tick,
    mut probe: impl FnMut(u64) -> bool,
) -> bool {
    let mut begin = sent.start;
    while begin < sent.end {
        let window = begin / WINDOW;
        let rest = begin..all.min((window + 1) * WINDOW);
        let part = begin..sent.end.min(rest.end);
        begin = part.end;
        let place = &mut seen[(file as usize).wrapping_mul(31).wrapping_add(window as usize) % PLACES];
        if !place.tells_of(file, &part, now) {
            // Of the window at first; where that is not all there, of what is sent now.
            let Some(there) = [rest, part].into_iter().find(|asked| is_there(asked, &mut probe)) else { return false };
            *place = Seen { file, begin: there.start, end: there.end, when: now };
        }
    }
    true
}

impl Seen {
    fn tells_of(&self, file: i32, part: &Range<u64>, now: Tick) -> bool {
        self.file == file
            && self.begin <= part.start
            && part.end <= self.end
            && now.0.wrapping_sub(self.when.0) < KNOWN_MS
    }
}

/// Whether the first byte of every step and the last one are there.
fn is_there(asked: &Range<u64>, mut probe: impl FnMut(u64) -> bool) -> bool {
    asked.clone().step_by(STEP as usize).all(&mut probe) && probe(asked.end - 1)
}

/// Whether one byte is in the page cache. Where that cannot be asked (some file systems), it counts as resident.
fn probe(file: BorrowedFd<'_>, at: u64) -> bool {
    let mut byte = [0u8; 1];
    let slices = &mut [IoSliceMut::new(&mut byte)];
    let read = rustix::io::preadv2(file, slices, at, ReadWriteFlags::NOWAIT);
    !matches!(read, Err(Errno::AGAIN))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const MIB: u64 = 1 << 20;
    const NOTHING: Seen = Seen { file: -1, begin: 0, end: 0, when: Tick(0) };

    /// A file of which the bytes before `there` are in the page cache.
    struct Cache {
        seen: [Seen; PLACES],
        there: u64,
        asked: Cell<usize>,
    }

    impl Cache {
        fn new(there: u64) -> Cache {
            Cache { seen: [NOTHING; PLACES], there, asked: Cell::new(0) }
        }

        /// What is said of a piece, and how many bytes were asked about for it.
        fn ask(&mut self, sent: Range<u64>, all: u64, now: u32) -> (bool, usize) {
            self.asked.set(0);
            let is_known = is_known(&mut self.seen, 3, sent, all, Tick(now), |at| {
                self.asked.set(self.asked.get() + 1);
                at < self.there
            });
            (is_known, self.asked.get())
        }
    }

    #[test]
    fn a_window_is_asked_about_once() {
        let mut cache = Cache::new(u64::MAX);
        assert_eq!(cache.ask(0..190_000, 8 * MIB, 1000), (true, 5));
        let mut asked = 0;
        for begin in (190_000..8 * MIB - 190_000).step_by(190_000) {
            let (is_known, n) = cache.ask(begin..begin + 190_000, 8 * MIB, 1000 + KNOWN_MS - 1);
            assert!(is_known);
            asked += n;
        }
        assert_eq!(asked, 7 * 5);
        assert_eq!(cache.ask(0..190_000, 8 * MIB, 1000 + KNOWN_MS), (true, 5));
    }

    #[test]
    fn what_ends_before_its_window_is_asked_about_to_its_end() {
        let mut cache = Cache::new(u64::MAX);
        assert_eq!(cache.ask(0..1024, 1024, 0), (true, 2));
        assert_eq!(cache.ask(0..1024, 1024, 0), (true, 0));
        // More of the same file is another question.
        assert_eq!(cache.ask(0..2048, 2048, 0), (true, 2));
    }

    #[test]
    fn of_a_window_that_is_half_there_the_pieces_count() {
        let mut cache = Cache::new(MIB / 2);
        assert!(cache.ask(0..190_000, 8 * MIB, 0).0);
        assert!(cache.ask(190_000..380_000, 8 * MIB, 0).0);
        assert!(!cache.ask(380_000..570_000, 8 * MIB, 0).0);
        assert!(cache.ask(0..190_000, 8 * MIB, 0).0);
        // A piece that reaches into a window that is not there.
        let mut cache = Cache::new(MIB);
        assert!(!cache.ask(MIB - 100_000..MIB + 90_000, 8 * MIB, 0).0);
    }

    #[test]
    fn another_file_is_asked_about_though_it_has_the_same_place() {
        let mut cache = Cache::new(u64::MAX);
        assert!(cache.ask(0..190_000, MIB, 0).0);
        let mut asked = 0;
        assert!(is_known(&mut cache.seen, 3 + PLACES as i32, 0..190_000, MIB, Tick(0), |_| {
            asked += 1;
            true
        }));
        assert_eq!(asked, 5);
    }
}
