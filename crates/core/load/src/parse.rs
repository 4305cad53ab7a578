//! Rates, durations, sizes and counts as people write them on a command line.

use std::fmt;

use thiserror::Error;

use crate::rate::{Rate, RatePlan};
use crate::words;

/// Why a text is not what it should be, in a sentence that says what would be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct BadText(String);

impl BadText {
    pub(crate) fn new(sentence: impl Into<String>) -> BadText {
        BadText(sentence.into())
    }
}

/// A rate, or how it changes.
#[derive(Clone, Debug, PartialEq)]
pub enum RateText {
    /// `20k/s`: one rate.
    Constant(Rate),
    /// `1k..50k`: from one to the other, evenly.
    Ramp(Rate, Rate),
    /// `1k,2k,4k`: one after the other, each as long as the others.
    Steps(Vec<Rate>),
}

impl RateText {
    /// The plan over a run of `span_ns`; `None` for a run without end, in which a constant rate goes on, and a ramp or
    /// steps cannot be laid out.
    pub fn plan(&self, span_ns: Option<u64>) -> Option<RatePlan> {
        match (self, span_ns) {
            (RateText::Constant(rate), None) => Some(RatePlan::constant(*rate)),
            (RateText::Constant(rate), Some(span_ns)) => Some(RatePlan::steps(&[*rate], span_ns)),
            (RateText::Ramp(from, to), Some(span_ns)) => Some(RatePlan::ramp(*from, *to, span_ns)),
            (RateText::Steps(rates), Some(span_ns)) => {
                Some(RatePlan::steps(rates, span_ns / rates.len().max(1) as u64))
            }
            (RateText::Ramp(..) | RateText::Steps(_), None) => None,
        }
    }

    /// What to show for this rate over a span: `from 1,000/s to 50,000/s over 10.0 s`.
    pub fn over(&self, span_ns: Option<u64>) -> String {
        match (self, span_ns) {
            (RateText::Ramp(..), Some(span_ns)) => format!("{self} over {}", words::time(span_ns)),
            (RateText::Steps(rates), Some(span_ns)) => {
                format!("{self}, {} each", words::time(span_ns / rates.len().max(1) as u64))
            }
            _ => self.to_string(),
        }
    }

    /// The highest rate in it.
    pub fn peak(&self) -> Rate {
        match self {
            RateText::Constant(rate) => *rate,
            RateText::Ramp(from, to) => higher(*from, *to),
            RateText::Steps(rates) => rates.iter().copied().fold(Rate::MIN, higher),
        }
    }
}

impl fmt::Display for RateText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RateText::Constant(rate) => rate.fmt(f),
            RateText::Ramp(from, to) => write!(f, "from {from} to {to}"),
            RateText::Steps(rates) => {
                let rates: Vec<String> = rates.iter().map(Rate::to_string).collect();
                write!(f, "steps of {}", rates.join(", "))
            }
        }
    }
}

fn higher(a: Rate, b: Rate) -> Rate {
    if a < b { b } else { a }
}

/// A rate: `20000/s`, `20k/s`, `1.5k`, `300/min`.
pub fn rate(text: &str) -> Result<Rate, BadText> {
    let trimmed = text.trim();
    let (number, per) = match trimmed.split_once('/') {
        None => (trimmed, 1.0),
        Some((number, "s")) => (number, 1.0),
        Some((number, "min" | "m")) => (number, 60.0),
        Some((_, unit)) => {
            return Err(BadText::new(format!(
                "`{text}` is no rate: behind the slash stands `s` or `min`, not `{unit}`"
            )));
        }
    };
    let number = scaled(number)
        .ok_or_else(|| BadText::new(format!("`{text}` is no rate: write it as `20000/s`, `20k/s` or `300/min`")))?;
    Rate::new(number / per).ok_or_else(|| {
        let range = format!("{} to {}", Rate::MIN, Rate::MAX);
        BadText::new(format!("`{text}` is out of range: rates go from {range}"))
    })
}

/// A rate, a ramp or steps: `20k/s`, `1k..50k`, `1k,2k,4k`. A `/s` or `/min` at the end counts for all of it.
pub fn rates(text: &str) -> Result<RateText, BadText> {
    let (list, unit) = match text.trim().split_once('/') {
        Some((list, unit)) => (list, format!("/{unit}")),
        None => (text.trim(), String::new()),
    };
    let one = |part: &str| rate(&format!("{}{unit}", part.trim()));
    if let Some((from, to)) = list.split_once("..") {
        return Ok(RateText::Ramp(one(from)?, one(to)?));
    }
    if list.contains(',') {
        return list.split(',').map(one).collect::<Result<_, _>>().map(RateText::Steps);
    }
    rate(text).map(RateText::Constant)
}

/// A duration in nanoseconds: `500us`, `5ms`, `1.5s`, `2m`, `1h`; 0 needs no unit.
pub fn duration_ns(text: &str) -> Result<u64, BadText> {
    let trimmed = text.trim();
    let (number, unit) = split(trimmed);
    let unit_ns = match unit {
        "ns" => 1.0,
        "us" | "µs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" | "min" => 60e9,
        "h" => 3_600e9,
        "" if number == "0" => 1.0,
        "" if plain(number).is_some() => {
            return Err(BadText::new(format!("`{text}` has no unit: did you mean `{number}s`?")));
        }
        _ => return Err(BadText::new(format!("`{text}` is no duration: the units are ns, us, ms, s, m and h"))),
    };
    let number = plain(number)
        .ok_or_else(|| BadText::new(format!("`{text}` is no duration: write it as `500us`, `5ms`, `1.5s` or `2m`")))?;
    let ns = number * unit_ns;
    // A hundred years; beyond, sums of durations could overflow.
    if ns > 3.2e18 {
        return Err(BadText::new(format!("`{text}` is longer than a hundred years")));
    }
    Ok(ns.round() as u64)
}

/// A size in bytes: `64`, `64B`, `16KiB`, `1MiB`, `1GiB`.
pub fn size(text: &str) -> Result<u64, BadText> {
    let (number, unit) = split(text.trim());
    let shift = match unit {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => {
            let first = unit.chars().next().unwrap_or_default().to_ascii_uppercase();
            let hint = match first {
                'K' | 'M' | 'G' => format!("did you mean `{number}{first}iB`?"),
                _ => "the units are B, KiB, MiB and GiB".to_owned(),
            };
            return Err(BadText::new(format!("`{text}` is no size: {hint}")));
        }
    };
    number.parse::<u64>().ok().and_then(|n| n.checked_mul(1 << shift)).ok_or_else(|| {
        BadText::new(format!("`{text}` is no size: write a whole number, as in `64`, `16KiB` or `1MiB`"))
    })
}

/// A count: `100000`, `100k`, `1M`.
pub fn count(text: &str) -> Result<u64, BadText> {
    match scaled(text.trim()) {
        Some(number) if number.fract() == 0.0 && number < 9e15 => Ok(number as u64),
        _ => Err(BadText::new(format!("`{text}` is no count: write a whole number, as in `500`, `10k` or `1M`"))),
    }
}

/// A share, 0 to 1: `0.1%`, `5%`.
pub(crate) fn share(text: &str) -> Option<f64> {
    let percent = plain(text.trim().strip_suffix('%')?.trim())?;
    (percent <= 100.0).then_some(percent / 100.0)
}

/// A number with `k` or `M` behind it, or none.
fn scaled(text: &str) -> Option<f64> {
    let (number, unit) = split(text);
    let scale = match unit {
        "" => 1.0,
        "k" | "K" => 1e3,
        "M" => 1e6,
        _ => return None,
    };
    // Rounded, since 1.1k is not 1100.0000000000002.
    plain(number).map(|n| (n * scale * 1e6).round() / 1e6)
}

/// Digits with at most one point among them; no sign, no exponent, no `inf`.
fn plain(text: &str) -> Option<f64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.') && text.len() <= 18;
    if digits && text.bytes().any(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// Where the number ends and the unit begins.
fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

#[cfg(test)]
mod tests;
