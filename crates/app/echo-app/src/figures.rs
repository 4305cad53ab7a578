//! Sums over the workers, and figures as text.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use clock::HttpDate;
use echo_service::{Distribution, Tally};
use observe::Counter;

/// What all workers counted up to some moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sums {
    pub(crate) open: u64,
    pub(crate) pending: u64,
    pub(crate) requests: u64,
    pub(crate) bytes: u64,
    pub(crate) shed: u64,
    pub(crate) latency: Distribution,
}

impl Sums {
    pub(crate) fn of(tallies: &[Arc<Tally>]) -> Sums {
        let mut latency = Distribution::default();
        tallies.iter().for_each(|tally| latency.add(&tally.latency.snapshot()));
        Sums {
            open: sum(tallies, |t| &t.open),
            pending: sum(tallies, |t| &t.pending),
            requests: sum(tallies, |t| &t.requests),
            bytes: sum(tallies, |t| &t.bytes),
            shed: sum(tallies, |t| &t.shed),
            latency,
        }
    }
}

fn sum(tallies: &[Arc<Tally>], counter: impl Fn(&Tally) -> &Counter) -> u64 {
    tallies.iter().map(|tally| counter(tally).value()).sum()
}

/// The last words: all that happened since the beginning.
pub(crate) fn totals(tallies: &[Arc<Tally>], elapsed: Duration) -> String {
    let of = |counter: fn(&Tally) -> &Counter| sum(tallies, counter);
    let sums = Sums::of(tallies);
    let seconds = elapsed.as_secs_f64();
    let mut text = format!("totals after {seconds:.1} s\n  connections  {} accepted", grouped(of(|t| &t.accepted)));
    let ends = [
        ("ended by their clients", of(|t| &t.finished)),
        ("broken", of(|t| &t.broken)),
        ("closed as idle", of(|t| &t.idle)),
        ("closed at the stop", of(|t| &t.stopped)),
        ("cut at the stop", of(|t| &t.cut)),
        ("shed for want of descriptors", of(|t| &t.shed)),
    ];
    for (what, count) in ends.into_iter().filter(|(_, count)| *count > 0) {
        // Writing to a string cannot fail.
        let _ = write!(text, ", {} {what}", grouped(count));
    }
    let rate = |count: u64| grouped((count as f64 / seconds.max(0.001)) as u64);
    let (requests, bytes) = (sums.requests, sums.bytes);
    let _ = write!(text, "\n  requests     {} ({}/s)", grouped(requests), rate(requests));
    let _ = writeln!(text, "\n  bytes        {} ({}/s)", grouped(bytes), rate(bytes));
    if let Some(latency) = quantiles(&sums.latency) {
        let _ = writeln!(text, "  latency      {latency} from readable to written");
    }
    text
}

/// "p50 12.3 us  p99 45.6 us"; none when nothing was measured.
pub(crate) fn quantiles(latency: &Distribution) -> Option<String> {
    let (p50, p99) = (latency.quantile(0.5)?, latency.quantile(0.99)?);
    Some(format!("p50 {}  p99 {}", time(p50), time(p99)))
}

/// Nanoseconds with three digits and a unit.
fn time(nanos: u64) -> String {
    let (figure, unit) = match nanos {
        0..1_000_000 => (nanos as f64 / 1e3, "us"),
        1_000_000..1_000_000_000 => (nanos as f64 / 1e6, "ms"),
        _ => (nanos as f64 / 1e9, "s"),
    };
    match figure {
        100.0.. => format!("{figure:.0} {unit}"),
        10.0.. => format!("{figure:.1} {unit}"),
        _ => format!("{figure:.2} {unit}"),
    }
}

/// `250ms`, `30s`, `5m`, `2h`.
pub(crate) fn duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    let units = [("h", 3_600_000), ("m", 60_000), ("s", 1000)];
    let unit = units.into_iter().find(|(_, length)| millis.is_multiple_of(*length));
    unit.map_or(format!("{millis}ms"), |(unit, length)| format!("{}{unit}", millis / length))
}

/// 1234567 as `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `2026-01-31T12:34:56Z`.
pub(crate) fn timestamp(unix: u64) -> String {
    let date = HttpDate::at(unix);
    // An IMF-fixdate has its parts at fixed places: `Sun, 06 Nov 1994 08:49:37 GMT`.
    let text = std::str::from_utf8(date.as_bytes()).unwrap_or_default();
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = months.iter().position(|m| *m == &text[8..11]).unwrap_or(0) + 1;
    format!("{}-{month:02}-{}T{}Z", &text[12..16], &text[5..7], &text[17..25])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [12, 1_500, 23_456, 999_000, 1_500_000, 2_000_000_000].map(time),
            ["0.01 us", "1.50 us", "23.5 us", "999 us", "1.50 ms", "2.00 s"]
        );
        let durations = [1, 1500, 90_000, 300_000, 7_200_000].map(|ms| duration(Duration::from_millis(ms)));
        assert_eq!(durations, ["1ms", "1500ms", "90s", "5m", "2h"]);
        assert_eq!(timestamp(784_111_777), "1994-11-06T08:49:37Z");
    }

    #[test]
    fn totals_name_what_happened_and_nothing_else() {
        let tallies: Vec<Arc<Tally>> = (0..2).map(|_| Arc::default()).collect();
        tallies[0].accepted.add(1000);
        tallies[1].accepted.add(500);
        tallies[1].finished.add(1500);
        tallies[0].requests.add(3000);
        tallies[0].bytes.add(192_000);
        assert_eq!(
            totals(&tallies, Duration::from_secs(2)),
            "totals after 2.0 s\n  connections  1,500 accepted, 1,500 ended by their clients\n  requests     3,000 (1,500/s)\n  \
             bytes        192,000 (96,000/s)\n"
        );
    }
}
