//! Durations, sizes and rates as text.

use std::time::Duration;

/// Why a text is no duration, size or rate, and what might have been meant.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadUnit {
    pub(crate) hint: Option<String>,
}

fn bad(hint: impl Into<String>) -> BadUnit {
    BadUnit { hint: Some(hint.into()) }
}

/// `250ms`, `10s`, `2m`, `1h`, `7d`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, BadUnit> {
    let (number, unit) = split(text);
    let millis: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(duration_hint(number, unit)),
    };
    let millis = whole(number)?.checked_mul(millis).ok_or_else(|| bad("that is longer than can be counted"))?;
    Ok(Duration::from_millis(millis))
}

fn duration_hint(number: &str, unit: &str) -> BadUnit {
    let meant = match unit.trim().to_ascii_lowercase().as_str() {
        "" => "s",
        "msec" | "msecs" | "millis" | "milliseconds" => "ms",
        "s" | "sec" | "secs" | "second" | "seconds" => "s",
        "min" | "mins" | "minute" | "minutes" => "m",
        "h" | "hour" | "hours" | "hr" => "h",
        "d" | "day" | "days" => "d",
        _ => return bad("the units are ms, s, m, h and d"),
    };
    match number {
        "" => bad("a number comes before the unit"),
        _ => bad(format!("did you mean `\"{number}{meant}\"`?")),
    }
}

/// `16KiB`, `10MiB`, `256B`, `0`.
pub(crate) fn parse_size(text: &str) -> Result<u64, BadUnit> {
    let (number, unit) = split(text);
    let shift = match unit {
        "" if number == "0" => 0,
        "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return Err(size_hint(number, unit)),
    };
    whole(number)?.checked_mul(1 << shift).ok_or_else(|| bad("that is more than can be counted"))
}

fn size_hint(number: &str, unit: &str) -> BadUnit {
    let meant = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" | "byte" | "bytes" => "B",
        "k" | "kb" | "kib" => "KiB",
        "m" | "mb" | "mib" => "MiB",
        "g" | "gb" | "gib" => "GiB",
        "t" | "tb" | "tib" => "TiB",
        _ => return bad("the units are B, KiB, MiB, GiB and TiB"),
    };
    match number {
        "" => bad("a number comes before the unit"),
        _ => bad(format!("did you mean `\"{number}{meant}\"`?")),
    }
}

/// `256B/s`, `1KiB/s`, `0`: bytes a second.
pub(crate) fn parse_byte_rate(text: &str) -> Result<u64, BadUnit> {
    match text.strip_suffix("/s") {
        Some(size) => parse_size(size).map_err(|error| match error.hint {
            Some(hint) => bad(hint.replace("\"`", "/s\"`")),
            None => error,
        }),
        None if text == "0" => Ok(0),
        None if parse_size(text).is_ok() => Err(bad(format!("did you mean `\"{text}/s\"`?"))),
        None => Err(bad("a size, then `/s`")),
    }
}

/// The digits in front, and what follows them.
fn split(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len()))
}

fn whole(number: &str) -> Result<u64, BadUnit> {
    if number.contains('.') {
        return Err(bad("write a whole number, of a smaller unit if need be"));
    }
    if number.is_empty() {
        return Err(bad("a number comes before the unit"));
    }
    number.parse().map_err(|_| bad("that is more than can be counted"))
}

/// A size as [`parse_size`] reads it, in the largest unit that fits.
pub(crate) fn format_size(bytes: u64) -> String {
    for (shift, unit) in [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")] {
        if bytes >= 1 << shift && bytes.is_multiple_of(1 << shift) {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    format!("{bytes}B")
}

/// A duration as [`parse_duration`] reads it, in the largest unit that fits.
pub(crate) fn format_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis == 0 {
        return "0s".to_owned();
    }
    for (unit, length) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)] {
        if millis >= length && millis.is_multiple_of(length) {
            return format!("{}{unit}", millis / length);
        }
    }
    format!("{millis}ms")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, millis) in
            [("250ms", 250), ("10s", 10_000), ("2m", 120_000), ("1h", 3_600_000), ("0s", 0), ("1d", 86_400_000)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)));
        }
        for (text, hint) in [
            ("10", "did you mean `\"10s\"`?"),
            ("10 s", "did you mean `\"10s\"`?"),
            ("5min", "did you mean `\"5m\"`?"),
            ("1.5s", "write a whole number, of a smaller unit if need be"),
            ("s", "a number comes before the unit"),
            ("", "a number comes before the unit"),
            ("-1s", "the units are ms, s, m, h and d"),
            ("99999999999999999999s", "that is more than can be counted"),
            ("9999999999999999999h", "that is longer than can be counted"),
        ] {
            assert_eq!(parse_duration(text).unwrap_err().hint.as_deref(), Some(hint), "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in
            [("0", 0), ("256B", 256), ("16KiB", 16 << 10), ("10MiB", 10 << 20), ("1GiB", 1 << 30), ("2TiB", 2 << 40)]
        {
            assert_eq!(parse_size(text), Ok(bytes));
        }
        for (text, hint) in [
            ("16KB", "did you mean `\"16KiB\"`?"),
            ("16k", "did you mean `\"16KiB\"`?"),
            ("1024", "did you mean `\"1024B\"`?"),
            ("1.5MiB", "write a whole number, of a smaller unit if need be"),
            ("many", "the units are B, KiB, MiB, GiB and TiB"),
            ("99999999TiB", "that is more than can be counted"),
        ] {
            assert_eq!(parse_size(text).unwrap_err().hint.as_deref(), Some(hint), "{text}");
        }
    }

    #[test]
    fn rates() {
        assert_eq!(parse_byte_rate("256B/s"), Ok(256));
        assert_eq!(parse_byte_rate("1KiB/s"), Ok(1024));
        assert_eq!(parse_byte_rate("0"), Ok(0));
        for (text, hint) in [
            ("256B", "did you mean `\"256B/s\"`?"),
            ("256/s", "did you mean `\"256B/s\"`?"),
            ("1kb/s", "did you mean `\"1KiB/s\"`?"),
            ("fast", "a size, then `/s`"),
        ] {
            assert_eq!(parse_byte_rate(text).unwrap_err().hint.as_deref(), Some(hint), "{text}");
        }
    }

    #[test]
    fn what_is_formatted_reads_the_same() {
        for bytes in [0, 1, 1023, 1024, 1536, 10 << 20, 3 << 30, u64::MAX] {
            assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
        }
        for millis in [0, 1, 250, 1000, 90_000, 3_600_000, 86_400_000] {
            let duration = Duration::from_millis(millis);
            assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }
    }
}
