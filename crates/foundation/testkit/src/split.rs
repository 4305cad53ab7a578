//! Ways to cut a byte string, as a network may: whatever a reader makes of one piece it must make of any pieces.

use crate::random::Rng;

/// The whole of `bytes` in random pieces, none of them empty. Pieces of one byte, short ones and long ones all
/// come up, and now and then the string whole or in single bytes throughout.
pub fn pieces<'a>(bytes: &'a [u8], rng: &mut Rng) -> Vec<&'a [u8]> {
    let longest = match rng.below(8) {
        0 => 1,
        1 => bytes.len(),
        2..=4 => 16,
        _ => 1 + rng.index(bytes.len()),
    };
    let mut pieces = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let len = if longest == bytes.len() { rest.len() } else { 1 + rng.index(longest) };
        let (piece, behind) = rest.split_at(len.min(rest.len()));
        pieces.push(piece);
        rest = behind;
    }
    pieces
}

/// `bytes` one by one.
pub fn single_bytes(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.chunks(1)
}

/// Every way to cut `bytes` in two, the empty halves at both ends included: `len + 1` pairs.
pub fn every_cut(bytes: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    (0..=bytes.len()).map(|at| bytes.split_at(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_the_whole_in_order_and_never_empty() {
        let bytes: Vec<u8> = (0..200).collect();
        let (mut whole, mut single) = (false, false);
        for seed in 0..200 {
            let cut = pieces(&bytes, &mut Rng::new(seed));
            assert!(cut.iter().all(|p| !p.is_empty()));
            assert_eq!(cut.concat(), bytes);
            whole |= cut.len() == 1;
            single |= cut.len() == bytes.len();
        }
        assert!(whole && single, "both extremes come up");
        assert!(pieces(&[], &mut Rng::new(0)).is_empty());
    }

    #[test]
    fn every_cut_is_there_once() {
        let cuts: Vec<_> = every_cut(b"abc").collect();
        assert_eq!(cuts.len(), 4);
        assert_eq!(cuts[0], (&b""[..], &b"abc"[..]));
        assert_eq!(cuts[3], (&b"abc"[..], &b""[..]));
        assert_eq!(single_bytes(b"abc").collect::<Vec<_>>(), [b"a", b"b", b"c"]);
    }
}
