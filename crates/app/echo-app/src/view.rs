//! The statistics of each second: a line, or on a terminal a block that is drawn over itself.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Instant;

use echo_service::Tally;

use crate::figures::{Sums, grouped, quantiles, timestamp};
use crate::report::unix_now;

/// Seconds in the sparkline.
const HISTORY: usize = 60;

/// Reads the workers' counters once a second and shows what has changed.
pub(crate) struct View {
    tallies: Vec<Arc<Tally>>,
    live: bool,
    began: Instant,
    last: Instant,
    before: Sums,
    /// Requests a second, the latest last.
    history: VecDeque<u64>,
    /// The block of the last second.
    block: String,
    /// Whether it stands on the screen.
    drawn: bool,
}

impl View {
    /// `live` draws on a terminal instead of writing lines.
    pub(crate) fn new(tallies: Vec<Arc<Tally>>, live: bool) -> View {
        let (began, before) = (Instant::now(), Sums::of(&tallies));
        View { tallies, live, began, last: began, before, history: VecDeque::new(), block: String::new(), drawn: false }
    }

    /// Shows the second that has passed.
    pub(crate) fn second(&mut self) {
        let (now, sums) = (Instant::now(), Sums::of(&self.tallies));
        let second = Second::between(&self.before, &sums, (now - self.last).as_secs_f64(), timestamp(unix_now()));
        (self.last, self.before) = (now, sums);
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(second.requests);
        if !self.live {
            // Whoever closed standard output does not want to hear.
            let _ = io::stdout().write_all(second.line().as_bytes());
            return;
        }
        self.make_way();
        self.block = second.block((now - self.began).as_secs(), &sparkline(self.history.make_contiguous()));
        self.draw();
    }

    /// Takes the block off the screen, for a line of the log.
    pub(crate) fn make_way(&mut self) {
        if std::mem::take(&mut self.drawn) {
            // Up as many lines as it has, to the left past what was typed (^C), and clear from there.
            let _ = write!(io::stdout(), "\x1b[{}A\r\x1b[J", self.block.lines().count());
            let _ = io::stdout().flush();
        }
    }

    /// Puts the block on the screen.
    pub(crate) fn draw(&mut self) {
        if self.live && !self.block.is_empty() {
            // A line that is cut at the edge is one line still; a wrapped one would be two.
            let _ = write!(io::stdout(), "\x1b[?7l{}\x1b[?7h", self.block);
            let _ = io::stdout().flush();
            self.drawn = true;
        }
    }
}

/// What happened in a second.
struct Second {
    time: String,
    active: u64,
    pending: u64,
    shed: u64,
    requests: u64,
    bytes: u64,
    latency: String,
}

impl Second {
    fn between(before: &Sums, now: &Sums, seconds: f64, time: String) -> Second {
        let rate = |now: u64, before: u64| (now.saturating_sub(before) as f64 / seconds.max(0.001)).round() as u64;
        Second {
            time,
            active: now.open,
            pending: now.pending,
            shed: now.shed,
            requests: rate(now.requests, before.requests),
            bytes: rate(now.bytes, before.bytes),
            latency: quantiles(&now.latency.since(&before.latency)).unwrap_or_else(|| "p50 -  p99 -".to_owned()),
        }
    }

    fn line(&self) -> String {
        let Second { time, active, pending, requests, bytes, latency, .. } = self;
        format!("{time}  active {active}  pending {pending}  requests/s {requests}  bytes/s {bytes}  {latency}\n")
    }

    fn block(&self, seconds: u64, sparkline: &str) -> String {
        let shed = if self.shed > 0 {
            format!(", {} shed for want of descriptors", grouped(self.shed))
        } else {
            String::new()
        };
        format!(
            "  {}   for {seconds} s\n  connections  {} active, {} pending{shed}\n  bytes/s      {}\n  latency      {} from readable \
             to written\n  requests/s   {:>9} {sparkline}\n",
            self.time,
            grouped(self.active),
            grouped(self.pending),
            grouped(self.bytes),
            self.latency,
            grouped(self.requests),
        )
    }
}

/// One bar a figure, the tallest for the largest.
fn sparkline(figures: &[u64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = figures.iter().copied().max().unwrap_or(0).max(1);
    figures.iter().map(|figure| BARS[(figure * 7).div_ceil(most) as usize]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sparkline_reaches_from_nothing_to_the_most() {
        assert_eq!(sparkline(&[0, 1, 50, 100]), "▁▂▅█");
        assert_eq!(sparkline(&[0, 0]), "▁▁");
        assert_eq!(sparkline(&[]), "");
    }

    #[test]
    fn a_second_is_what_changed_in_it() {
        let tally: Arc<Tally> = Arc::default();
        let tallies = [Arc::clone(&tally)];
        tally.requests.add(100);
        let before = Sums::of(&tallies);
        tally.open.add(3);
        tally.pending.add(1);
        tally.requests.add(50);
        tally.bytes.add(3200);
        let second = Second::between(&before, &Sums::of(&tallies), 0.5, "T".to_owned());
        assert_eq!(second.line(), "T  active 3  pending 1  requests/s 100  bytes/s 6400  p50 -  p99 -\n");
        assert_eq!(second.block(9, "▁").lines().count(), 5);
    }
}
