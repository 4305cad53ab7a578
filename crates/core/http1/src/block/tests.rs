use proptest::prelude::*;

use super::*;

/// What the answers mean, byte by byte.
fn expected(bytes: &[u8; 16], marks: impl Fn(u8) -> bool) -> u32 {
    bytes.iter().rev().fold(0, |bits, byte| bits << 1 | u32::from(marks(*byte)))
}

/// Asks both kinds of block everything.
fn check(bytes: &[u8; 16]) {
    let (vector, words) = (Block::of(bytes), words::Block::of(bytes));
    for byte in [0, b'\t', b' ', b':', 0x7e, 0x7f, 0x80, 0xff] {
        let want = expected(bytes, |b| b == byte);
        assert_eq!((vector.is(byte).bits(), words.is(byte).bits()), (want, want), "{byte}: {bytes:?}");
        let want = expected(bytes, |b| b | 0x20 == byte);
        assert_eq!((vector.with(0x20).is(byte).bits(), words.with(0x20).is(byte).bits()), (want, want), "{byte}");
    }
    for limit in [1, 2, b' ', b'!', 127, 128] {
        let want = expected(bytes, |b| b < limit);
        assert_eq!((vector.below(limit).bits(), words.below(limit).bits()), (want, want), "{limit}: {bytes:?}");
        let want = expected(bytes, |b| b < limit || b == 0x7f);
        let either = (vector.below(limit) | vector.is(0x7f), words.below(limit) | words.is(0x7f));
        assert_eq!((either.0.bits(), either.1.bits()), (want, want), "{limit}: {bytes:?}");
    }
    for (first, last) in [(b'0', b'9'), (b'a', b'z'), (b'!', b'~'), (1, 127), (127, 127), (b':', b':')] {
        let want = expected(bytes, |b| !(first..=last).contains(&b));
        let outside = (vector.outside(first, last).bits(), words.outside(first, last).bits());
        assert_eq!(outside, (want, want), "{first}-{last}: {bytes:?}");
        let want = expected(bytes, |b| !(first..=last).contains(&b) && b < 0x60);
        let both = (vector.outside(first, last) & vector.below(0x60), words.outside(first, last) & words.below(0x60));
        assert_eq!((both.0.bits(), both.1.bits()), (want, want), "{first}-{last}: {bytes:?}");
    }
}

#[test]
fn every_byte_at_every_place_is_seen_for_what_it_is() {
    for at in 0..16 {
        for byte in 0..=255 {
            for around in [0, b'a', 0x7f, 0x80, 0xff] {
                let mut bytes = [around; 16];
                bytes[at] = byte;
                check(&bytes);
            }
        }
    }
}

proptest! {
    #[test]
    fn vectors_and_words_answer_alike(bytes in any::<[u8; 16]>()) {
        check(&bytes);
    }

    #[test]
    fn seek_finds_the_first(bytes in proptest::collection::vec(0..4u8, 0..70), from in 0..70usize, which in 0..4u8) {
        let from = from.min(bytes.len());
        let want = bytes[from..].iter().position(|b| *b == which).map_or(bytes.len(), |n| from + n);
        prop_assert_eq!(seek(&bytes, from, |block| block.is(which)), want);
    }
}

#[test]
fn the_last_block_is_what_is_left() {
    let bytes: Vec<u8> = (1..=40).collect();
    for len in 0..=bytes.len() {
        let window = &bytes[..len];
        for at in len.saturating_sub(15)..=len {
            let block = last_block(window, at);
            let left = len - at;
            assert_eq!(&block[..left], &window[at..]);
            assert!(block[left..].iter().all(|b| *b == 0), "{len} {at}");
        }
    }
}
