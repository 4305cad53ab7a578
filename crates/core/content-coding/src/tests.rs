//! What is compressed is the same when it is decoded.

use std::io::Read;

use proptest::prelude::*;

use super::*;

fn decode(coding: Coding, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let read = match coding {
        Coding::Brotli => brotli::Decompressor::new(bytes, 4096).read_to_end(&mut out),
        Coding::Zstd => zstd::stream::read::Decoder::new(bytes).unwrap().read_to_end(&mut out),
        Coding::Gzip => flate2::read::GzDecoder::new(bytes).read_to_end(&mut out),
    };
    read.unwrap();
    out
}

fn text(len: usize) -> Vec<u8> {
    (0..)
        .flat_map(|n: u32| format!("{{\"id\":{n},\"name\":\"item {}\"}},", n * 7919 % 1000).into_bytes())
        .take(len)
        .collect()
}

#[test]
fn sets_of_codings() {
    let mut set: Codings = [Coding::Gzip, Coding::Brotli].into_iter().collect();
    assert!(set.has(Coding::Gzip) && set.has(Coding::Brotli) && !set.has(Coding::Zstd) && !set.is_empty());
    assert!(!set.insert(Coding::Gzip) && set.insert(Coding::Zstd));
    Coding::ALL.into_iter().for_each(|c| set.remove(c));
    assert!(set.is_empty());
    for coding in Coding::ALL {
        assert_eq!(Coding::of_token(coding.token()), Some(coding));
        assert_eq!(Coding::ALL[coding.index()], coding);
    }
    assert_eq!(Coding::of_token("deflate"), None);
}

#[test]
fn text_becomes_much_smaller() {
    for len in [SIZE_MIN as usize, 50_000, 1 << 20] {
        let content = text(len);
        for coding in Coding::ALL {
            let compressed = compress(coding, &content).unwrap();
            assert!(compressed.len() < len * 2 / 5, "{coding:?}: {len} to {}", compressed.len());
            assert_eq!(decode(coding, &compressed), content, "{coding:?}");
        }
    }
}

#[test]
fn what_does_not_shrink_is_not_compressed() {
    let mut seed = 1u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 56) as u8
    })
    .take(20_000)
    .collect();
    for coding in Coding::ALL {
        assert_eq!(compress(coding, &noise), None, "{coding:?}");
        assert_eq!(compress(coding, b""), None);
        assert_eq!(compress(coding, b"x"), None);
    }
}

#[test]
fn streams_keep_little_back_and_little_in_memory() {
    for coding in Coding::ALL {
        let mut encoder = Encoder::new(coding).unwrap();
        let piece = text(64 << 10);
        let mut out = Vec::new();
        let mut longest = 0;
        for _ in 0..160 {
            let ready = encoder.push(&piece).unwrap();
            longest = longest.max(ready.len());
            out.extend(ready);
        }
        out.extend(encoder.finish().unwrap());
        assert!(longest < 2 << 20, "{coding:?}: {longest}");
        assert_eq!(decode(coding, &out), piece.repeat(160), "{coding:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn how_a_stream_is_cut_changes_nothing(
        pieces in proptest::collection::vec(proptest::collection::vec(0u8..4, 0..3000), 0..8),
        coding in 0usize..3,
    ) {
        let coding = Coding::ALL[coding];
        let mut encoder = Encoder::new(coding).unwrap();
        let mut out = Vec::new();
        for piece in &pieces {
            out.extend(encoder.push(piece).unwrap());
        }
        out.extend(encoder.finish().unwrap());
        prop_assert_eq!(decode(coding, &out), pieces.concat());
        if let Some(compressed) = compress(coding, &pieces.concat()) {
            prop_assert_eq!(decode(coding, &compressed), pieces.concat());
        }
    }
}
