//! Sixteen bytes, compared all at once.
//!
//! Reading a head is looking for the next byte of some kind, again and again. A block answers that for sixteen bytes in
//! half a dozen instructions. There are two of them with the same answers: one of vector instructions, one of plain
//! arithmetic on words for processors that lack those. Tests hold them against each other.

#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
pub(crate) use sse2::{Block, Marks};

#[cfg(not(all(target_arch = "x86_64", target_feature = "sse2")))]
pub(crate) use words::{Block, Marks};

/// The place of the first byte from `at` on that `marks` marks; the length of `window` when there is none.
#[inline(always)]
pub(crate) fn seek(window: &[u8], at: usize, marks: impl Fn(Block) -> Marks) -> usize {
    let mut at = at;
    while let Some(block) = block_at(window, at) {
        let bits = marks(Block::of(block)).bits();
        if bits != 0 {
            return at + bits.trailing_zeros() as usize;
        }
        at += 16;
    }
    let bits = marks(Block::of(&last_block(window, at))).bits();
    (at + (bits | 1 << 16).trailing_zeros() as usize).min(window.len())
}

/// The sixteen bytes that begin at `at`, if there are as many.
#[inline(always)]
pub(crate) fn block_at(window: &[u8], at: usize) -> Option<&[u8; 16]> {
    window.get(at..)?.first_chunk()
}

/// The bytes from `at` on, less than sixteen, and zeros behind them.
#[inline(never)]
pub(crate) fn last_block(window: &[u8], at: usize) -> [u8; 16] {
    let left = window.get(at..).unwrap_or_default();
    match window.last_chunk() {
        // What precedes them in the last block of the window is shifted out.
        Some(last) => {
            let word = u128::from_le_bytes(*last);
            word.checked_shr(8 * (16 - left.len()) as u32).unwrap_or(0).to_le_bytes()
        }
        None => {
            let mut block = [0; 16];
            block[..left.len()].copy_from_slice(left);
            block
        }
    }
}

#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod sse2 {
    use std::ops::{BitAnd, BitOr};

    use safe_arch::{
        bitand_m128i, bitor_m128i, cmp_eq_mask_i8_m128i, load_unaligned_m128i, m128i, max_u8_m128i, min_u8_m128i,
        move_mask_i8_m128i, set_splat_i8_m128i, sub_i8_m128i,
    };

    /// Sixteen bytes in a vector register.
    #[derive(Clone, Copy)]
    pub(crate) struct Block(m128i);

    /// Some of the bytes of a block.
    #[derive(Clone, Copy)]
    pub(crate) struct Marks(m128i);

    #[inline(always)]
    fn all(byte: u8) -> m128i {
        set_splat_i8_m128i(byte as i8)
    }

    impl Block {
        #[inline(always)]
        pub(crate) fn of(bytes: &[u8; 16]) -> Block {
            Block(load_unaligned_m128i(bytes))
        }

        /// The bytes with the bits of `bits` set.
        #[inline(always)]
        pub(crate) fn with(self, bits: u8) -> Block {
            Block(bitor_m128i(self.0, all(bits)))
        }

        /// Marks the bytes that are `byte`.
        #[inline(always)]
        pub(crate) fn is(self, byte: u8) -> Marks {
            Marks(cmp_eq_mask_i8_m128i(self.0, all(byte)))
        }

        /// Marks the bytes below `limit`, which is 1 to 128.
        #[inline(always)]
        pub(crate) fn below(self, limit: u8) -> Marks {
            Marks(cmp_eq_mask_i8_m128i(min_u8_m128i(self.0, all(limit - 1)), self.0))
        }

        /// Marks the bytes below `first` or above `last`; neither is above 127.
        #[inline(always)]
        pub(crate) fn outside(self, first: u8, last: u8) -> Marks {
            let from_first = sub_i8_m128i(self.0, all(first));
            Marks(cmp_eq_mask_i8_m128i(max_u8_m128i(from_first, all(last - first + 1)), from_first))
        }
    }

    impl Marks {
        /// A bit for each byte, the first byte's is the lowest.
        #[inline(always)]
        pub(crate) fn bits(self) -> u32 {
            move_mask_i8_m128i(self.0) as u32
        }
    }

    impl BitOr for Marks {
        type Output = Marks;

        #[inline(always)]
        fn bitor(self, other: Marks) -> Marks {
            Marks(bitor_m128i(self.0, other.0))
        }
    }

    impl BitAnd for Marks {
        type Output = Marks;

        #[inline(always)]
        fn bitand(self, other: Marks) -> Marks {
            Marks(bitand_m128i(self.0, other.0))
        }
    }
}

/// The same on two words. Nothing carries from one byte to the next, so every answer is exact.
#[cfg(any(test, not(all(target_arch = "x86_64", target_feature = "sse2"))))]
mod words {
    use std::ops::{BitAnd, BitOr};

    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x80 * ONES;

    #[derive(Clone, Copy)]
    pub(crate) struct Block([u64; 2]);

    /// The high bit of every byte that is marked.
    #[derive(Clone, Copy)]
    pub(crate) struct Marks([u64; 2]);

    impl Block {
        pub(crate) fn of(bytes: &[u8; 16]) -> Block {
            let word = u128::from_le_bytes(*bytes);
            Block([word as u64, (word >> 64) as u64])
        }

        pub(crate) fn with(self, bits: u8) -> Block {
            Block(self.0.map(|word| word | (u64::from(bits) * ONES)))
        }

        pub(crate) fn is(self, byte: u8) -> Marks {
            // What is equal is zero, which alone gets no high bit by adding 127 to its lower bits.
            let differs = |word: u64| word ^ (u64::from(byte) * ONES);
            Marks(self.0.map(differs).map(|word| !(((word & !HIGHS) + !HIGHS) | word) & HIGHS))
        }

        pub(crate) fn below(self, limit: u8) -> Marks {
            let reaches = |word: u64| ((word & !HIGHS) + u64::from(0x80 - limit) * ONES) | word;
            Marks(self.0.map(|word| !reaches(word) & HIGHS))
        }

        pub(crate) fn outside(self, first: u8, last: u8) -> Marks {
            let Marks(low) = self.below(first);
            let Marks(inside_or_low) = self.below(last + 1);
            Marks([low[0] | !inside_or_low[0] & HIGHS, low[1] | !inside_or_low[1] & HIGHS])
        }
    }

    impl Marks {
        pub(crate) fn bits(self) -> u32 {
            // Gathers the eight bits, 8 places apart, in the highest byte.
            let [low, high] = self.0.map(|marks| ((marks >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u32);
            low | high << 8
        }
    }

    impl BitOr for Marks {
        type Output = Marks;

        fn bitor(self, other: Marks) -> Marks {
            Marks([self.0[0] | other.0[0], self.0[1] | other.0[1]])
        }
    }

    impl BitAnd for Marks {
        type Output = Marks;

        fn bitand(self, other: Marks) -> Marks {
            Marks([self.0[0] & other.0[0], self.0[1] & other.0[1]])
        }
    }
}

#[cfg(test)]
mod tests;
