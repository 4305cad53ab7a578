//! The view of a run that is under way.

use std::collections::VecDeque;

use load::{Latency, Second, words};

use super::bars::{bar, sparkline};
use super::moment;
use super::text::{left, printable, right};

/// What the output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveStyle {
    /// Whether it is a terminal that takes ANSI sequences: the view is then drawn over again. Else each second is a line.
    pub ansi: bool,
    /// Columns of the terminal.
    pub width: u16,
}

/// When the run will be over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// After so long.
    Time {
        /// Nanoseconds of measuring.
        ns: u64,
    },
    /// After so many requests, answered or failed.
    Requests(u64),
    /// When it is stopped.
    Endless,
}

/// What a second belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It is not counted.
    WarmUp,
    /// It is.
    Measuring,
}

/// Columns of the time in the plain table.
const TIME: usize = 8;

/// The other columns of it, each with its width. The last three are the generator's own: the share of a CPU that its busiest
/// thread used, how long it was ready to run without running, and how late it sent (p99, open loop only).
const COLUMNS: [(&str, usize); 9] = [
    ("rate", 12),
    ("p50", 10),
    ("p99", 10),
    ("max", 10),
    ("errors", 8),
    ("open", 8),
    ("own CPU", 9),
    ("run queue", 11),
    ("send lag", 10),
];

/// Seconds that the sparklines reach back.
const HISTORY: usize = 40;

/// The live view. Feed it each second with [`Live::second`] and write what it returns, at once and unbuffered; end it
/// with [`Live::end`], which leaves the terminal as it was found.
#[derive(Clone, Debug)]
pub struct Live {
    style: LiveStyle,
    goal: Goal,
    rates: VecDeque<f64>,
    tails: VecDeque<f64>,
    elapsed_ns: u64,
    answered: u64,
    errors: u64,
    /// Lines of the view that stands on the terminal.
    drawn: usize,
    hidden: bool,
    /// Whether the plain table has its head.
    headed: bool,
}

impl Live {
    /// A view of which nothing is drawn yet.
    pub fn new(style: LiveStyle, goal: Goal) -> Live {
        Live {
            style,
            goal,
            rates: VecDeque::with_capacity(HISTORY),
            tails: VecDeque::with_capacity(HISTORY),
            elapsed_ns: 0,
            answered: 0,
            errors: 0,
            drawn: 0,
            hidden: false,
            headed: false,
        }
    }

    /// What to write when a second is over: a line, or the view drawn anew over the old one.
    pub fn second(&mut self, second: &Second, stage: Stage) -> String {
        if stage == Stage::Measuring {
            self.elapsed_ns += second.width_ns;
            self.answered += second.counts.answered;
            self.errors += second.counts.errors.total();
        }
        push(&mut self.rates, second.answered_per_second());
        push(&mut self.tails, second.counts.headline().percentile_ns(99.0) as f64);
        if self.style.ansi { self.drawing(second, stage) } else { self.plain_line(second, stage) }
    }

    /// What to write to put a line of text above the view: a mark, a warning.
    pub fn note(&mut self, text: &str) -> String {
        let text = printable(text, 300);
        let erased = self.erased();
        self.drawn = 0;
        format!("{erased}{text}\n")
    }

    /// What to write when the run is over: the view is removed, since the summary follows.
    pub fn end(&mut self) -> String {
        let mut out = self.erased();
        self.drawn = 0;
        if std::mem::take(&mut self.hidden) {
            out += "\x1b[?25h";
        }
        out
    }

    /// A row of a table, the first with its head.
    fn plain_line(&mut self, second: &Second, stage: Stage) -> String {
        let time = |latency: &Latency, percent| match latency.is_empty() {
            true => "-".to_owned(),
            false => words::time(latency.percentile_ns(percent)),
        };
        let (latency, health) = (second.counts.headline(), &second.health);
        let cells = [
            format!("{}/s", words::figure(second.answered_per_second())),
            time(latency, 50.0),
            time(latency, 99.0),
            time(latency, 100.0),
            words::count(second.counts.errors.total()),
            words::count(second.open),
            words::percent(health.cpu_share),
            words::time(health.run_queue_delay_ns),
            time(&second.counts.send_lag, 99.0),
        ];
        let row = |first: &str, cells: [&str; 9]| {
            let cells = cells.iter().zip(COLUMNS).map(|(cell, (_, width))| right(cell, width));
            format!("{}{}", right(first, TIME), cells.collect::<String>())
        };
        let mut line = match std::mem::replace(&mut self.headed, true) {
            true => String::new(),
            false => row("time ", COLUMNS.map(|(name, _)| name)) + "\n",
        };
        let at = moment(second.at_ns + second.width_ns) + ":";
        line += &row(&at, cells.each_ref().map(String::as_str));
        if second.backlog > 0 {
            line += &format!("  {} waiting", words::count(second.backlog));
        }
        for mark in &second.marks {
            line += &format!(" [{}]", printable(mark, 60));
        }
        if stage == Stage::WarmUp {
            line += " (warm-up)";
        }
        line + "\n"
    }

    fn drawing(&mut self, second: &Second, stage: Stage) -> String {
        let mut out = self.erased();
        if !self.hidden {
            self.hidden = true;
            out += "\x1b[?25l";
        }
        for mark in &second.marks {
            let at = moment(second.at_ns + second.width_ns);
            out += &format!("{at}: {}\n", printable(mark, 100));
        }
        let lines = self.lines(second, stage);
        self.drawn = lines.len();
        // A line that wraps would make the view taller than it knows. Whatever the width is said to be, the terminal is
        // asked to cut at its own.
        out += "\x1b[?7l";
        let width = usize::from(self.style.width.max(20)) - 1;
        let cut: Vec<String> = lines.iter().map(|line| line.chars().take(width).collect()).collect();
        out + &cut.join("\n") + "\x1b[?7h\n"
    }

    fn lines(&self, second: &Second, stage: Stage) -> Vec<String> {
        let latency = second.counts.headline();
        let time = |percent| words::time(latency.percentile_ns(percent));
        let column = |text: &str| left(text, 13);
        let rate = format!("{}/s", words::figure(second.answered_per_second()));
        let percentiles = ["p50", "p90", "p99", "max"].into_iter().zip([50.0, 90.0, 99.0, 100.0]);
        let times: String = percentiles.map(|(name, percent)| left(&format!("{name} {}", time(percent)), 15)).collect();
        let health = &second.health;
        let mut lines = vec![
            self.progress(stage),
            format!("{}{} {}", column("rate"), right(&rate, 12), sparkline(self.rates.iter().copied())),
            format!("{}{} {}", column("p99"), right(&time(99.0), 12), sparkline(self.tails.iter().copied())),
            format!("{}{times}", column("time")),
            format!(
                "{}{} open, {} under way{}",
                column("connections"),
                words::count(second.open),
                words::count(second.in_flight),
                if second.backlog > 0 {
                    format!(", {} requests waiting for one", words::count(second.backlog))
                } else {
                    String::new()
                },
            ),
            format!(
                "{}{} in this second, {} in all",
                column("errors"),
                words::count(second.counts.errors.total()),
                words::count(self.errors)
            ),
        ];
        let kinds: Vec<String> = second
            .counts
            .errors
            .iter()
            .map(|(kind, count)| format!("{} {}", words::count(count), kind.words()))
            .collect();
        if !kinds.is_empty() {
            lines.push(format!("{}{}", column(""), kinds.join(", ")));
        }
        let lag = &second.counts.send_lag;
        let lag = if lag.is_empty() {
            String::new()
        } else {
            format!(", sends late by {} (p99)", words::time(lag.percentile_ns(99.0)))
        };
        let waited = words::time(health.run_queue_delay_ns);
        lines.push(format!(
            "{}{} of a CPU, waited {waited} for it{lag}",
            column("generator"),
            words::percent(health.cpu_share)
        ));
        lines
    }

    fn progress(&self, stage: Stage) -> String {
        if stage == Stage::WarmUp {
            return "warming up; nothing is counted yet".to_owned();
        }
        let done = self.answered + self.errors;
        let (share, text) = match self.goal {
            Goal::Time { ns } => (
                self.elapsed_ns as f64 / ns.max(1) as f64,
                format!("{} of {}", words::time(self.elapsed_ns), words::time(ns)),
            ),
            Goal::Requests(goal) => {
                (done as f64 / goal.max(1) as f64, format!("{} of {} requests", words::count(done), words::count(goal)))
            }
            Goal::Endless => return format!("{}, {} requests", words::time(self.elapsed_ns), words::count(done)),
        };
        format!("{} {text}", left(&bar(share, 30), 30))
    }

    /// The sequence that goes back to the first line of the view and clears from there.
    fn erased(&self) -> String {
        if self.drawn == 0 { String::new() } else { format!("\x1b[{}A\r\x1b[J", self.drawn) }
    }
}

fn push(values: &mut VecDeque<f64>, value: f64) {
    if values.len() == HISTORY {
        values.pop_front();
    }
    values.push_back(value);
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    const TERMINAL: LiveStyle = LiveStyle { ansi: true, width: 100 };
    const PIPE: LiveStyle = LiveStyle { ansi: false, width: 100 };

    #[test]
    fn without_a_terminal_each_second_is_one_plain_line() {
        let run = sample::open_loop();
        let mut live = Live::new(PIPE, Goal::Endless);
        let text: String = run.timeline.iter().map(|row| live.second(row, Stage::Measuring)).collect();
        assert_eq!(text.lines().count(), 11);
        assert!(!text.contains('\x1b'));
        let mut lines = text.lines();
        let head = lines.next().unwrap();
        let words: Vec<&str> = head.split("  ").map(str::trim).filter(|word| !word.is_empty()).collect();
        let names = ["time", "rate", "p50", "p99", "max", "errors", "open", "own CPU", "run queue", "send lag"];
        assert_eq!(words, names);
        let line = lines.nth(6).unwrap();
        let (row, mark) = line.split_once(" [").unwrap();
        assert_eq!((mark, row.len() - row.matches('µ').count()), ("reload]", head.len()), "{line}");
        assert!(line.trim_start().starts_with("7 s:     9,995/s"), "{line}");
        // Errors, open connections, and what the generator itself used, waited for and sent late by.
        let cells: Vec<&str> = row.split("  ").map(str::trim).filter(|word| !word.is_empty()).collect();
        let lag = words::time(run.timeline[6].counts.send_lag.percentile_ns(99.0));
        let cpu = words::percent(run.timeline[6].health.cpu_share);
        assert_eq!(cells[5..], ["5", "100", &cpu, "15.0 ms", &lag], "{line}");
        let closed = Live::new(PIPE, Goal::Endless).second(&sample::closed_loop().timeline[0], Stage::Measuring);
        assert!(closed.ends_with("15.0 ms         -\n"), "a closed loop has no plan to be late by: {closed}");
        assert!(live.second(&run.timeline[0], Stage::WarmUp).ends_with(" (warm-up)\n"));
        assert_eq!(live.end(), "");
    }

    #[test]
    fn a_terminal_is_drawn_over_and_left_as_it_was() {
        let run = sample::open_loop();
        let mut live = Live::new(TERMINAL, Goal::Time { ns: 10_000_000_000 });
        let first = live.second(&run.timeline[0], Stage::Measuring);
        assert!(first.starts_with("\x1b[?25l") && !first.contains("\x1b[J"));
        let height = first.lines().count();
        let second = live.second(&run.timeline[1], Stage::Measuring);
        assert!(second.starts_with(&format!("\x1b[{height}A\r\x1b[J")), "{second:?}");
        assert!(
            second.contains("2.00 s of 10.0 s") && second.contains("3 connection reset, 2 status 400 or above"),
            "{second}"
        );
        assert!(second.contains("of a CPU, waited 15.0 ms for it, sends late by "), "{second}");
        let note = live.note("now\x07");
        assert!(note.ends_with("\x1b[Jnow\\u{7}\n"));
        let third = live.second(&run.timeline[6], Stage::Measuring);
        assert!(third.starts_with("7 s: reload\n"), "nothing is left to erase after a note: {third:?}");
        assert!(live.end().ends_with("\x1b[J\x1b[?25h"));
        assert_eq!(live.end(), "");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let mut live = Live::new(LiveStyle { ansi: true, width: 40 }, Goal::Requests(1_000_000));
        for row in &sample::open_loop().timeline {
            let text = live.second(row, Stage::Measuring);
            let lines = text.lines().filter(|line| !line.contains('\x1b'));
            assert!(lines.clone().count() > 3 && lines.into_iter().all(|line| line.chars().count() < 40), "{text}");
        }
    }

    #[test]
    fn a_warm_up_counts_for_nothing_and_marks_from_outside_are_harmless() {
        let run = sample::hostile();
        let mut live = Live::new(TERMINAL, Goal::Requests(50_000));
        assert!(live.second(&run.timeline[0], Stage::WarmUp).contains("warming up"));
        let text = live.second(&run.timeline[1], Stage::Measuring);
        assert!(text.contains("10,000 of 50,000 requests"), "{text}");
        assert!(!text.contains("\x1b[2J") && text.contains(r"\u{1b}[2J"));
    }
}
