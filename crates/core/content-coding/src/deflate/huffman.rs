//! Huffman codes, and how they are told (RFC 1951 §3.2.2 and §3.2.7).

use super::bits::BitWriter;
use super::tokens::Token;

pub(super) const LITERALS: usize = 256;
/// The symbol behind the last one of a block.
pub(super) const END: usize = LITERALS;
/// Literals, the end and lengths.
pub(super) const SYMBOLS: usize = 286;
/// Of distances 30 are in use, and one stands for none.
pub(super) const DISTANCES: usize = 32;
const DISTANCES_USED: usize = 30;

/// The format allows one bit more. So a length, a distance and all behind them are at most 14 + 5 + 15 + 13 bits: within one word.
pub(super) const LITERAL_BITS_MAX: usize = 14;
pub(super) const DISTANCE_BITS_MAX: usize = 15;
const LENGTH_BITS_MAX: usize = 7;

/// The first length of each symbol behind [`END`], and the number of bits that follow it (§3.2.5).
pub(super) const LENGTHS: [u16; 29] =
    [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258];
pub(super) const EXTRA_OF_LENGTH: [u8; 29] =
    [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];

static SYMBOL_OF_LENGTH: [u16; 259] = {
    let mut symbols = [0; 259];
    let (mut symbol, mut length) = (0, 3);
    while length < symbols.len() {
        if symbol + 1 < LENGTHS.len() && length == LENGTHS[symbol + 1] as usize {
            symbol += 1;
        }
        symbols[length] = (END + 1 + symbol) as u16;
        length += 1;
    }
    symbols
};

/// The symbol of a length of 3 to 258.
#[inline(always)]
pub(super) fn symbol_of_length(length: usize) -> usize {
    usize::from(SYMBOL_OF_LENGTH[length])
}

/// A prefix code: for each symbol its bits in the order of writing, and how many there are; none for what does not come.
pub(super) struct Code<const N: usize> {
    bits: [u16; N],
    counts: [u8; N],
}

impl<const N: usize> Code<N> {
    /// The best one for symbols that come so often, among those of at most `bits_max` bits.
    pub(super) fn of(often: &[u32; N], bits_max: usize) -> Code<N> {
        let counts = bit_counts(often, bits_max);
        Code { bits: canonical(&counts), counts }
    }

    #[inline(always)]
    pub(super) fn bits(&self, symbol: usize) -> (u16, u8) {
        (self.bits[symbol], self.counts[symbol])
    }

    /// The counts up to the last symbol that comes, of at least `least`.
    fn told(&self, least: usize) -> &[u8] {
        let last = self.counts.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1);
        &self.counts[..last.max(least)]
    }
}

impl Code<DISTANCES> {
    /// The bits of a distance's symbol, how many they are, and how many follow.
    #[inline(always)]
    pub(super) fn distance(&self, symbol: usize) -> (u64, u32, u32) {
        const EXTRA: [u8; DISTANCES] = {
            let mut extra = [0; DISTANCES];
            let mut symbol = 4;
            while symbol < DISTANCES_USED {
                extra[symbol] = (symbol / 2 - 1) as u8;
                symbol += 1;
            }
            extra
        };
        let symbol = symbol % DISTANCES;
        (self.bits[symbol].into(), self.counts[symbol].into(), EXTRA[symbol].into())
    }
}

/// How many bits each symbol gets.
fn bit_counts<const N: usize>(often: &[u32; N], bits_max: usize) -> [u8; N] {
    // The rarest first; symbols in the lower bits.
    const SYMBOL: u32 = 0x1ff;
    let mut sorted = [0u32; N];
    let mut used = 0;
    for (symbol, often) in often.iter().enumerate().filter(|(_, often)| **often > 0) {
        sorted[used] = often << 9 | symbol as u32;
        used += 1;
    }
    let sorted = &mut sorted[..used];
    sorted.sort_unstable();
    let mut counts = [0; N];
    if let [] | [_] = sorted {
        // A code of one symbol is not complete, which not every decoder takes.
        let only = sorted.first().map_or(0, |word| (word & SYMBOL) as usize);
        (counts[only], counts[usize::from(only == 0)]) = (1, 1);
        return counts;
    }
    let mut weights: [u32; N] = [0; N];
    for (weight, word) in weights.iter_mut().zip(&*sorted) {
        *weight = word >> 9;
    }
    let mut by_depth = [0u32; 16];
    depths(&mut weights[..used], |depth| by_depth[depth.min(bits_max)] += 1);
    shorten(&mut by_depth, bits_max);
    let mut rarest = sorted.iter();
    for bits in (1..=bits_max).rev() {
        for word in rarest.by_ref().take(by_depth[bits] as usize) {
            counts[(word & SYMBOL) as usize] = bits as u8;
        }
    }
    counts
}

/// Tells the depth of each leaf of the Huffman tree over at least two `weights`, the least first, which become the tree: in place, after
/// Moffat and Katajainen (1995).
fn depths(weights: &mut [u32], mut leaf_at: impl FnMut(usize)) {
    let count = weights.len();
    // Inner nodes from the left, in place of leaves that have a parent, whose place they then take.
    let (mut inner, mut leaf) = (0, 0);
    for node in 0..count - 1 {
        let mut weight = 0;
        for _ in 0..2 {
            if leaf >= count || (inner < node && weights[inner] < weights[leaf]) {
                weight += weights[inner];
                weights[inner] = node as u32;
                inner += 1;
            } else {
                weight += weights[leaf];
                leaf += 1;
            }
        }
        weights[node] = weight;
    }
    // From the root down each inner node's parent becomes its depth.
    weights[count - 2] = 0;
    for node in (0..count - 2).rev() {
        weights[node] = weights[weights[node] as usize] + 1;
    }
    // What has no inner node in a level is a leaf.
    let mut inner = weights[..count - 1].iter().rev().peekable();
    let (mut depth, mut places) = (0, 1);
    while places > 0 {
        let mut nodes = 0;
        while inner.next_if(|node| **node as usize == depth).is_some() {
            nodes += 1;
        }
        (nodes..places).for_each(|_| leaf_at(depth));
        places = 2 * nodes;
        depth += 1;
    }
}

/// Makes a code of the leaves per depth of which the deepest were put at `bits_max`: for each that is too much there, one higher up moves down
/// by one and takes it beside itself.
fn shorten(by_depth: &mut [u32; 16], bits_max: usize) {
    let mut taken: u32 = (1..=bits_max).map(|bits| by_depth[bits] << (bits_max - bits)).sum();
    while taken > 1 << bits_max {
        let Some(above) = (1..bits_max).rev().find(|bits| by_depth[*bits] > 0) else { return };
        by_depth[bits_max] -= 1;
        by_depth[above] -= 1;
        by_depth[above + 1] += 2;
        taken -= 1;
    }
}

/// The bits that follow from the counts, turned round.
fn canonical<const N: usize>(counts: &[u8; N]) -> [u16; N] {
    let mut next = [0u16; 17];
    for count in counts.iter().filter(|count| **count > 0) {
        next[usize::from(*count) + 1] += 1;
    }
    for bits in 1..16 {
        next[bits] = (next[bits] + next[bits - 1]) << 1;
    }
    let mut codes = [0; N];
    for (code, count) in codes.iter_mut().zip(counts).filter(|(_, count)| **count > 0) {
        let next = &mut next[usize::from(*count)];
        *code = next.reverse_bits() >> (16 - count);
        *next += 1;
    }
    codes
}

/// Symbols in which the counts are told: 0 to 15, and three for what repeats.
const AGAIN: u8 = 16;
const ZEROS: u8 = 17;
const MANY_ZEROS: u8 = 18;
const TOLD: usize = 19;

/// In this order their own counts come.
const ORDER: [usize; TOLD] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// Writes both codes.
pub(super) fn write_codes(
    bits: &mut BitWriter<'_>,
    literals: &Code<SYMBOLS>,
    distances: &Code<DISTANCES>,
) -> Option<()> {
    debug_assert!(distances.counts[Token::NO_DISTANCE] == 0);
    let (literals, distances) = (literals.told(END + 1), distances.told(1));
    let mut items = [(0, 0); SYMBOLS + DISTANCES];
    let mut used = 0;
    let mut often = [0; TOLD];
    let counts = literals.iter().chain(distances);
    runs(counts.copied(), |symbol, extra| {
        items[used] = (symbol, extra);
        used += 1;
        often[usize::from(symbol)] += 1;
    });
    let code = Code::of(&often, LENGTH_BITS_MAX);
    let told = ORDER.iter().rposition(|symbol| code.counts[*symbol] > 0).map_or(4, |last| (last + 1).max(4));
    bits.add(literals.len() as u64 - 257, 5);
    bits.add(distances.len() as u64 - 1, 5);
    bits.add(told as u64 - 4, 4);
    bits.flush()?;
    for symbol in &ORDER[..told] {
        bits.add(code.counts[*symbol].into(), 3);
        bits.flush()?;
    }
    for (symbol, extra) in &items[..used] {
        let (word, count) = code.bits(usize::from(*symbol));
        bits.add(word.into(), count.into());
        bits.add(
            u64::from(*extra),
            match *symbol {
                AGAIN => 2,
                ZEROS => 3,
                MANY_ZEROS => 7,
                _ => 0,
            },
        );
        bits.flush()?;
    }
    Some(())
}

/// Tells counts one by one or, where several are the same, as repetitions.
fn runs(counts: impl Iterator<Item = u8>, mut tell: impl FnMut(u8, u8)) {
    let mut counts = counts.peekable();
    while let Some(count) = counts.next() {
        let mut run = 1;
        while counts.next_if_eq(&count).is_some() {
            run += 1;
        }
        if count != 0 {
            tell(count, 0);
            run -= 1;
        }
        while run > 0 {
            let (symbol, took, least) = match (count, run) {
                (0, 11..) => (MANY_ZEROS, run.min(138), 11),
                (0, 3..) => (ZEROS, run, 3),
                (1.., 3..) => (AGAIN, run.min(6), 3),
                _ => (count, 1, 1),
            };
            tell(symbol, (took - least) as u8);
            run -= took;
        }
    }
}
