use libdeflater::Decompressor;
use proptest::prelude::*;

use super::huffman::{DISTANCES, SYMBOLS};
use super::*;

/// Through our compressor and a decoder of others.
fn goes_through(content: &[u8]) -> usize {
    let mut out = vec![0xff; content.len() * 2 + 400];
    let len = deflate(&mut Parser::new(), content, &mut out).unwrap();
    let mut back = vec![0; content.len()];
    assert_eq!(Decompressor::new().deflate_decompress(&out[..len], &mut back), Ok(content.len()));
    assert!(back == content);
    len
}

#[test]
fn what_is_small_or_uniform() {
    for len in (0..40).chain(250..300).chain([CONTENT_MAX - 1, CONTENT_MAX]) {
        goes_through(&vec![b'x'; len]);
        goes_through(&(0..len).map(|n| n as u8).collect::<Vec<_>>());
        goes_through(&(0..len).map(|n| (n / 256) as u8).collect::<Vec<_>>());
    }
    assert!(goes_through(&vec![0; CONTENT_MAX]) < 100);
}

#[test]
fn matches_from_the_nearest_to_the_farthest() {
    let words: Vec<u8> = (0..=u8::MAX).map(|n| n.wrapping_mul(167)).collect();
    for distance in (1..300).chain([4_095, 4_096, 32_511, 32_767, 32_768, 32_769, 50_000]) {
        for length in [3, 4, 15, 16, 17, 31, 32, 33, 130, 256] {
            let mut content = words[..length].to_vec();
            content.resize(distance.max(length), b'-');
            content.extend(&words[..length]);
            content.extend(b"~!");
            goes_through(&content);
        }
    }
}

/// Of which each symbol comes as often as the two before together: the deepest trees there are.
fn fibonacci<const N: usize>() -> [u32; N] {
    let mut often = [0; N];
    let (mut one, mut next) = (1, 1);
    for symbol in often.iter_mut().take(22) {
        *symbol = one;
        (one, next) = (next, one + next);
    }
    often
}

#[test]
fn codes_are_complete_and_short_enough() {
    for bits_max in [5, 7, 14, 15] {
        let code = Code::of(&fibonacci::<DISTANCES>(), bits_max);
        let taken: f64 = (0..22).map(|symbol| 0.5f64.powi(code.bits(symbol).1.into())).sum();
        assert!((0..22).all(|symbol| (1..=bits_max).contains(&code.bits(symbol).1.into())));
        assert!((taken - 1.0).abs() < 1e-9, "{taken}");
    }
}

#[test]
fn the_room_is_all_it_gets() {
    let content: Vec<u8> = (0..2000u32).flat_map(|n| (n * n).to_string().into_bytes()).collect();
    let len = goes_through(&content);
    let mut parser = Parser::new();
    for room in (0..len + 8).step_by(13) {
        let made = deflate(&mut parser, &content, &mut vec![0; room]);
        assert!(made.is_none_or(|made| made == len && made <= room));
    }
    assert_eq!(deflate(&mut parser, &content, &mut vec![0; len + 8]), Some(len));
}

proptest! {
    #[test]
    fn whatever_it_is_comes_back(pieces in prop::collection::vec((any::<u8>(), 0usize..300, any::<u16>()), 0..60)) {
        let mut content = Vec::new();
        for (byte, count, from) in pieces {
            // Either something new or something that was there.
            match usize::from(from).checked_rem(content.len()) {
                Some(from) if byte < 170 => content.extend_from_within(from..(from + count).min(content.len())),
                _ => content.extend((0..count).map(|n| byte.wrapping_mul(n as u8))),
            }
        }
        goes_through(&content);
    }

    #[test]
    fn any_counts_make_a_code(often in prop::collection::vec(prop_oneof![Just(0u32), 1u32..5, 1u32..60_000], SYMBOLS)) {
        let mut counts = [0; SYMBOLS];
        counts.copy_from_slice(&often);
        let code = Code::of(&counts, huffman::LITERAL_BITS_MAX);
        let taken: f64 = (0..SYMBOLS).map(|symbol| code.bits(symbol).1).filter(|bits| *bits > 0).map(|bits| 0.5f64.powi(bits.into())).sum();
        prop_assert!((taken - 1.0).abs() < 1e-9);
        prop_assert!((0..SYMBOLS).all(|symbol| code.bits(symbol).1 <= 14 && (counts[symbol] == 0 || code.bits(symbol).1 > 0)));
    }
}
