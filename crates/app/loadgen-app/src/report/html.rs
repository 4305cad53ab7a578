//! The report as one page that needs nothing else: no script, no network, light and dark.

mod answers;
mod curve;
mod escape;
mod svg;
mod targets;
mod timeline;

use std::fmt::Write;

use load::{Latency, Run, words};

pub use self::answers::{comparison_html, knee_html};
use self::escape::escape;
use self::timeline::Timeline;
use super::summary::{counted, handshakes};
use super::{PERCENTILES, judged, percentile_name, percentile_text};

const STYLE: &str = include_str!("html/style.css");

/// Targets that are named beside the first.
const TARGETS_MAX: usize = 20;

/// The report of a finished run as a page: settings and verdict on top, then latency, heat map, throughput, errors
/// and the generator itself. 40 KiB for ten seconds, 600 KiB for a long run. The page forbids itself scripts and any
/// request to elsewhere.
pub fn html(run: &Run) -> String {
    let timeline = Timeline::of(run);
    let title = run.settings.targets.first().map_or_else(|| "no target".to_owned(), |target| escape(target));
    let mut out = String::with_capacity(256 * 1024);
    begin(&mut out, &title, "load report");
    header(&mut out, run);
    verdict(&mut out, run);
    tiles(&mut out, run);
    out += &curve::section(run);
    over_time(&mut out, run, &timeline);
    out += "<div class=\"columns\">\n";
    times(&mut out, run);
    counts(&mut out, run);
    out += "</div>\n";
    out += &targets::section(run);
    errors(&mut out, run);
    end(&mut out);
    out
}

/// The head of a page, to where its content begins; `title` is escaped already.
fn begin(out: &mut String, title: &str, kind: &str) {
    let _ = writeln!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{title} - {kind}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>"
    );
}

fn end(out: &mut String) {
    *out += "<footer>Percentiles within 0.1 % (in pictures over time 0.8 %). Times are of right answers.</footer>\n\
             </main>\n</body>\n</html>\n";
}

fn header(out: &mut String, run: &Run) {
    let targets = &run.settings.targets;
    let first = targets.first().map_or("no target", String::as_str);
    let more = if targets.len() > 1 { format!(" and {} more", targets.len() - 1) } else { String::new() };
    let kind = if run.settings.slow {
        "slow peers"
    } else if run.asked_nothing() {
        "no requests"
    } else if run.settings.open_loop {
        "open loop, by a schedule"
    } else {
        "closed loop, as fast as answers come"
    };
    let _ = writeln!(
        out,
        "<header>\n<h1>{}{more}</h1>\n<p class=\"quiet\">{} &middot; {} &middot; {} &middot; {kind}</p>\n{}</header>",
        escape(first),
        escape(&run.program),
        utc(run.started_unix_ms),
        came(run),
        settings(run),
    );
}

/// How long it lasted, and of how long, if somebody ended it.
fn came(run: &Run) -> String {
    run.interrupted
        .as_ref()
        .map_or_else(|| words::time(run.elapsed_ns), |came| format!("interrupted after {}", escape(came)))
}

fn verdict(out: &mut String, run: &Run) {
    let (good, word, text) = judged(run);
    let class = if good { "valid" } else { "invalid" };
    let _ = writeln!(out, "<div class=\"verdict {class}\">\n<p><strong>{word}</strong>: {text}.</p>");
    let findings =
        run.verdict.invalid.iter().map(|f| ("", f)).chain(run.verdict.notes.iter().map(|f| (" class=\"note\"", f)));
    let items: String =
        findings.map(|(class, finding)| format!("<li{class}>{}</li>\n", escape(&finding.sentence))).collect();
    if !items.is_empty() {
        let _ = writeln!(out, "<ul>\n{items}</ul>");
    }
    *out += "</div>\n";
}

fn tiles(out: &mut String, run: &Run) {
    let latency = run.totals.headline();
    let time = |percent| percentile_text(latency, percent);
    let errors = run.totals.errors.total();
    let tiles = [
        ("requests/s", words::figure(run.answered_per_second()), false),
        ("answered", words::count(run.totals.answered), false),
        ("errors", words::count(errors), errors > 0),
        ("p50", time(50.0), false),
        ("p99", time(99.0), false),
        ("p99.9", time(99.9), false),
        ("max", time(100.0), false),
    ];
    *out += "<div class=\"tiles\">\n";
    for (name, value, alarm) in tiles {
        let class = if alarm { "tile alarm" } else { "tile" };
        let _ = writeln!(out, "<div class=\"{class}\"><span class=\"quiet small\">{name}</span><b>{value}</b></div>");
    }
    *out += "</div>\n";
}

fn over_time(out: &mut String, run: &Run, timeline: &Timeline) {
    let name = if run.totals.response.is_empty() { "Service" } else { "Response" };
    let map = timeline.heat_map(run);
    if !map.is_empty() {
        let legend = "<span><i class=\"shade\"></i>few to many answers</span><span><i class=\"second\"></i>p99</span>\
                      <span><i class=\"middle\"></i>p50</span>";
        section(
            out,
            &format!("{name} time over time"),
            "Stronger where more answers lie; the shades are logarithmic.",
            legend,
            &map,
        );
    }
    let plan = if run.settings.open_loop { "<span><i class=\"plan\"></i>planned</span>" } else { "" };
    let legend = format!("<span><i class=\"first\"></i>answered</span>{plan}");
    section(out, "Answers per second", "", &legend, &timeline.throughput(run));
    let errors = timeline.errors(run);
    if !errors.is_empty() {
        section(out, "Errors per second", "", "", &errors);
    }
    let legend = "<span><i class=\"first\"></i>used</span><span><i class=\"second\"></i>waited for</span>";
    let lead =
        "The share of a CPU that the generator's busiest thread used, and that it was ready for without getting it.";
    section(out, "The generator itself", lead, legend, &timeline.generator());
}

fn section(out: &mut String, title: &str, lead: &str, legend: &str, picture: &str) {
    let lead = if lead.is_empty() { String::new() } else { format!("<p class=\"quiet small\">{lead}</p>\n") };
    let legend = if legend.is_empty() { String::new() } else { format!("<div class=\"legend\">{legend}</div>\n") };
    let _ = writeln!(out, "<section>\n<h2>{title}</h2>\n{lead}{legend}{picture}</section>");
}

fn times(out: &mut String, run: &Run) {
    let totals = &run.totals;
    let named = [("response", &totals.response), ("service", &totals.service), ("connect", &totals.connect)];
    let columns: Vec<(&str, &Latency)> = named.into_iter().filter(|(_, l)| !l.is_empty()).collect();
    if columns.is_empty() {
        return;
    }
    let cells = |value: &dyn Fn(&Latency) -> String| -> String {
        columns.iter().map(|(_, l)| format!("<td class=\"number\">{}</td>", value(l))).collect()
    };
    let head: String = columns.iter().map(|(name, _)| format!("<th class=\"number\">{name}</th>")).collect();
    let _ = writeln!(out, "<section>\n<h2>Times</h2>\n<table>\n<thead><tr><th></th>{head}</tr></thead>\n<tbody>");
    let _ = writeln!(out, "<tr><th>average</th>{}</tr>", cells(&|l| words::time(l.mean_ns().round() as u64)));
    for percent in PERCENTILES {
        let _ =
            writeln!(out, "<tr><th>{}</th>{}</tr>", percentile_name(percent), cells(&|l| percentile_text(l, percent)));
    }
    *out += "</tbody>\n</table>\n</section>\n";
}

fn counts(out: &mut String, run: &Run) {
    let totals = &run.totals;
    let mut rows = vec![
        ("total time".to_owned(), words::time(run.elapsed_ns)),
        ("requests planned".to_owned(), words::count(totals.planned)),
        ("requests sent".to_owned(), words::count(totals.sent)),
        ("answered".to_owned(), words::count(totals.answered)),
        ("errors".to_owned(), words::count(totals.errors.total())),
        ("under way at the end".to_owned(), words::count(run.in_flight_at_end)),
        ("connections made".to_owned(), words::count(totals.connected)),
        ("connections open at once".to_owned(), words::count(run.open_max)),
        ("received".to_owned(), words::bytes(totals.bytes_in)),
        ("sent".to_owned(), words::bytes(totals.bytes_out)),
    ];
    if run.backlog_at_end > 0 {
        rows.insert(6, ("never sent: no free connection".to_owned(), words::count(run.backlog_at_end)));
    }
    if totals.handshakes > 0 {
        rows.push(("TLS".to_owned(), handshakes(totals)));
    }
    if let Some(per_cpu) = run.answered_per_cpu_second() {
        rows.push(("answered per second of the generator's CPU time".to_owned(), words::figure(per_cpu)));
    }
    rows.extend(
        totals.statuses.sorted().iter().map(|(status, count)| (format!("status {status}"), words::count(*count))),
    );
    if !run.settings.open_loop {
        rows.remove(1);
    }
    *out += "<section>\n<h2>Counts</h2>\n<table>\n<tbody>\n";
    for (name, value) in rows {
        let _ = writeln!(out, "<tr><th>{name}</th><td class=\"number\">{value}</td></tr>");
    }
    *out += "</tbody>\n</table>\n</section>\n";
}

fn errors(out: &mut String, run: &Run) {
    if run.totals.errors.total() == 0 {
        return;
    }
    *out += "<section>\n<h2>Errors by kind</h2>\n<table>\n<thead><tr><th>kind</th><th class=\"number\">count</th>\
             <th>example</th></tr></thead>\n<tbody>\n";
    for (kind, count) in run.totals.errors.iter() {
        let example = run.totals.examples.iter().find(|e| e.kind == kind).map_or("", |e| e.text.as_str());
        let (kind, count, example) = (kind.words(), words::count(count), escape(example));
        let _ = writeln!(
            out,
            "<tr><th>{kind}</th><td class=\"number\">{count}</td><td class=\"quiet\">{example}</td></tr>"
        );
    }
    *out += "</tbody>\n</table>\n</section>\n";
}

/// The settings, as a list of short pairs.
fn settings(run: &Run) -> String {
    let settings = &run.settings;
    let further = settings.targets.iter().skip(1).take(TARGETS_MAX).map(|target| ("target".to_owned(), target.clone()));
    let mut pairs: Vec<(String, String)> = further.collect();
    if settings.targets.len() > TARGETS_MAX + 1 {
        pairs.push(("and".to_owned(), counted((settings.targets.len() - TARGETS_MAX - 1) as u64, "more target")));
    }
    pairs.push(("connections".to_owned(), words::count(settings.connections)));
    pairs.push(("requests at once".to_owned(), words::count(settings.concurrency)));
    pairs.push(("workers".to_owned(), words::count(settings.workers.into())));
    pairs.extend(settings.words.iter().cloned());
    let item = |(name, value): &(String, String)| format!("<li><span>{}</span>{}</li>\n", escape(name), escape(value));
    let items: String = pairs.iter().map(item).collect();
    format!("<ul class=\"settings\">\n{items}</ul>\n")
}

/// `2026-09-21 14:13:20 UTC` (days to a date after Howard Hinnant's `civil_from_days`).
fn utc(unix_ms: u64) -> String {
    let seconds = unix_ms / 1_000;
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // The year begins in March here, so that the leap day is its last.
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", rest / 3_600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    /// Every element that is opened is closed, in order.
    fn assert_balanced(page: &str) {
        let mut open: Vec<&str> = Vec::new();
        let body = page.split_once("</style>").unwrap().1;
        for tag in body.split('<').skip(1) {
            let tag = tag.split_once('>').unwrap().0;
            let name = tag.split([' ', '/']).find(|part| !part.is_empty()).unwrap();
            match () {
                () if tag.starts_with('/') => assert_eq!(open.pop(), Some(name), "</{name}>"),
                () if tag.ends_with('/') => {}
                () => open.push(name),
            }
        }
        // What stood before the style is closed behind it.
        assert!(open.is_empty(), "{open:?}");
    }

    /// A page whose elements are closed, that needs nothing else and runs nothing.
    pub(super) fn assert_page(page: &str) {
        assert_balanced(&page.replace("</style>\n</head>", "</style>").replace("</html>", "").replace("<br>", ""));
        for banned in ["<script", "http-equiv=\"refresh", "src=", "url(", "@import", "<link", "NaN", "inf "] {
            assert!(!page.contains(banned), "{banned}");
        }
        assert!(page.contains("default-src 'none'"));
    }

    fn page(run: &Run) -> String {
        let page = html(run);
        assert_page(&page);
        page
    }

    #[test]
    fn the_page_needs_nothing_else_and_runs_nothing() {
        for run in [sample::open_loop(), sample::two_targets(), sample::unanswered(), sample::invalid()] {
            let page = page(&run);
            assert!(page.len() < 300 * 1024, "{}", page.len());
        }
    }

    #[test]
    fn verdict_and_settings_stand_before_the_pictures() {
        let page = page(&sample::invalid());
        let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text} is missing"));
        assert!(at("<strong>INVALID</strong>") < at("<svg") && at("The generator had no time left") < at("<svg"));
        let mut unanswered = sample::unanswered();
        unanswered.verdict.invalid.clear();
        assert!(html(&unanswered).contains("<strong>NOTHING MEASURED</strong>: there is no right answer."));
        assert!(at("open loop, by a schedule") < at("<strong>INVALID"));
        for section in [
            "Latency by percentile",
            "Response time over time",
            "Answers per second",
            "Errors per second",
            "Errors by kind",
            "10,000/s, Poisson",
        ] {
            at(section);
        }
    }

    #[test]
    fn a_closed_loop_shows_no_plan_and_no_response_time() {
        let page = page(&sample::closed_loop());
        assert!(page.contains("Service time over time") && !page.contains("planned<") && !page.contains(">response<"));
        assert!(!page.contains("Errors by kind"));
    }

    #[test]
    fn an_interruption_stands_in_the_header_and_beside_the_verdict() {
        let mut run = sample::open_loop();
        run.interrupted = Some("10.0 s of 60.0 s".to_owned());
        run.finish(&load::validity::Rules::default());
        assert_eq!(page(&run).matches("interrupted after 10.0 s of 60.0 s").count(), 2);
    }

    #[test]
    fn what_comes_from_outside_is_text() {
        let page = page(&sample::hostile());
        assert!(!page.contains("<script") && !page.contains("</title></svg>"));
        assert!(page.contains("&lt;script&gt;alert(&#39;1&#39;)"));
        assert!(!page.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202E}'));
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(utc(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(utc(951_782_400_000), "2000-02-29 00:00:00 UTC");
        assert_eq!(utc(1_790_000_000_000), "2026-09-21 14:13:20 UTC");
    }
}
