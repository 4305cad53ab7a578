//! Conditional requests (RFC 9110 §13).

use std::time::{Duration, UNIX_EPOCH};

use message::{Fields, Known};

use crate::validators::Validators;

/// What the preconditions of a GET or HEAD come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Answer as if there were none.
    Proceed,
    /// The client has the current file: 304.
    NotModified,
    /// The file is not the one the client means: 412.
    Failed,
}

/// Evaluates the preconditions of a GET or HEAD in the order of §13.2.2, except If-Range, which is
/// [`range_applies`]'s.
pub fn evaluate(fields: &Fields, file: &Validators) -> Verdict {
    if fields.first(Known::IfMatch).is_some() {
        if !any_tag(fields, Known::IfMatch, file, Compare::Strong) {
            return Verdict::Failed;
        }
    } else if let Some(false) = date(fields, Known::IfUnmodifiedSince).and_then(|d| unmodified_since(file, d)) {
        return Verdict::Failed;
    }
    if fields.first(Known::IfNoneMatch).is_some() {
        if any_tag(fields, Known::IfNoneMatch, file, Compare::Weak) {
            return Verdict::NotModified;
        }
    } else if is_as_dated(fields, file)
        || date(fields, Known::IfModifiedSince).and_then(|d| unmodified_since(file, d)) == Some(true)
    {
        return Verdict::NotModified;
    }
    Verdict::Proceed
}

/// Whether a Range field counts, given the If-Range beside it (§13.1.5). Without an If-Range it does. `now` gives the seconds since 1970
/// that the answer's Date says; it is asked only where a date decides.
pub fn range_applies(fields: &Fields, file: &Validators, now: fn() -> u64) -> bool {
    let mut all = fields.all(Known::IfRange);
    match (all.next(), all.next()) {
        (None, _) => true,
        // A tag: the strong comparison. Equal bytes are equal tags, if ours is no weak one.
        (Some(only), None) if only.starts_with(b"\"") => !file.is_weak() && only == file.opaque_tag(),
        (Some(only), None) if only.starts_with(b"W/") => false,
        // A date: exactly ours, in the only form we write, and of a second that is over: within it the file may change again and keep
        // the date, which is no strong validator then (§8.8.2.2). Whether it was one when the client got it is the client's part.
        (Some(only), None) => file.modified().is_some_and(|m| only == m.as_bytes() && m.unix() < now()),
        // Two of them say nothing; the whole file is always right.
        (Some(_), Some(_)) => false,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Compare {
    Strong,
    Weak,
}

/// Whether one of the entity tags listed under that name is the file's, or `*` stands there.
fn any_tag(fields: &Fields, name: Known, file: &Validators, compare: Compare) -> bool {
    // A weak tag is equal to none when compared strongly (RFC 9110 §8.8.3.2).
    if compare == Compare::Strong && file.is_weak() {
        return fields.all(name).any(|value| value == b"*");
    }
    let ours = file.opaque_tag();
    fields.all(name).any(|value| value == b"*" || value == ours || list_has_tag(value, ours, compare))
}

/// Looks for `ours`, a tag without mark, in a list of tags. What follows a malformed element is not looked at.
fn list_has_tag(list: &[u8], ours: &[u8], compare: Compare) -> bool {
    let mut rest = list;
    loop {
        rest = rest.trim_ascii_start();
        if let Some(behind) = rest.strip_prefix(b",") {
            rest = behind;
            continue;
        }
        let (weak, tagged) = match rest.strip_prefix(b"W/") {
            Some(tagged) => (true, tagged),
            None => (false, rest),
        };
        // A tag may hold commas, so its quotes decide where it ends.
        let Some(inner) = tagged.strip_prefix(b"\"") else { return false };
        let Some(close) = inner.iter().position(|b| *b == b'"') else { return false };
        let (tag, behind) = tagged.split_at(close + 2);
        if tag == ours && (compare == Compare::Weak || !weak) {
            return true;
        }
        rest = behind.trim_ascii_start();
        if !rest.is_empty() && !rest.starts_with(b",") {
            return false;
        }
    }
}

/// The usual case, without parsing: If-Modified-Since repeats our own Last-Modified.
fn is_as_dated(fields: &Fields, file: &Validators) -> bool {
    let mut all = fields.all(Known::IfModifiedSince);
    match (all.next(), all.next(), file.modified()) {
        (Some(only), None, Some(modified)) => only == modified.as_bytes(),
        _ => false,
    }
}

/// The date under that name, in seconds since 1970; `None` when it is absent, repeated, or no date (§13.1.3: ignored).
fn date(fields: &Fields, name: Known) -> Option<u64> {
    let mut all = fields.all(name);
    let only = all.next()?;
    if all.next().is_some() {
        return None;
    }
    let time = httpdate::parse_http_date(std::str::from_utf8(only).ok()?).ok()?;
    Some(time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs())
}

/// Whether the file was not modified after `date`; `None` when the file has no date.
fn unmodified_since(file: &Validators, date: u64) -> Option<bool> {
    file.modified().map(|m| m.unix() <= date)
}

#[cfg(test)]
mod tests {
    use message::FieldsBuilder;
    use proptest::prelude::*;

    use super::*;
    use crate::validators::tests::meta;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const LATER: &str = "Sunday, 06-Nov-94 08:49:38 GMT";
    const TAG: &str = "\"400-2ebc98a100000000\"";

    fn file() -> Validators {
        Validators::of(&meta(1024, 784_111_777, 0), 900_000_000)
    }

    fn fields(lines: &[(&str, &str)]) -> Fields {
        let mut b = FieldsBuilder::new();
        lines.iter().for_each(|(name, value)| b.push(name.as_bytes(), value.as_bytes()));
        b.finish()
    }

    fn verdict(lines: &[(&str, &str)]) -> Verdict {
        evaluate(&fields(lines), &file())
    }

    #[test]
    fn if_none_match() {
        let weak = format!("W/{TAG}");
        let listed = format!("\"a,b\" , W/\"c\",,{TAG}");
        for value in [TAG, &weak, &listed, "*"] {
            assert_eq!(verdict(&[("if-none-match", value)]), Verdict::NotModified, "{value}");
        }
        let inside = format!("\"x{}", TAG.trim_matches('"'));
        let behind_garbage = format!("garbage, {TAG}");
        let glued = format!("\"a\"{TAG}");
        for value in
            ["", "\"a\"", &inside, &behind_garbage, &glued, TAG.trim_matches('"'), "\"", "W/", "W/*", "**", ","]
        {
            assert_eq!(verdict(&[("if-none-match", value)]), Verdict::Proceed, "{value}");
        }
        assert_eq!(verdict(&[("if-none-match", "\"a\""), ("If-None-Match", TAG)]), Verdict::NotModified);
    }

    #[test]
    fn if_match_compares_strongly() {
        let weak = format!("W/{TAG}");
        let listed = format!("\"a\", {TAG}");
        for value in ["*", TAG, &listed] {
            assert_eq!(verdict(&[("if-match", value)]), Verdict::Proceed, "{value}");
        }
        for value in ["\"a\"", &weak, "", "garbage"] {
            assert_eq!(verdict(&[("if-match", value)]), Verdict::Failed, "{value}");
        }
    }

    #[test]
    fn a_weak_tag_of_ours_tells_what_is_current_and_nothing_more() {
        let weak = file().weakened(5);
        let verdict = |name: &str, value: &str| evaluate(&fields(&[(name, value)]), &weak);
        for value in [TAG, &format!("W/{TAG}"), "*"] {
            assert_eq!(verdict("if-none-match", value), Verdict::NotModified, "{value}");
        }
        for value in [TAG, &format!("W/{TAG}"), "\"a\""] {
            assert_eq!(verdict("if-match", value), Verdict::Failed, "{value}");
            assert!(!range_applies(&fields(&[("if-range", value)]), &weak, || 900_000_000), "{value}");
        }
        assert_eq!(verdict("if-match", "*"), Verdict::Proceed);
    }

    #[test]
    fn dates() {
        for (value, want) in [
            (DATE, Verdict::NotModified),
            (LATER, Verdict::NotModified),
            ("Sun Nov  6 08:49:37 1994", Verdict::NotModified),
            (EARLIER, Verdict::Proceed),
            ("yesterday", Verdict::Proceed),
            ("", Verdict::Proceed),
        ] {
            assert_eq!(verdict(&[("if-modified-since", value)]), want, "{value}");
        }
        assert_eq!(verdict(&[("if-modified-since", DATE), ("if-modified-since", DATE)]), Verdict::Proceed);
        for (value, want) in [
            (DATE, Verdict::Proceed),
            (LATER, Verdict::Proceed),
            (EARLIER, Verdict::Failed),
            ("yesterday", Verdict::Proceed),
        ] {
            assert_eq!(verdict(&[("if-unmodified-since", value)]), want, "{value}");
        }
        let dateless = Validators::of(&meta(1, 1000, 0), 999);
        assert_eq!(evaluate(&fields(&[("if-modified-since", LATER)]), &dateless), Verdict::Proceed);
        assert_eq!(evaluate(&fields(&[("if-unmodified-since", EARLIER)]), &dateless), Verdict::Proceed);
    }

    #[test]
    fn tags_go_before_dates_and_match_before_none_match() {
        assert_eq!(verdict(&[("if-none-match", "\"a\""), ("if-modified-since", DATE)]), Verdict::Proceed);
        assert_eq!(verdict(&[("if-none-match", TAG), ("if-modified-since", EARLIER)]), Verdict::NotModified);
        assert_eq!(verdict(&[("if-match", TAG), ("if-unmodified-since", EARLIER)]), Verdict::Proceed);
        assert_eq!(verdict(&[("if-match", "\"a\""), ("if-none-match", TAG)]), Verdict::Failed);
        assert_eq!(verdict(&[("if-match", TAG), ("if-none-match", TAG)]), Verdict::NotModified);
        assert_eq!(verdict(&[("if-unmodified-since", EARLIER), ("if-none-match", TAG)]), Verdict::Failed);
    }

    #[test]
    fn if_range() {
        let applies = |lines: &[(&str, &str)]| range_applies(&fields(lines), &file(), || 900_000_000);
        let weak = format!("W/{TAG}");
        assert!(applies(&[]) && applies(&[("if-range", TAG)]) && applies(&[("if-range", DATE)]));
        for value in [&weak, "\"a\"", EARLIER, LATER, "", "*"] {
            assert!(!applies(&[("if-range", value)]), "{value}");
        }
        assert!(!applies(&[("if-range", TAG), ("if-range", TAG)]));
    }

    #[test]
    fn a_date_counts_for_a_range_once_its_second_is_over() {
        let applies = |value, now| range_applies(&fields(&[("if-range", value)]), &file(), now);
        assert!(!applies(DATE, || 784_111_776) && !applies(DATE, || 784_111_777));
        assert!(applies(DATE, || 784_111_778));
        assert!(applies(TAG, || panic!("a tag needs no clock")));
    }

    proptest! {
        #[test]
        fn nothing_panics(values in proptest::collection::vec((0usize..5, "[\"W/,* a-z0-9\\\\:-]{0,40}|\\PC{0,30}"), 0..4)) {
            let names = ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range"];
            let lines: Vec<_> = values.iter().map(|(n, v)| (names[*n], v.as_str())).collect();
            evaluate(&fields(&lines), &file());
            range_applies(&fields(&lines), &file(), || 900_000_000);
        }

        #[test]
        fn our_tag_is_found_among_others(
            before in proptest::collection::vec("(W/)?\"[!#-~]{0,8}\"", 0..4),
            after in proptest::collection::vec("(W/)?\"[!#-~]{0,8}\"", 0..4),
        ) {
            let all: Vec<_> = before.iter().map(String::as_str).chain([TAG]).chain(after.iter().map(String::as_str)).collect();
            prop_assert_eq!(verdict(&[("if-none-match", &all.join(", "))]), Verdict::NotModified);
            prop_assert_eq!(verdict(&[("if-match", &all.join(","))]), Verdict::Proceed);
        }
    }
}
