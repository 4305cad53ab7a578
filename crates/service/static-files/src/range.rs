//! Range requests (RFC 9110 §14).
//!
//! One range of bytes is served. Several in one request are not (a `multipart/byteranges` answer): such a request gets the
//! whole file, as §14.2 allows, which also leaves no room for the attacks that ask for thousands of overlapping ranges.

/// What a Range field asks for, of a representation whose size is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Nothing that is served in parts: the field is malformed, of another unit, has several ranges, or the file is empty.
    Whole,
    /// The bytes from `first` to `last`, both included and both within the representation.
    Part {
        /// The first byte.
        first: u64,
        /// The last byte.
        last: u64,
    },
    /// A range that begins behind the end.
    Unsatisfiable,
}

/// Reads a Range field's value against a representation of `size` bytes.
pub fn asked(value: &[u8], size: u64) -> Asked {
    // There is no way to name a part of nothing, and clients that ask for one want the file.
    if size == 0 {
        return Asked::Whole;
    }
    single(value).map_or(Asked::Whole, |spec| spec.within(size))
}

enum Spec {
    /// `first-` or `first-last`.
    From { first: u64, last: u64 },
    /// `-length`.
    Suffix(u64),
}

impl Spec {
    fn within(self, size: u64) -> Asked {
        match self {
            Spec::Suffix(0) => Asked::Unsatisfiable,
            Spec::Suffix(length) => Asked::Part { first: size.saturating_sub(length), last: size - 1 },
            Spec::From { first, .. } if first >= size => Asked::Unsatisfiable,
            Spec::From { first, last } => Asked::Part { first, last: last.min(size - 1) },
        }
    }
}

/// The only range of the field; `None` when there are several or one is malformed.
fn single(value: &[u8]) -> Option<Spec> {
    let equals = value.iter().position(|b| *b == b'=')?;
    if !value[..equals].eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    // A list may hold empty elements (§5.6.1.2).
    let mut elements = value[equals + 1..].split(|b| *b == b',').map(<[u8]>::trim_ascii).filter(|e| !e.is_empty());
    let only = elements.next()?;
    if elements.next().is_some() {
        return None;
    }
    let dash = only.iter().position(|b| *b == b'-')?;
    let (first, last) = (&only[..dash], &only[dash + 1..]);
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
        Asked::Part { first, last }
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
    fn what_is_malformed_or_several_is_not_there() {
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
            "bytes=0-1,5-6",
            "bytes=0-1, 200-",
            "bytes=1 -2",
            "=0-1",
        ] {
            assert_eq!(asked(value.as_bytes(), 100), Asked::Whole, "{value}");
        }
        assert_eq!(asked(b"bytes=0-1", 0), Asked::Whole);
        assert_eq!(asked(b"bytes=-5", 0), Asked::Whole);
    }

    proptest! {
        #[test]
        fn a_part_lies_within(value in "(bytes=)?[0-9, =-]{0,30}|\\PC{0,30}", size in 0u64..=u64::MAX) {
            match asked(value.as_bytes(), size) {
                Asked::Part { first, last } => prop_assert!(first <= last && last < size),
                Asked::Unsatisfiable => prop_assert!(size > 0),
                Asked::Whole => {}
            }
        }
    }
}
