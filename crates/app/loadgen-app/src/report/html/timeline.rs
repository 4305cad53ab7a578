//! Pictures over time: the heat map, throughput and errors, the generator itself.

use std::fmt::Write;

use load::{Run, Second, words};

use super::super::moment;
use super::escape::escape;
use super::svg::{Picture, Scale, WIDTH, tick};

/// Columns that a picture over time has at most; rows of the timeline are joined for it.
const COLUMNS_MAX: usize = 240;
/// Characters of a mark that stand in a picture; the pointer shows the rest.
const LABEL_CHARS: usize = 32;
/// About how wide a character of a label is.
const CHAR_WIDTH: f64 = 7.0;

/// The rows as they are drawn.
pub(super) struct Timeline {
    rows: Vec<Second>,
    seconds: f64,
    /// Time and words, all marks of the run.
    marks: Vec<(f64, String)>,
}

impl Timeline {
    pub(super) fn of(run: &Run) -> Timeline {
        let join = run.timeline.len().div_ceil(COLUMNS_MAX).max(1);
        let joined = run.timeline.chunks(join).filter_map(|chunk| {
            let (first, rest) = chunk.split_first()?;
            let mut row = first.clone();
            rest.iter().for_each(|next| row.append(next));
            Some(row)
        });
        let marks =
            run.timeline.iter().flat_map(|row| row.marks.iter().map(|mark| (row.at_ns as f64 / 1e9, mark.clone())));
        Timeline { rows: joined.collect(), seconds: run.seconds().max(1e-9), marks: marks.collect() }
    }

    /// The share of the width at which a row begins, and the one at which it ends.
    fn span(&self, row: &Second) -> (f64, f64) {
        let start = row.at_ns as f64 / 1e9 / self.seconds;
        (start.min(1.0), (start + row.seconds() / self.seconds).min(1.0))
    }

    /// A level for each row, from its beginning to its end: what lies between two seconds was not measured.
    fn levels(&self, value: impl Fn(&Second) -> Option<f64>) -> Vec<(f64, Option<f64>)> {
        let level = |row: &Second| {
            let (start, end) = self.span(row);
            let value = value(row);
            [(start, value), (end, value)]
        };
        self.rows.iter().flat_map(level).collect()
    }

    fn greatest(&self, value: impl Fn(&Second) -> f64) -> f64 {
        self.rows.iter().map(value).filter(|v| v.is_finite()).fold(0.0, f64::max)
    }

    /// Lines at the marks; their words above, where they do not run into one another.
    fn marks(&self, picture: &mut Picture) {
        let (top, bottom) = (picture.up(1.0), picture.up(0.0));
        let mut free_from = 0.0;
        for (at, mark) in &self.marks {
            let x = picture.across((at / self.seconds).min(1.0));
            let title = escape(mark);
            picture.add(format_args!(
                "<path class=\"mark-line\" d=\"M{x:.1} {top:.1}V{bottom:.1}\"><title>{title}</title></path>"
            ));
            let width = mark.chars().count().min(LABEL_CHARS) as f64 * CHAR_WIDTH;
            let start = if x + width < WIDTH { x + 4.0 } else { x - 4.0 - width };
            if start < free_from {
                continue;
            }
            free_from = start + width + CHAR_WIDTH;
            let label = escape(&mark.chars().take(LABEL_CHARS).collect::<String>());
            picture.add(format_args!("<text class=\"mark\" x=\"{start:.1}\" y=\"{:.1}\">{label}</text>", top - 5.0));
        }
    }

    /// An invisible column for each row that says its figures when the pointer is over it.
    fn hover(&self, picture: &mut Picture, text: impl Fn(&Second) -> String) {
        let (top, bottom) = (picture.up(1.0), picture.up(0.0));
        for row in &self.rows {
            let (start, end) = self.span(row);
            let (x0, x1) = (picture.across(start), picture.across(end));
            let text = escape(&format!("{}: {}", moment(row.at_ns), text(row)));
            picture.add(format_args!(
                "<rect class=\"hover\" x=\"{x0:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\"><title>{text}</title></rect>",
                x1 - x0,
                bottom - top
            ));
        }
    }

    /// Where the answers lay at each time; empty when there are none.
    pub(super) fn heat_map(&self, run: &Run) -> String {
        let latency = run.totals.headline();
        if latency.is_empty() {
            return String::new();
        }
        let scale = Scale::log(latency.min_ns() as f64 * 0.95, latency.max_ns() as f64 * 1.05);
        let mut picture = Picture::new(340.0, scale, "Latency over time, as a heat map with p50 and p99");
        picture.y_axis(tick);
        picture.time_axis(self.seconds);
        self.heat(&mut picture);
        for (class, percent) in [("second", 99.0), ("middle", 50.0)] {
            let value = |row: &Second| {
                let latency = row.counts.headline();
                (!latency.is_empty()).then(|| latency.percentile_ns(percent) as f64)
            };
            picture.line(class, self.levels(value).into_iter());
        }
        self.marks(&mut picture);
        self.hover(&mut picture, |row| {
            let time = |percent| words::time(row.counts.headline().percentile_ns(percent));
            format!("p50 {}, p99 {}, max {}", time(50.0), time(99.0), time(100.0))
        });
        picture.end()
    }

    /// Cells of the heat map, all of one shade in one path.
    fn heat(&self, picture: &mut Picture) {
        const LEVELS: usize = 10;
        const CELLS: usize = 56;
        let cells: Vec<[u64; CELLS]> = self.rows.iter().map(|row| cells_of(row, picture.y)).collect();
        let densest = cells.iter().flatten().copied().max().unwrap_or(0).max(1) as f64;
        let mut paths = vec![String::new(); LEVELS];
        for (row, column) in self.rows.iter().zip(&cells) {
            let (start, end) = self.span(row);
            let (x0, x1) = (picture.across(start), picture.across(end));
            for (place, count) in column.iter().enumerate().filter(|(_, count)| **count > 0) {
                // By logarithm: single outliers must be seen beside the thousands.
                let level = ((*count as f64).ln_1p() / densest.ln_1p() * LEVELS as f64).ceil().clamp(1.0, LEVELS as f64)
                    as usize;
                let (bottom, top) = (place as f64 / CELLS as f64, (place + 1) as f64 / CELLS as f64);
                let (y0, y1) = (picture.up(top), picture.up(bottom));
                let _ = write!(paths[level - 1], "M{x0:.1} {y0:.1}H{x1:.1}V{y1:.1}H{x0:.1}z");
            }
        }
        for (level, path) in paths.iter().enumerate().filter(|(_, path)| !path.is_empty()) {
            let opacity = (level + 1) as f64 / LEVELS as f64;
            picture.add(format_args!("<path class=\"heat\" fill-opacity=\"{opacity:.1}\" d=\"{path}\"/>"));
        }
    }

    /// Answers (and planned requests) per second.
    pub(super) fn throughput(&self, run: &Run) -> String {
        let planned = |row: &Second| row.counts.planned as f64 / row.seconds().max(1e-9);
        let top = self.greatest(|row| planned(row).max(row.answered_per_second()));
        let mut picture = Picture::new(240.0, Scale::linear(top), "Answers per second over time");
        picture.y_axis(words::figure);
        picture.time_axis(self.seconds);
        let answered = self.levels(|row| Some(row.answered_per_second()));
        if let (Some(first), Some(last)) = (answered.first(), answered.last()) {
            let mut area = format!("M{:.1} {:.1}", picture.across(first.0), picture.up(0.0));
            for (share, value) in &answered {
                let _ = write!(area, "L{:.1} {:.1}", picture.across(*share), picture.at(value.unwrap_or(0.0)));
            }
            let _ = write!(area, "L{:.1} {:.1}z", picture.across(last.0), picture.up(0.0));
            picture.add(format_args!("<path class=\"area\" d=\"{area}\"/>"));
        }
        if run.settings.open_loop {
            picture.line("plan", self.levels(|row| Some(planned(row))).into_iter());
        }
        picture.line("first", answered.into_iter());
        self.marks(&mut picture);
        self.hover(&mut picture, |row| format!("{} answered per second", words::figure(row.answered_per_second())));
        picture.end()
    }

    /// Errors per second; empty when there are none.
    pub(super) fn errors(&self, run: &Run) -> String {
        if run.totals.errors.total() == 0 {
            return String::new();
        }
        let mut picture =
            Picture::new(170.0, Scale::linear(self.greatest(Second::errors_per_second)), "Errors per second over time");
        picture.y_axis(words::figure);
        picture.time_axis(self.seconds);
        for row in &self.rows {
            let (start, end) = self.span(row);
            let (x0, x1) = (picture.across(start), picture.across(end));
            let (y0, y1) = (picture.at(row.errors_per_second()), picture.up(0.0));
            let gap = if x1 - x0 > 4.0 { 1.0 } else { 0.0 };
            if y1 > y0 {
                picture.add(format_args!(
                    "<rect class=\"bars\" x=\"{:.1}\" y=\"{y0:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
                    x0 + gap,
                    x1 - x0 - 2.0 * gap,
                    y1 - y0
                ));
            }
        }
        self.marks(&mut picture);
        self.hover(&mut picture, |row| {
            let kinds: Vec<String> = row
                .counts
                .errors
                .iter()
                .map(|(kind, count)| format!("{} {}", words::count(count), kind.words()))
                .collect();
            if kinds.is_empty() { "no errors".to_owned() } else { kinds.join(", ") }
        });
        picture.end()
    }

    /// What the generator used and waited for.
    pub(super) fn generator(&self) -> String {
        let waited = |row: &Second| row.health.run_queue_delay_ns as f64 / row.width_ns.max(1) as f64 * 100.0;
        let used = |row: &Second| row.health.cpu_share * 100.0;
        let top = self.greatest(|row| used(row).max(waited(row)));
        let mut picture = Picture::new(170.0, Scale::linear(top.max(100.0)), "CPU use of the generator over time");
        picture.y_axis(|percent| format!("{} %", words::figure(percent)));
        picture.time_axis(self.seconds);
        picture.line("first", self.levels(|row| Some(used(row))).into_iter());
        picture.line("second", self.levels(|row| Some(waited(row))).into_iter());
        self.marks(&mut picture);
        self.hover(&mut picture, |row| {
            let lag = &row.counts.send_lag;
            let lag = if lag.is_empty() {
                String::new()
            } else {
                format!(", sends late by {} (p99)", words::time(lag.percentile_ns(99.0)))
            };
            format!(
                "used {} of a CPU, waited {} for it{lag}",
                words::percent(row.health.cpu_share),
                words::time(row.health.run_queue_delay_ns)
            )
        });
        picture.end()
    }
}

/// How many answers of a row fall into each of so many cells of a scale.
fn cells_of<const CELLS: usize>(row: &Second, scale: Scale) -> [u64; CELLS] {
    let mut cells = [0; CELLS];
    for bucket in row.counts.headline().buckets() {
        let place = (scale.share(bucket.0 as f64) * CELLS as f64) as usize;
        cells[place.min(CELLS - 1)] += bucket.1;
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::super::super::sample;
    use super::*;

    #[test]
    fn every_answer_of_a_row_lies_in_one_cell() {
        let run = sample::open_loop();
        let scale = Scale::log(run.totals.response.min_ns() as f64, run.totals.response.max_ns() as f64);
        for row in &run.timeline {
            let cells: [u64; 56] = cells_of(row, scale);
            assert_eq!(cells.iter().sum::<u64>(), row.counts.answered);
        }
    }

    #[test]
    fn long_timelines_are_joined_to_what_can_be_seen() {
        let short = sample::open_loop();
        let mut run = Run::new("test", 0, short.settings.clone());
        for at in 0..1_000 {
            run.push(Second { at_ns: at * 1_000_000_000, ..short.timeline[at as usize % 10].clone() });
        }
        let timeline = Timeline::of(&run);
        assert!(timeline.rows.len() <= COLUMNS_MAX);
        assert_eq!(timeline.rows.iter().map(|r| r.counts.answered).sum::<u64>(), run.totals.answered);
        assert_eq!(timeline.marks.len(), 100);
        let last = timeline.rows.last().unwrap();
        assert!((timeline.span(last).1 - 1.0).abs() < 1e-9);
        let map = timeline.heat_map(&run);
        assert!(map.len() < 600_000, "{}", map.len());
        let labels = map.matches("class=\"mark\"").count();
        assert!((10..20).contains(&labels), "{labels} labels of a hundred have room");
    }
}
