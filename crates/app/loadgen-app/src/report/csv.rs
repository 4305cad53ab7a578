//! Tables for spreadsheets and scripts (RFC 4180).

use std::fmt::Write;

use load::{ErrorKind, Latency, Run};

use super::text::is_harmless;

/// The timeline, a row a second (or a few, in a run of more than 20 minutes): times in microseconds, of the answers of
/// that row. Closed loops have no response time: these columns are empty.
pub fn csv_seconds(run: &Run) -> String {
    let mut out = String::from(
        "at_s,seconds,planned,sent,answered,errors,answered_per_s,bytes_in,bytes_out,connected,open,in_flight,backlog",
    );
    for name in ["service", "response"] {
        for column in ["mean", "p50", "p90", "p99", "p99.9", "max"] {
            let _ = write!(out, ",{name}_{column}_us");
        }
    }
    out += ",send_lag_p99_us,cpu_share,run_queue_delay_us";
    for kind in ErrorKind::ALL {
        let _ = write!(out, ",errors_{}", kind.name());
    }
    out += ",marks\r\n";
    for row in &run.timeline {
        let counts = &row.counts;
        let _ = write!(
            out,
            "{:.3},{:.3},{},{},{}",
            row.at_ns as f64 / 1e9,
            row.seconds(),
            counts.planned,
            counts.sent,
            counts.answered
        );
        let _ = write!(
            out,
            ",{},{:.1},{},{}",
            counts.errors.total(),
            row.answered_per_second(),
            counts.bytes_in,
            counts.bytes_out
        );
        let _ = write!(out, ",{},{},{},{}", counts.connected, row.open, row.in_flight, row.backlog);
        times(&mut out, &counts.service);
        times(&mut out, &counts.response);
        time(&mut out, &counts.send_lag, |l| l.percentile_ns(99.0) as f64);
        let _ = write!(out, ",{:.4},{:.1}", row.health.cpu_share, row.health.run_queue_delay_ns as f64 / 1e3);
        for kind in ErrorKind::ALL {
            let _ = write!(out, ",{}", counts.errors.of(kind));
        }
        let _ = write!(out, ",{}\r\n", cell(&row.marks.join("; ")));
    }
    out
}

fn times(out: &mut String, latency: &Latency) {
    time(out, latency, Latency::mean_ns);
    for percent in [50.0, 90.0, 99.0, 99.9, 100.0] {
        time(out, latency, |l| l.percentile_ns(percent) as f64);
    }
}

fn time(out: &mut String, latency: &Latency, value: impl Fn(&Latency) -> f64) {
    out.push(',');
    if !latency.is_empty() {
        let _ = write!(out, "{:.1}", value(latency) / 1e3);
    }
}

/// The percentiles of the whole run, a row each, in microseconds: to the digit where the last answers are.
pub fn csv_percentiles(run: &Run) -> String {
    let totals = &run.totals;
    let mut out = String::from("percentile,service_us,response_us,answers_above\r\n");
    for percent in percentiles(totals.answered) {
        let above = (totals.answered as f64 * (1.0 - percent / 100.0)).floor() as u64;
        let _ = write!(out, "{percent}");
        time(&mut out, &totals.service, |l| l.percentile_ns(percent) as f64);
        time(&mut out, &totals.response, |l| l.percentile_ns(percent) as f64);
        let _ = write!(out, ",{above}\r\n");
    }
    out
}

/// Every percent, then finer towards 100 as long as an answer lies above.
fn percentiles(answers: u64) -> Vec<f64> {
    let mut list: Vec<f64> = (0..100).map(f64::from).collect();
    for digits in 1..=9 {
        let step = 10f64.powi(-digits);
        let start = 100.0 - 10.0 * step;
        for nth in 1..10 {
            // Through text, so that 99.93 is written with two digits.
            let percent: f64 =
                format!("{:.*}", digits as usize, start + f64::from(nth) * step).parse().unwrap_or(start);
            if (answers as f64) * (1.0 - percent / 100.0) >= 1.0 {
                list.push(percent);
            }
        }
    }
    list.push(100.0);
    list
}

/// A text as a cell: quoted, without control characters, and never taken for a formula.
fn cell(text: &str) -> String {
    let clean: String = text.chars().map(|c| if is_harmless(c) { c } else { ' ' }).collect();
    let formula = clean.starts_with(['=', '+', '-', '@']);
    let clean = if formula { format!("'{clean}") } else { clean };
    if clean.contains([',', '"', ';']) { format!("\"{}\"", clean.replace('"', "\"\"")) } else { clean }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn fields(line: &str) -> usize {
        // Commas outside of quotes.
        line.split('"').step_by(2).map(|part| part.matches(',').count()).sum::<usize>() + 1
    }

    #[test]
    fn a_row_a_second_with_as_many_fields_as_the_header() {
        for run in [sample::open_loop(), sample::closed_loop(), sample::unanswered(), sample::hostile()] {
            let text = csv_seconds(&run);
            let lines: Vec<&str> = text.split_terminator("\r\n").collect();
            assert_eq!(lines.len(), 11);
            assert!(lines.iter().all(|line| fields(line) == fields(lines[0])), "{text}");
            assert!(!text.replace("\r\n", "").contains(['\r', '\n', '\x1b']));
        }
        let text = csv_seconds(&sample::open_loop());
        assert!(text.contains("\r\n6.000,1.000,10000,10000,9995,5,9995.0,11994000,800000,0,100,0,0,"));
        assert!(text.contains(",reload\r\n"));
    }

    #[test]
    fn percentiles_become_finer_as_far_as_the_answers_reach() {
        let text = csv_percentiles(&sample::open_loop());
        assert!(text.starts_with("percentile,service_us,response_us,answers_above\r\n0,"));
        for name in ["\r\n50,", "\r\n99,", "\r\n99.9,", "\r\n99.93,", "\r\n99.998,", "\r\n100,"] {
            assert!(text.contains(name), "{name:?}");
        }
        assert!(!text.contains("99.9999"), "99,950 answers cannot show it");
        let row = text.lines().find(|l| l.starts_with("100,")).unwrap();
        assert!(row.ends_with(",0"));
    }

    #[test]
    fn cells_are_quoted_and_no_formulas() {
        assert_eq!(
            ["reload", "a,b", "say \"x\"", "=1+1", "\n-2"].map(cell),
            ["reload", "\"a,b\"", "\"say \"\"x\"\"\"", "'=1+1", " -2"]
        );
    }
}
