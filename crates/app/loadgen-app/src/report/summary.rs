//! The summary at the end of a run.

use load::{Counts, Example, Latency, Run, words};

use super::bars::histogram;
use super::text::{left, packed, printable, right, wrapped};
use super::{PERCENTILES, judged, percentile_name, percentile_text};

/// How the summary is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SummaryStyle {
    /// Whether the terminal shows ANSI colours.
    pub color: bool,
}

/// Columns of the page; no terminal is narrower in earnest.
const WIDTH: usize = 100;
/// Columns of the names on the left.
const NAME: usize = 14;
/// Targets that are listed.
const TARGETS_MAX: usize = 16;

/// The summary of a finished run, for a terminal: verdict, counts, errors in words, times, a histogram.
pub fn summary(run: &Run, style: &SummaryStyle) -> String {
    let mut page = Page { out: String::new(), style: *style };
    page.settings(run);
    page.verdict(run);
    page.counts(run);
    page.errors(run);
    page.times(run);
    page.targets(run);
    page.picture(run);
    page.out
}

struct Page {
    out: String,
    style: SummaryStyle,
}

impl Page {
    fn settings(&mut self, run: &Run) {
        let settings = &run.settings;
        self.line(&format!("{} measured", printable(&run.program, 60)));
        for target in settings.targets.iter().take(TARGETS_MAX) {
            self.line(&format!("  {}", printable(target, WIDTH - 2)));
        }
        if settings.targets.len() > TARGETS_MAX {
            self.line(&format!("  and {} more", words::count((settings.targets.len() - TARGETS_MAX) as u64)));
        }
        let kind = if run.asked_nothing() {
            "no requests"
        } else if settings.slow {
            "slow peers"
        } else if settings.open_loop {
            "open loop (by a schedule)"
        } else {
            "closed loop (as fast as answers come)"
        };
        self.line(&format!("  {kind}, {}", counted(u64::from(settings.workers), "worker")));
        let pair = |(name, value): &(String, String)| format!("{}: {}", printable(name, 40), printable(value, 90));
        packed(settings.words.iter().map(pair), WIDTH - 2, "   ")
            .iter()
            .for_each(|line| self.line(&format!("  {line}")));
        self.line("");
    }

    fn verdict(&mut self, run: &Run) {
        let (good, word, reason) = judged(run);
        let color = if good { "32" } else { "1;31" };
        let word = if self.style.color { format!("\x1b[{color}m{word}\x1b[0m") } else { word.to_owned() };
        self.line(&format!("{word}: {reason}"));
        self.findings(run.verdict.invalid.iter().map(|f| f.sentence.as_str()));
        self.findings(run.verdict.notes.iter().map(|f| f.sentence.as_str()));
        self.line("");
    }

    fn findings<'a>(&mut self, sentences: impl Iterator<Item = &'a str>) {
        for sentence in sentences {
            for (place, line) in wrapped(&printable(sentence, 1_000), WIDTH - 4).into_iter().enumerate() {
                self.line(&format!("  {} {line}", if place == 0 { "-" } else { " " }));
            }
        }
    }

    fn counts(&mut self, run: &Run) {
        let (totals, settings) = (&run.totals, &run.settings);
        let per_second = |bytes: u64| words::bytes((bytes as f64 / run.seconds().max(1e-9)) as u64);
        let size = |bytes: u64| format!("{}  ({}/s)", words::bytes(bytes), per_second(bytes));
        let interrupted = run.interrupted.as_ref().map(|came| format!("  (interrupted after {})", printable(came, 60)));
        self.row("total time", &format!("{}{}", words::time(run.elapsed_ns), interrupted.unwrap_or_default()));
        let asked = !run.asked_nothing();
        if asked {
            self.row("requests", &requests(run));
            self.row("requests/s", &rate(run));
        }
        let connections =
            [(settings.connections, "asked for"), (totals.connected, "made"), (run.open_max, "open at once")];
        let connections = connections.map(|(n, what)| format!("{} {what}", words::count(n)));
        self.row("connections", &connections.join(", "));
        if totals.handshakes > 0 {
            self.row("TLS", &handshakes(totals));
        }
        if asked {
            self.row("concurrency", &words::count(settings.concurrency));
        }
        self.row("received", &size(totals.bytes_in));
        self.row("sent", &size(totals.bytes_out));
        let statuses: Vec<String> = totals
            .statuses
            .sorted()
            .iter()
            .map(|(status, count)| format!("{status}: {}", words::count(*count)))
            .collect();
        if !statuses.is_empty() {
            self.row("statuses", &statuses.join("   "));
        }
    }

    fn errors(&mut self, run: &Run) {
        let errors = &run.totals.errors;
        if errors.total() == 0 {
            return self.row("errors", "none");
        }
        let share = errors.total() as f64 / (errors.total() + run.totals.answered) as f64;
        self.row("errors", &format!("{} ({})", words::count(errors.total()), words::percent(share)));
        for (kind, count) in errors.iter() {
            let example = run.totals.examples.iter().find(|e| e.kind == kind && !e.text.is_empty());
            // Where an example has no more to say than the kind itself, only the place is left.
            let text = |e: &Example| e.text.trim_end_matches(kind.words()).trim_end_matches(": ").to_owned();
            let example = example.map_or(String::new(), |e| format!("  {}", printable(&text(e), 70)));
            let line = format!("  {}  {}{example}", right(&words::count(count), NAME - 4), left(kind.words(), 36));
            self.line(line.trim_end());
        }
    }

    fn times(&mut self, run: &Run) {
        let totals = &run.totals;
        let mut columns: Vec<(&str, &Latency)> = Vec::new();
        if !totals.service.is_empty() {
            columns.push(("service", &totals.service));
        }
        if !totals.response.is_empty() {
            columns.insert(0, ("response", &totals.response));
        }
        if !totals.connect.is_empty() {
            columns.push(("connect", &totals.connect));
        }
        if columns.is_empty() {
            return;
        }
        self.line("");
        let head: Vec<String> = columns.iter().map(|(name, _)| right(name, 10)).collect();
        self.row("time", head.join("  ").as_str());
        let mut row = |name: &str, value: &dyn Fn(&Latency) -> String| {
            let cells: Vec<String> = columns.iter().map(|(_, l)| right(&value(l), 10)).collect();
            self.row(name, cells.join("  ").as_str());
        };
        row("average", &|l| words::time(l.mean_ns().round() as u64));
        for percent in PERCENTILES {
            row(&percentile_name(percent), &|l| percentile_text(l, percent));
        }
        if !totals.response.is_empty() {
            let note = "Response time counts from the planned send, service time from the send itself: what lies between is \
                        waiting that a closed loop would not have seen.";
            self.line("");
            wrapped(note, WIDTH - 2).iter().for_each(|line| self.line(&format!("  {line}")));
        }
    }

    /// The targets one by one, where they were told apart.
    fn targets(&mut self, run: &Run) {
        if run.totals.targets.iter().all(|target| target.answered + target.failed == 0) {
            return;
        }
        const URL: usize = 52;
        self.line("");
        let head = ["answered", "errors", "p50", "p99"].map(|name| right(name, 11)).concat();
        self.line(&format!("  {}{head}", left("by URL", URL)));
        for (counts, target) in run.totals.targets.iter().zip(&run.settings.targets) {
            let times = [50.0, 99.0].map(|percent| percentile_text(&counts.time, percent));
            let cells = [words::count(counts.answered), words::count(counts.failed)].into_iter().chain(times);
            let cells: String = cells.map(|cell| right(&cell, 11)).collect();
            self.line(&format!("  {}{cells}", left(&printable(target, URL - 2), URL)));
        }
    }

    fn picture(&mut self, run: &Run) {
        let latency = run.totals.headline();
        if latency.is_empty() {
            return;
        }
        let name = if run.totals.response.is_empty() { "service" } else { "response" };
        self.line("");
        self.line(&format!("  {name} time, share of the answers"));
        histogram(latency, 12, 48).iter().for_each(|line| self.line(&format!("  {line}")));
    }

    fn row(&mut self, name: &str, value: &str) {
        self.line(&format!("  {}{value}", left(name, NAME)));
    }

    fn line(&mut self, line: &str) {
        self.out.push_str(line);
        self.out.push('\n');
    }
}

/// How TLS connections began.
pub(super) fn handshakes(counts: &Counts) -> String {
    let full = counted(counts.handshakes.saturating_sub(counts.resumed), "full handshake");
    format!("{full}, {} resumed", counted(counts.resumed, "session"))
}

/// What became of the requests.
fn requests(run: &Run) -> String {
    let totals = &run.totals;
    let mut text = format!("{} answered", words::count(totals.answered));
    if run.settings.open_loop && totals.planned > totals.answered {
        text += &format!(" of {} planned", words::count(totals.planned));
    } else if totals.sent > totals.answered {
        text += &format!(" of {} sent", words::count(totals.sent));
    }
    if run.in_flight_at_end > 0 {
        text += &format!(", {} under way at the end", words::count(run.in_flight_at_end));
    }
    if run.backlog_at_end > 0 {
        text += &format!(", {} never sent for want of a free connection", words::count(run.backlog_at_end));
    }
    text
}

fn rate(run: &Run) -> String {
    let rate = words::figure(run.answered_per_second());
    match run.answered_per_cpu_second() {
        Some(per_cpu) => format!("{rate}  ({} for each second of the generator's CPU time)", words::figure(per_cpu)),
        None => rate,
    }
}

/// A number and its noun: `1 worker`, `2 workers`.
pub(crate) fn counted(number: u64, name: &str) -> String {
    format!("{} {name}{}", words::count(number), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn an_open_loop_shows_both_times_and_everything_that_was_counted() {
        let text = summary(&sample::open_loop(), &SummaryStyle::default());
        for part in [
            "VALID: the target was measured, not the generator",
            "total time    10.0 s",
            "requests      99,950 answered of 100,000 planned",
            "requests/s    9,995  (24,988 for each second of the generator's CPU time)",
            "connections   100 asked for, 100 made",
            "concurrency   100",
            "statuses      200: 99,950   503: 20",
            "errors        50 (0.05 %)",
            "connection reset                      Connection reset by peer (os error 104)",
            "  time            response     service     connect",
            "  p99.9  ",
            "response time, share of the answers",
        ] {
            assert!(text.contains(part), "{part:?} is missing in\n{text}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= 110 && line.trim_end() == line), "{text}");
    }

    #[test]
    fn an_interruption_and_tls_handshakes_are_told() {
        let mut run = sample::open_loop();
        run.interrupted = Some("10.0 s of 60.0 s".to_owned());
        (run.totals.handshakes, run.totals.resumed) = (100, 1);
        run.totals.examples[0].text = "http://a/: connection reset".to_owned();
        run.finish(&load::validity::Rules::default());
        let text = summary(&run, &SummaryStyle::default());
        for part in [
            "  - The run was interrupted after 10.0 s of 60.0 s",
            "total time    10.0 s  (interrupted after 10.0 s of 60.0 s)",
            "TLS           99 full handshakes, 1 session resumed",
            "connection reset                      http://a/\n",
        ] {
            assert!(text.contains(part), "{part:?} is missing in\n{text}");
        }
        assert!(!summary(&sample::open_loop(), &SummaryStyle::default()).contains("TLS"));
    }

    #[test]
    fn a_closed_loop_shows_service_time_only_and_says_what_it_hides() {
        let text = summary(&sample::closed_loop(), &SummaryStyle::default());
        assert!(
            text.contains("closed loop (as fast as answers come)") && text.contains("- Closed loop: each connection")
        );
        assert!(!text.contains("response"), "{text}");
        assert!(text.contains("errors        none"));
    }

    #[test]
    fn several_targets_are_told_apart() {
        let text = summary(&sample::two_targets(), &SummaryStyle::default());
        let row = |target: &str| text.lines().rev().find(|line| line.contains(target)).unwrap().split_whitespace();
        assert_eq!(row("http://a/").nth(1), Some("99,950"));
        assert_eq!(row("http://b/").skip(1).collect::<Vec<_>>(), ["0", "50", "-", "-"]);
        assert!(!summary(&sample::closed_loop(), &SummaryStyle::default()).contains("by URL"));
    }

    #[test]
    fn an_invalid_run_says_so_before_any_figure() {
        let text = summary(&sample::invalid(), &SummaryStyle { color: true });
        let verdict = text.find("\x1b[1;31mINVALID\x1b[0m: the generator was the limit").unwrap();
        assert!(verdict < text.find("requests/s").unwrap());
        assert!(text.contains("- The generator had no time left"));
    }

    #[test]
    fn nothing_from_outside_reaches_the_terminal_raw() {
        let text = summary(&sample::hostile(), &SummaryStyle::default());
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    }

    #[test]
    fn a_run_without_answers_has_no_table_of_times() {
        let text = summary(&sample::unanswered(), &SummaryStyle::default());
        assert!(
            text.contains("No request was answered") && text.contains("connection refused") && !text.contains("p99")
        );
    }
}
