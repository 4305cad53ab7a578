//! Vectored plaintext, a record at a time.

use std::io::IoSlice;

use buf::{Buf, Class};

/// Plaintext in pieces.
pub(crate) struct Gather<'s> {
    slices: &'s [IoSlice<'s>],
    /// Bytes of the first slice that were taken already.
    skip: usize,
}

impl<'s> Gather<'s> {
    pub(crate) fn new(slices: &'s [IoSlice<'s>]) -> Gather<'s> {
        Gather { slices, skip: 0 }
    }

    /// The next `len` bytes in one piece: a part of a slice, or copied together into `scratch`.
    pub(crate) fn next<'r>(&'r mut self, len: usize, scratch: &'r mut Buf) -> &'r [u8] {
        while self.slices.first().is_some_and(|s| s.len() == self.skip) {
            self.slices = &self.slices[1..];
            self.skip = 0;
        }
        if let Some(first) = self.slices.first()
            && first.len() - self.skip >= len
        {
            let at = self.skip;
            self.skip += len;
            return &first[at..at + len];
        }
        if scratch.capacity() < len {
            *scratch = Buf::lease(Class::for_bytes(len));
        }
        let room = &mut scratch.as_mut()[..len];
        let mut filled = 0;
        while filled < len {
            let first = &self.slices[0][self.skip..];
            let n = first.len().min(len - filled);
            room[filled..filled + n].copy_from_slice(&first[..n]);
            filled += n;
            self.skip += n;
            if n == first.len() {
                self.slices = &self.slices[1..];
                self.skip = 0;
            }
        }
        room
    }
}
