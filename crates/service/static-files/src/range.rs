//! Range requests (RFC 9110 §14).
//!
//! One range or several, the latter within bounds: ranges that overlap, or lie so close that a head between them would cost more
//! than what it leaves out, become one; and a request for more ranges than [`RANGES_MAX`] gets the whole file, as §14.2 allows.
//! So no request makes an answer longer than the file and a bounded number of part heads.

/// What a Range field asks for, of a representation whose size is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Nothing that is served in parts: the field is malformed, of another unit, has too many ranges, or the file is empty.
    Whole,
    /// One part, though several ranges may have been asked for.
    Part(Part),
    /// Two parts or more, none of which touches another, in the order in which they were asked for (§15.3.7.2).
    Parts(Box<[Part]>),
    /// Every range begins behind the end.
    Unsatisfiable,
}

/// The bytes from `first` to `last`, both included and both within the representation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The first byte.
    pub first: u64,
    /// The last byte.
    pub last: u64,
}

impl Part {
    /// How many bytes it has; at least one.
    #[allow(clippy::len_without_is_empty, reason = "no part is empty")]
    pub fn len(self) -> u64 {
        self.last - self.first + 1
    }
}

/// A field with more ranges than this counts as if it were not there. Viewers of documents ask for a few at a time; who asks
/// for thousands wants to make the server work.
pub const RANGES_MAX: usize = 32;

/// Parts with fewer bytes than this between them are sent as one: about what the head of a part takes (§15.3.7.2).
const GAP_MAX: u64 = 128;

/// Reads a Range field's value against a representation of `size` bytes. Allocates for several ranges only.
pub fn asked(value: &[u8], size: u64) -> Asked {
    // There is no way to name a part of nothing, and clients that ask for one want the file.
    if size == 0 {
        return Asked::Whole;
    }
    let Some(list) = list(value) else { return Asked::Whole };
    let mut elements = elements(list);
    match (elements.next(), elements.next()) {
        (None, _) => Asked::Whole,
        (Some(only), None) => match spec(only) {
            None => Asked::Whole,
            Some(spec) => spec.within(size).map_or(Asked::Unsatisfiable, Asked::Part),
        },
        (Some(_), Some(_)) => several(list, size),
    }
}

fn several(list: &[u8], size: u64) -> Asked {
    let mut parts: Vec<Part> = Vec::new();
    for (count, element) in elements(list).enumerate() {
        let Some(spec) = spec(element) else { return Asked::Whole };
        if count == RANGES_MAX {
            return Asked::Whole;
        }
        // What lies behind the end is left out (§14.1.2).
        if let Some(part) = spec.within(size) {
            add(&mut parts, part);
        }
    }
    match *parts {
        [] => Asked::Unsatisfiable,
        [only] => Asked::Part(only),
        _ => Asked::Parts(parts.into()),
    }
}

/// Adds a part, in the place of the first one that it meets. It may join parts that did not meet before.
fn add(parts: &mut Vec<Part>, mut part: Part) {
    let mut place = parts.len();
    while let Some(at) = parts.iter().position(|p| meet(*p, part)) {
        let met = parts.remove(at);
        part = Part { first: part.first.min(met.first), last: part.last.max(met.last) };
        place = place.min(at);
    }
    parts.insert(place.min(parts.len()), part);
}

/// Whether two parts overlap, or nearly touch.
fn meet(a: Part, b: Part) -> bool {
    a.first <= b.last.saturating_add(GAP_MAX) && b.first <= a.last.saturating_add(GAP_MAX)
}

enum Spec {
    /// `first-` or `first-last`.
    From { first: u64, last: u64 },
    /// `-length`.
    Suffix(u64),
}

impl Spec {
    /// The part of a representation of `size` bytes, at least one; `None` when it lies behind the end.
    fn within(self, size: u64) -> Option<Part> {
        match self {
            Spec::Suffix(0) => None,
            Spec::Suffix(length) => Some(Part { first: size.saturating_sub(length), last: size - 1 }),
            Spec::From { first, .. } if first >= size => None,
            Spec::From { first, last } => Some(Part { first, last: last.min(size - 1) }),
        }
    }
}

/// The list of ranges behind `bytes=`.
fn list(value: &[u8]) -> Option<&[u8]> {
    let equals = value.iter().position(|b| *b == b'=')?;
    value[..equals].eq_ignore_ascii_case(b"bytes").then_some(&value[equals + 1..])
}

/// The elements of a list, which may hold empty ones (§5.6.1.2).
fn elements(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|b| *b == b',').map(<[u8]>::trim_ascii).filter(|e| !e.is_empty())
}

fn spec(element: &[u8]) -> Option<Spec> {
    let dash = element.iter().position(|b| *b == b'-')?;
    let (first, last) = (&element[..dash], &element[dash + 1..]);
    if first.is_empty() {
        return number(last).map(Spec::Suffix);
    }
    let first = number(first)?;
    let last = if last.is_empty() { u64::MAX } else { number(last)? };
    (first <= last).then_some(Spec::From { first, last })
}

/// A decimal number; one beyond 64 bits is as good as the largest.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits
        .iter()
        .try_fold(0u64, |n, d| d.is_ascii_digit().then(|| n.saturating_mul(10).saturating_add(u64::from(d - b'0'))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn part(first: u64, last: u64) -> Asked {
        Asked::Part(Part { first, last })
    }

    #[test]
    fn single_ranges() {
        for (value, want) in [
            ("bytes=0-0", part(0, 0)),
            ("bytes=0-", part(0, 99)),
            ("bytes=10-19", part(10, 19)),
            ("BYTES=10-19", part(10, 19)),
            ("bytes= 10-19 ", part(10, 19)),
            ("bytes=,10-19,", part(10, 19)),
            ("bytes=90-1000", part(90, 99)),
            ("bytes=99-99999999999999999999999", part(99, 99)),
            ("bytes=-1", part(99, 99)),
            ("bytes=-100", part(0, 99)),
            ("bytes=-99999999999999999999999", part(0, 99)),
            ("bytes=100-", Asked::Unsatisfiable),
            ("bytes=99999999999999999999999-", Asked::Unsatisfiable),
            ("bytes=-0", Asked::Unsatisfiable),
        ] {
            assert_eq!(asked(value.as_bytes(), 100), want, "{value}");
        }
    }

    #[test]
    fn what_is_malformed_is_not_there() {
        for value in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=a-b",
            "bytes=1",
            "bytes=5-4",
            "bytes=1-2-3",
            "bytes=--1",
            "bytes=+1-2",
            "bytes=0x1-2",
            "bytes =0-1",
            "lines=0-1",
            "bytes=0-1,x",
            "bytes=0-1,5-4",
            "bytes=1 -2",
            "=0-1",
        ] {
            assert_eq!(asked(value.as_bytes(), 100), Asked::Whole, "{value}");
        }
        assert_eq!(asked(b"bytes=0-1", 0), Asked::Whole);
        assert_eq!(asked(b"bytes=-5", 0), Asked::Whole);
    }

    fn parts(value: &str) -> Vec<(u64, u64)> {
        match asked(value.as_bytes(), 10_000) {
            Asked::Parts(parts) => parts.iter().map(|p| (p.first, p.last)).collect(),
            Asked::Part(p) => vec![(p.first, p.last)],
            Asked::Unsatisfiable => vec![],
            Asked::Whole => panic!("{value} is taken for nothing"),
        }
    }

    #[test]
    fn several_ranges_keep_their_order() {
        assert_eq!(parts("bytes=0-0,-1"), [(0, 0), (9999, 9999)]);
        assert_eq!(parts("bytes=9000-9100, 0-10,4000-4010"), [(9000, 9100), (0, 10), (4000, 4010)]);
        assert_eq!(parts("bytes=0-10,20000-,500-600"), [(0, 10), (500, 600)]);
    }

    #[test]
    fn ranges_that_meet_become_one_in_the_place_of_the_first() {
        assert_eq!(parts("bytes=0-10,5-20"), [(0, 20)]);
        assert_eq!(parts("bytes=0-10,11-20"), [(0, 20)]);
        assert_eq!(parts("bytes=0-10,138-140"), [(0, 140)]);
        assert_eq!(parts("bytes=0-10,139-140"), [(0, 10), (139, 140)]);
        assert_eq!(parts("bytes=0-10,5000-5010,8000-8010,5-8005"), [(0, 8010)]);
        assert_eq!(parts("bytes=5000-5010,0-10,9000-,4990-5005"), [(4990, 5010), (0, 10), (9000, 9999)]);
        assert_eq!(parts(&format!("bytes={}", vec!["0-"; RANGES_MAX].join(","))), [(0, 9999)]);
        assert_eq!(parts("bytes=10000-,-0,99999-"), []);
    }

    #[test]
    fn too_many_ranges_count_as_none() {
        let many: Vec<String> = (0..=RANGES_MAX).map(|n| format!("{0}-{0}", n * 200)).collect();
        assert_eq!(asked(format!("bytes={}", many.join(",")).as_bytes(), 10_000), Asked::Whole);
        assert_eq!(parts(&format!("bytes={}", many[1..].join(","))).len(), RANGES_MAX);
    }

    proptest! {
        #[test]
        fn parts_lie_within_and_apart(value in "(bytes=)?[0-9, =-]{0,30}|\\PC{0,30}", size in 0u64..=u64::MAX) {
            match asked(value.as_bytes(), size) {
                Asked::Part(Part { first, last }) => prop_assert!(first <= last && last < size),
                Asked::Parts(parts) => {
                    prop_assert!(parts.len() >= 2);
                    prop_assert!(parts.iter().all(|p| p.first <= p.last && p.last < size));
                }
                Asked::Unsatisfiable => prop_assert!(size > 0),
                Asked::Whole => {}
            }
        }

        #[test]
        fn every_byte_that_is_asked_for_is_sent_and_once(
            ranges in proptest::collection::vec((0u64..3000, 0u64..200), 1..RANGES_MAX),
        ) {
            let text: Vec<String> = ranges.iter().map(|(first, more)| format!("{first}-{}", first + more)).collect();
            let size = 2500;
            let sent = match asked(format!("bytes={}", text.join(",")).as_bytes(), size) {
                Asked::Parts(parts) => parts.to_vec(),
                Asked::Part(part) => vec![part],
                Asked::Unsatisfiable => vec![],
                Asked::Whole => return Err(TestCaseError::fail("well-formed")),
            };
            let times = |byte: u64| sent.iter().filter(|p| (p.first..=p.last).contains(&byte)).count();
            for byte in 0..size {
                let wanted = ranges.iter().any(|(first, more)| (*first..=first + more).contains(&byte));
                prop_assert!(times(byte) <= 1 && (times(byte) == 1 || !wanted));
            }
        }
    }
}
