//! Range and conditional fields: any values, in any order, on files of any size.
//!
//! The first byte picks the size of the file; each further line is a field, its name picked by the line's first byte.
#![no_main]

use libfuzzer_sys::fuzz_target;
use static_files_fuzz::decide::{Decision, decide};
use static_files_fuzz::range::{Part, RANGES_MAX};
use static_files_fuzz::{file, request};

const NAMES: [&str; 6] = ["If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range", "Range"];

/// Later than the file.
const NOW: u64 = 900_000_000;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else { return };
    let size = match first >> 6 {
        0 => u64::from(*first),
        1 => 1000 * u64::from(*first),
        2 => u64::MAX - u64::from(*first),
        _ => 1 << 32,
    };
    let file = file(size);
    let text = String::from_utf8_lossy(rest).replace(['\r', '\0'], " ");
    let mut lines: Vec<(&str, &str)> = Vec::new();
    for line in text.split('\n').take(64) {
        let Some(pick) = line.chars().next() else { continue };
        lines.push((NAMES[pick as usize % NAMES.len()], line[pick.len_utf8()..].trim()));
    }
    let decision = decide(&request("GET", "/x", &lines), &file, || NOW);
    check(&decision, size);
    // Fields of different names may come in any order, and so may the lines of one list.
    lines.reverse();
    assert_eq!(decide(&request("GET", "/x", &lines), &file, || NOW), decision);
    // HEAD knows no parts.
    let head = decide(&request("HEAD", "/x", &lines), &file, || NOW);
    assert!(!matches!(head, Decision::Part(_) | Decision::Parts(_) | Decision::Unsatisfiable));
    // Who has the file is told so, whatever else is asked.
    let etag = String::from_utf8(file.etag().to_vec()).expect("ASCII");
    lines.retain(|(name, _)| !matches!(*name, "If-Match" | "If-Unmodified-Since"));
    lines.push(("If-None-Match", &etag));
    assert_eq!(decide(&request("GET", "/x", &lines), &file, || NOW), Decision::NotModified);
});

fn check(decision: &Decision, size: u64) {
    let within = |p: &Part| p.first <= p.last && p.last < size;
    match decision {
        Decision::Part(part) => {
            assert!(within(part));
            let range = format!("bytes={}-{}", part.first, part.last);
            let again = decide(&request("GET", "/x", &[("Range", &range)]), &file(size), || NOW);
            assert_eq!(again, Decision::Part(*part));
        }
        Decision::Parts(parts) => {
            assert!((2..=RANGES_MAX).contains(&parts.len()) && parts.iter().all(within));
            let mut sorted = parts.to_vec();
            sorted.sort_by_key(|p| p.first);
            assert!(sorted.windows(2).all(|w| w[0].last < w[1].first));
        }
        Decision::Unsatisfiable => assert!(size > 0),
        Decision::Whole | Decision::NotModified | Decision::Failed => {}
    }
}
