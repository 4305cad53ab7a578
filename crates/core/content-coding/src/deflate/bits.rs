//! Bits to bytes, the lowest first (RFC 1951 §3.1.1).

/// Writes bits. Between two [`BitWriter::flush`] at most 56 may be added.
pub(super) struct BitWriter<'o> {
    out: &'o mut [u8],
    /// Where the next whole byte goes.
    at: usize,
    waiting: u64,
    count: u32,
}

impl BitWriter<'_> {
    pub(super) fn new(out: &mut [u8]) -> BitWriter<'_> {
        BitWriter { out, at: 0, waiting: 0, count: 0 }
    }

    /// Adds the `count` lowest bits of `bits`, in which no others may be set.
    #[inline(always)]
    pub(super) fn add(&mut self, bits: u64, count: u32) {
        debug_assert!(self.count + count <= 63 && bits >> count == 0);
        self.waiting |= bits << self.count;
        self.count += count;
    }

    /// Puts down the whole bytes, as a word of which the next one writes over the rest. `None`: there is no room for that.
    #[inline(always)]
    pub(super) fn flush(&mut self) -> Option<()> {
        *self.out.get_mut(self.at..)?.first_chunk_mut()? = self.waiting.to_le_bytes();
        let bytes = self.count / 8;
        self.at += bytes as usize;
        self.waiting >>= bytes * 8;
        self.count %= 8;
        Some(())
    }

    /// How many bytes there are, the last one filled with zeros; after a flush.
    pub(super) fn finish(self) -> usize {
        self.at + usize::from(self.count > 0)
    }
}
