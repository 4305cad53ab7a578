//! Figures as people read them; the reports and all sentences use these.

/// A whole number with its thousands apart: `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number of any size with three digits or more, and no more decimals than they need: `12.3`, `0.05`, `20,000`.
pub fn figure(number: f64) -> String {
    if !number.is_finite() {
        return "-".to_owned();
    }
    if number.abs() >= 100.0 || number == number.trunc() {
        let sign = if number < 0.0 { "-" } else { "" };
        return format!("{sign}{}", count(number.abs().round() as u64));
    }
    let decimals = if number.abs() >= 10.0 {
        1
    } else if number.abs() >= 1.0 {
        2
    } else {
        3
    };
    let text = format!("{number:.decimals$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A time: `850 ns`, `12.3 µs`, `4.56 ms`, `1.20 s`, `2 min 5 s`.
pub fn time(ns: u64) -> String {
    let ns = ns as f64;
    // The bounds are those that still round to three digits of the smaller unit.
    match ns {
        _ if ns < 999.5 => format!("{ns} ns"),
        _ if ns < 999.5e3 => digits(ns / 1e3, "µs"),
        _ if ns < 999.5e6 => digits(ns / 1e6, "ms"),
        _ if ns < 99.95e9 => digits(ns / 1e9, "s"),
        _ => {
            let seconds = (ns / 1e9).round() as u64;
            let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
            match (hours, minutes, seconds) {
                (0, _, 0) => format!("{minutes} min"),
                (0, _, _) => format!("{minutes} min {seconds} s"),
                (_, 0, _) => format!("{hours} h"),
                _ => format!("{hours} h {minutes} min"),
            }
        }
    }
}

fn digits(number: f64, unit: &str) -> String {
    let decimals = if number < 9.995 {
        2
    } else if number < 99.95 {
        1
    } else {
        0
    };
    format!("{number:.decimals$} {unit}")
}

/// A size: `512 B`, `1.50 KiB`, `12.3 MiB`.
pub fn bytes(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut size = bytes as f64 / 1024.0;
    let mut units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    for larger in units {
        if size < 999.5 {
            break;
        }
        size /= 1024.0;
        unit = larger;
    }
    digits(size, unit)
}

/// A share as a percentage: `7 %`, `0.3 %`, `0.05 %`.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let text = match percent.abs() {
        p if p >= 9.95 => format!("{percent:.0}"),
        p if p >= 0.995 => format!("{percent:.1}"),
        _ => format!("{percent:.2}"),
    };
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{} %", if text == "-0" { "0" } else { text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_figures() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.0, 0.05, 1.5, 12.34, 99.96, 20_000.0].map(figure), ["0", "0.05", "1.5", "12.3", "100", "20,000"]);
        assert_eq!([-0.5, -1_234.0, 1e6, f64::NAN].map(figure), ["-0.5", "-1,234", "1,000,000", "-"]);
    }

    #[test]
    fn times() {
        assert_eq!([0, 850, 1_000, 12_340, 999_600].map(time), ["0 ns", "850 ns", "1.00 µs", "12.3 µs", "1.00 ms"]);
        assert_eq!([4_560_000, 1_200_000_000, 125_000_000_000].map(time), ["4.56 ms", "1.20 s", "2 min 5 s"]);
        assert_eq!([3_600_000_000_000, 120_000_000_000].map(time), ["1 h", "2 min"]);
    }

    #[test]
    fn sizes_and_shares() {
        assert_eq!([0, 1_023, 1_536, 12_900_000].map(bytes), ["0 B", "1023 B", "1.50 KiB", "12.3 MiB"]);
        assert_eq!(bytes(u64::MAX), "16.0 EiB");
        assert_eq!(
            [0.07, 0.003, 0.0005, 0.5, -0.123, 0.0].map(percent),
            ["7 %", "0.3 %", "0.05 %", "50 %", "-12 %", "0 %"]
        );
    }
}
