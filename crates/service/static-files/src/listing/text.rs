//! Sizes, times and names as people read them.

use std::borrow::Cow;
use std::fmt::Write;

/// A size such as `999 B`, `1.5 KiB`, `12 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // Tenths, so that 1,023.96 KiB becomes 1.0 MiB and not 1024.0 KiB.
    let mut tenths = u128::from(bytes) * 10;
    let mut unit = 0;
    let mut scale = 1024u128;
    while unit + 1 < UNITS.len() && (tenths + scale / 2) / scale >= 10_240 {
        scale <<= 10;
        unit += 1;
    }
    tenths = (tenths + scale / 2) / scale;
    match tenths {
        0..100 => format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit]),
        _ => format!("{} {}", (tenths + 5) / 10, UNITS[unit]),
    }
}

/// A date and time in UTC, `2026-11-20T18:25:00Z`; the year has at least four digits.
pub(crate) fn timestamp(unix: i64) -> String {
    let (days, second) = (unix.div_euclid(86_400), unix.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

/// The date of a day since 1970 in the Gregorian calendar.
fn civil(days: i64) -> (i64, i64, i64) {
    // In eras of 400 years that begin in March, so that the leap day comes last.
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// A name as text of a page: no markup in it, and control characters visible.
pub(crate) fn escaped(name: &[u8]) -> String {
    let mut out = String::with_capacity(name.len());
    for c in String::from_utf8_lossy(name).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// A string of JSON, with its quotes. Bytes that are no UTF-8 are replaced.
pub(crate) fn json(text: &[u8]) -> String {
    let text: Cow<'_, str> = String::from_utf8_lossy(text);
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            // Beyond what JSON asks for: `<`, so that the text is harmless within a page, and what ends lines in old scripts.
            '<' | '\u{2028}' | '\u{2029}' | '\0'..=' ' if c != ' ' => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes() {
        for (bytes, want) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (10_188, "9.9 KiB"),
            (10_239, "10 KiB"),
            (12 << 20, "12 MiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (u64::MAX, "16 EiB"),
        ] {
            assert_eq!(size(bytes), want, "{bytes}");
        }
    }

    #[test]
    fn times() {
        for (unix, want) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_000_000, "2026-11-18T11:06:40Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(timestamp(unix), want);
        }
        timestamp(i64::MAX / 2);
        timestamp(i64::MIN / 2);
    }

    proptest! {
        #[test]
        fn times_are_those_of_http(unix in 0u64..253_402_300_800) {
            let text = timestamp(unix as i64);
            let http = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(unix));
            prop_assert_eq!(&text[11..19], &http[17..25]);
            prop_assert_eq!((&text[..4], &text[8..10]), (&http[12..16], &http[5..7]));
        }

        #[test]
        fn no_markup_gets_through(name in proptest::collection::vec(any::<u8>(), 0..40)) {
            let text = escaped(&name);
            prop_assert!(!text.contains(['<', '>', '"', '\'', '\n', '\0']));
            let json = json(&name);
            prop_assert!(!json.contains('<') && json.chars().all(|c| c >= ' '));
            let inner = &json[1..json.len() - 1];
            prop_assert!(!inner.replace("\\\\", "").replace("\\\"", "").contains('"'));
        }
    }
}
