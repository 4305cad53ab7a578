//! What a GET or HEAD of a file is answered with.

use message::{Known, KnownSet, Method, RequestHead};

use crate::conditional::{self, Verdict};
use crate::range::{self, Asked, Part};
use crate::validators::Validators;

/// The fields that can make the answer anything but the whole file.
const DECIDING: KnownSet =
    KnownSet::of(&[Known::IfMatch, Known::IfNoneMatch, Known::IfModifiedSince, Known::IfUnmodifiedSince, Known::Range]);

/// What a GET or HEAD of a file is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// 200 with the whole file.
    Whole,
    /// 206 with one part.
    Part(Part),
    /// 206 with several parts, as `multipart/byteranges`.
    Parts(Box<[Part]>),
    /// 304: the client has it.
    NotModified,
    /// 412: a precondition failed.
    Failed,
    /// 416: all ranges begin behind the end.
    Unsatisfiable,
}

/// Decides on a GET or HEAD of a file with these validators: preconditions first, in the order of RFC 9110 §13.2.2, then the
/// range, which counts for GET only (§14.2). `now` gives the answer's date in seconds since 1970. Costs a bit test when the request has no such field.
pub fn decide(request: &RequestHead, file: &Validators, now: fn() -> u64) -> Decision {
    let fields = &request.fields;
    if !fields.has_any(DECIDING) {
        return Decision::Whole;
    }
    match conditional::evaluate(fields, file) {
        Verdict::Proceed => {}
        Verdict::NotModified => return Decision::NotModified,
        Verdict::Failed => return Decision::Failed,
    }
    let mut ranges = fields.all(Known::Range);
    let (Some(range), None) = (ranges.next(), ranges.next()) else { return Decision::Whole };
    if request.method != Method::Get || !conditional::range_applies(fields, file, now) {
        return Decision::Whole;
    }
    match range::asked(range, file.size()) {
        Asked::Whole => Decision::Whole,
        Asked::Part(part) => Decision::Part(part),
        Asked::Parts(parts) => Decision::Parts(parts),
        Asked::Unsatisfiable => Decision::Unsatisfiable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::request;
    use crate::validators::tests::meta;

    const TAG: &str = "\"400-2ebc98a100000000\"";
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn decided(method: &str, lines: &[(&str, &str)]) -> Decision {
        let file = Validators::of(&meta(1024, 784_111_777, 0), 900_000_000);
        decide(&request(method, "/x", lines), &file, || 900_000_000)
    }

    #[test]
    fn preconditions_go_before_the_range() {
        let part = Decision::Part(Part { first: 0, last: 9 });
        let parts = Decision::Parts([Part { first: 0, last: 9 }, Part { first: 500, last: 599 }].into());
        for (lines, want) in [
            (&[][..], Decision::Whole),
            (&[("range", "bytes=0-9")], part.clone()),
            (&[("range", "bytes=0-9,500-599")], parts.clone()),
            (&[("range", "bytes=0-9,500-599"), ("if-range", TAG)], parts),
            (&[("range", "bytes=0-9,500-599"), ("if-range", "\"a\"")], Decision::Whole),
            (&[("range", "bytes=2000-")], Decision::Unsatisfiable),
            (&[("range", "bytes=0-9"), ("range", "bytes=0-9")], Decision::Whole),
            (&[("range", "bytes=0-9"), ("if-none-match", TAG)], Decision::NotModified),
            (&[("range", "bytes=2000-"), ("if-match", "\"a\"")], Decision::Failed),
            (&[("range", "bytes=0-9"), ("if-match", TAG)], part.clone()),
            (&[("range", "bytes=0-9"), ("if-modified-since", DATE)], Decision::NotModified),
            (&[("range", "bytes=0-9"), ("if-range", TAG)], part),
            (&[("range", "bytes=0-9"), ("if-range", "\"a\"")], Decision::Whole),
            (&[("range", "bytes=2000-"), ("if-range", "\"a\"")], Decision::Whole),
            (&[("if-range", "\"a\"")], Decision::Whole),
        ] {
            assert_eq!(decided("GET", lines), want, "{lines:?}");
        }
    }

    #[test]
    fn head_knows_no_range() {
        assert_eq!(decided("HEAD", &[("range", "bytes=0-9")]), Decision::Whole);
        assert_eq!(decided("HEAD", &[("range", "bytes=2000-")]), Decision::Whole);
        assert_eq!(decided("HEAD", &[("if-none-match", TAG)]), Decision::NotModified);
    }
}
