//! Content to literals and matches.

use super::huffman::{DISTANCES, END, LITERALS, SYMBOLS, symbol_of_length};

/// So much content is taken, so that a place in it is a `u16`.
pub(crate) const CONTENT_MAX: usize = 1 << 16;

/// The length of matches: shorter ones gain little over literals.
const MATCH_MIN: usize = 4;
pub(super) const MATCH_MAX: usize = 258;
/// How far back a match may lie (RFC 1951 §2).
const DISTANCE_MAX: usize = 32 << 10;

/// Places are found by a hash of four bytes; the table fits a CPU's first cache.
const HASH_BITS: u32 = 13;

/// Behind so many literals without a match, not every byte is looked at.
const PATIENCE: usize = 64;

/// Looked at in one step.
const STEP: usize = 16;

/// A literal or a match, as what is written for it: `word`, one for each literal and each length; and of a distance its symbol, and
/// the bits behind that.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token(u32);

impl Token {
    /// How many words there are.
    pub(super) const WORDS: usize = 512;
    /// The symbol of the distance of a literal.
    pub(super) const NO_DISTANCE: usize = 31;

    fn literal(byte: u8) -> Token {
        Token(u32::from(byte) | (Token::NO_DISTANCE as u32) << 9)
    }

    pub(super) fn word_of_length(length: usize) -> usize {
        LITERALS + length - 3
    }

    pub(super) fn word(self) -> usize {
        (self.0 & 0x1ff) as usize
    }

    pub(super) fn distance_symbol(self) -> usize {
        (self.0 >> 9 & 31) as usize
    }

    pub(super) fn distance_extra(self) -> u32 {
        self.0 >> 14
    }
}

/// What a content was parsed to, and how often each symbol comes in it.
pub(super) struct Tokens<'p> {
    pub(super) list: &'p [Token],
    pub(super) symbols: [u32; SYMBOLS],
    pub(super) distances: [u32; DISTANCES],
}

/// Finds matches; to be kept for the memory that it has: 16 KiB, and 4 bytes per token.
pub(crate) struct Parser {
    /// For each hash the last place that was remembered. What it is of the beginning and what is not set look the same: a match is
    /// only what is equal.
    places: Box<[u16; 1 << HASH_BITS]>,
    list: Vec<Token>,
}

impl Parser {
    pub(crate) fn new() -> Parser {
        Parser { places: Box::new([0; 1 << HASH_BITS]), list: Vec::new() }
    }

    /// Parses at most [`CONTENT_MAX`] bytes.
    pub(super) fn parse(&mut self, content: &[u8]) -> Tokens<'_> {
        debug_assert!(content.len() <= CONTENT_MAX);
        self.places.fill(0);
        self.list.clear();
        self.list.reserve(content.len());
        let mut counts = Counts { list: &mut self.list, symbols: [0; SYMBOLS], distances: [0; DISTANCES] };
        counts.symbols[END] = 1;
        let mut at = 0;
        let mut patience = PATIENCE;
        if let Some(first) = content.first() {
            counts.literal(*first);
            at = 1;
        }
        while let Some(here) = bytes_at(content, at) {
            let place = &mut self.places[hash(here)];
            let before = usize::from(std::mem::replace(place, at as u16));
            let equal = bytes_at(content, before).map_or(0, |there| equal_bytes(here, there));
            if equal >= MATCH_MIN && at - before <= DISTANCE_MAX {
                let length = if equal < STEP { equal } else { equal_from(content, before, at) };
                counts.matched(length, at - before);
                at += length;
                // Of what was skipped one place is remembered.
                if let Some(skipped) = bytes_at(content, at - 2) {
                    self.places[hash(skipped)] = (at - 2) as u16;
                }
                patience = PATIENCE;
            } else {
                counts.literal(here as u8);
                at += 1;
                patience -= 1;
                if patience == 0 {
                    // Hardly anything comes again: as many are skipped as are looked at from now on.
                    patience = 1;
                    if let Some(byte) = content.get(at) {
                        counts.literal(*byte);
                        at += 1;
                    }
                }
            }
        }
        content[at.min(content.len())..].iter().for_each(|byte| counts.literal(*byte));
        let Counts { symbols, distances, .. } = counts;
        Tokens { list: &self.list, symbols, distances }
    }
}

struct Counts<'p> {
    list: &'p mut Vec<Token>,
    symbols: [u32; SYMBOLS],
    distances: [u32; DISTANCES],
}

impl Counts<'_> {
    #[inline(always)]
    fn literal(&mut self, byte: u8) {
        self.symbols[usize::from(byte)] += 1;
        self.list.push(Token::literal(byte));
    }

    #[inline(always)]
    fn matched(&mut self, length: usize, distance: usize) {
        self.symbols[symbol_of_length(length)] += 1;
        let (symbol, extra) = symbol_of_distance(distance);
        self.distances[symbol & 31] += 1;
        self.list.push(Token((Token::word_of_length(length) | symbol << 9 | extra << 14) as u32));
    }
}

#[inline(always)]
fn bytes_at(content: &[u8], at: usize) -> Option<u128> {
    content.get(at..)?.first_chunk().map(|bytes| u128::from_le_bytes(*bytes))
}

#[inline(always)]
fn hash(bytes: u128) -> usize {
    ((bytes as u32).wrapping_mul(0x9e37_79b1) >> (32 - HASH_BITS)) as usize
}

/// How many of the first bytes are equal, up to [`STEP`].
#[inline(always)]
fn equal_bytes(one: u128, other: u128) -> usize {
    (one ^ other).trailing_zeros() as usize / 8
}

/// How many bytes from `before` are those from `at`, of which there are [`STEP`].
fn equal_from(content: &[u8], before: usize, at: usize) -> usize {
    let mut length = STEP;
    while length < MATCH_MAX {
        match (bytes_at(content, at + length), bytes_at(content, before + length)) {
            (Some(here), Some(there)) => {
                let equal = equal_bytes(here, there);
                length += equal;
                if equal < STEP {
                    break;
                }
            }
            _ => {
                let (here, there) = (&content[at + length..], &content[before + length..]);
                length += here.iter().zip(there).take_while(|(one, other)| one == other).count();
                break;
            }
        }
    }
    length.min(MATCH_MAX)
}

/// The symbol of a distance and the value of the bits behind it (§3.2.5): from 5 on, two symbols for each power of two.
#[inline(always)]
fn symbol_of_distance(distance: usize) -> (usize, usize) {
    let from = distance - 1;
    if from < 4 {
        return (from, 0);
    }
    let extra = from.ilog2() - 1;
    (2 * extra as usize + (from >> extra), from & ((1 << extra) - 1))
}
