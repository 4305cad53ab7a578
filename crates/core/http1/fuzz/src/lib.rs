//! What both fuzz targets use.

use buf::Class;
use http1::Limits;

#[path = "../../tests/http1/observe.rs"]
mod observe;
mod relay;

pub use observe::{Seen, client, server};
pub use relay::relayed_the_same;

/// Limits that small inputs reach.
pub const TIGHT: Limits = Limits { header_bytes: 160, headers: 4, uri_bytes: 40 };

/// Runs `observe` over the bytes in one piece, in single bytes and in pieces of lengths that the bytes themselves pick,
/// and expects the same each time. Gives what it saw.
pub fn cut_every_way(bytes: &[u8], observe: impl Fn(Pieces<'_>, Class) -> Vec<Seen>) -> Vec<Seen> {
    let at_once = observe(Pieces::new(bytes, 0, bytes.len().max(1)), Class::K16);
    let seed = seed_of(bytes);
    for (longest, class) in [(1, Class::K16), (8, Class::K4), (64, Class::K16), (64, Class::K64)] {
        let cut = observe(Pieces::new(bytes, seed, longest), class);
        assert_eq!(cut, at_once, "in pieces of at most {longest} bytes");
    }
    assert_eq!(buf::stats().leased, 0, "a buffer was not given back");
    at_once
}

/// FNV-1a: the same bytes are cut the same way every time.
pub fn seed_of(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, b| (hash ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))
}

/// Bytes in pieces of random lengths.
pub struct Pieces<'a> {
    left: &'a [u8],
    random: u64,
    longest: usize,
}

impl<'a> Pieces<'a> {
    /// Pieces of at most `longest` bytes; a seed of 0 makes all of them that long.
    fn new(bytes: &'a [u8], seed: u64, longest: usize) -> Pieces<'a> {
        Pieces { left: bytes, random: seed, longest }
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.left.is_empty() {
            return None;
        }
        // Xorshift; zero stays zero.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let len = if self.random == 0 { self.longest } else { 1 + (self.random % self.longest as u64) as usize };
        let (piece, left) = self.left.split_at(len.min(self.left.len()));
        self.left = left;
        Some(piece)
    }
}
