//! Any content, whole or as an edit that repeats itself: what was compressed has to be what another's decoder gives, and to stay in its room.
//!
//! The first byte picks how the rest is read: as the content, or as steps of three bytes that each put a byte or repeat a part of what is there.
#![no_main]

use content_coding_fuzz::{CONTENT_MAX, compress};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((pick, rest)) = bytes.split_first() else { return };
    let mut content = if pick % 2 == 0 { rest.to_vec() } else { repeated(rest) };
    content.truncate(CONTENT_MAX);
    let mut out = vec![0xff; content.len() * 2 + 400];
    let len = compress(&content, &mut out).expect("room for twice as much");
    let mut back = vec![0; content.len()];
    let decoded = libdeflater::Decompressor::new().deflate_decompress(&out[..len], &mut back);
    assert_eq!(decoded, Ok(content.len()));
    assert!(back == content);
    // With less room it is the same or nothing.
    let mut small = vec![0; len + usize::from(*pick) / 8];
    assert!(compress(&content, &mut small).is_none_or(|made| small[..made] == out[..len]));
});

fn repeated(steps: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    for step in steps.chunks_exact(3) {
        let [byte, one, other] = [step[0], step[1], step[2]].map(usize::from);
        match content.len().checked_sub(1 + one * 129) {
            Some(from) if byte < 250 => (0..other.min(255) + byte % 8).for_each(|n| content.push(content[from + n])),
            _ => content.extend((0..=other % 5).map(|n| (byte + n * one) as u8)),
        }
        if content.len() >= CONTENT_MAX {
            break;
        }
    }
    content
}
