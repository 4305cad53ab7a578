//! The pages of `compare` and `find-max`.

use std::fmt::Write;

use load::compare::{Comparison, Difference};
use load::{Answer, Knee, Outcome, words};

use super::super::answers::DIFFER;
use super::super::percentile_text;
use super::svg::{Picture, Scale, tick};
use super::{begin, end, escape, section};
use crate::report::Trial;

/// What `compare` found: a sentence for each figure, the medians, and the intervals beside "no difference". `doubt` says why
/// the figures are not to be used, if so; `differences`, in what the two were not asked to do the same.
pub fn comparison_html(comparisons: &[Comparison], differences: &[Difference], doubt: Option<&str>) -> String {
    let mut out = String::new();
    let Some(first) = comparisons.first() else { return out };
    let title = format!("{} and {}", escape(&first.a), escape(&first.b));
    begin(&mut out, &title, "comparison");
    let _ = writeln!(
        out,
        "<header>\n<h1>A: {}<br>B: {}</h1>\n<p class=\"quiet\">{}</p>\n</header>",
        escape(&first.a),
        escape(&first.b),
        escape(&first.method_sentence()),
    );
    let differing = differences.iter().map(|d| format!("{}: {} in A, {} in B", d.name, d.a, d.b));
    let differing = (!differences.is_empty()).then(|| DIFFER.to_owned()).into_iter().chain(differing);
    verdict(&mut out, doubt, &differing.chain(comparisons.iter().map(Comparison::sentence)).collect::<Vec<_>>());
    let lead = "The effect of taking B instead of A, with its 95 % interval. An interval that crosses the line shows no difference.";
    section(&mut out, "Effect", lead, "", &intervals(comparisons));
    out += "<section>\n<h2>Figures</h2>\n<table>\n<thead><tr><th></th><th class=\"number\">median of A</th>\
            <th class=\"number\">median of B</th><th class=\"number\">effect</th><th class=\"number\">95 %</th></tr></thead>\n<tbody>\n";
    for comparison in comparisons {
        let metric = comparison.metric;
        let cells = [
            metric.show(comparison.a_median),
            metric.show(comparison.b_median),
            effect(comparison.ratio),
            format!("{} to {}", effect(comparison.low), effect(comparison.high)),
        ];
        let cells: String = cells.iter().map(|cell| format!("<td class=\"number\">{}</td>", escape(cell))).collect();
        let _ = writeln!(out, "<tr><th>{}</th>{cells}</tr>", escape(&metric.words()));
    }
    out += "</tbody>\n</table>\n</section>\n";
    end(&mut out);
    out
}

/// A ratio as a signed share: +7 %.
fn effect(ratio: f64) -> String {
    let effect = ratio - 1.0;
    format!("{}{}", if effect > 0.0 { "+" } else { "" }, words::percent(effect))
}

/// A row for each figure: its interval and its effect, on one scale of ratios.
fn intervals(comparisons: &[Comparison]) -> String {
    // As far to the one side as to the other, by ratio, and at least 5 %.
    let reach = comparisons.iter().flat_map(|c| [c.low, c.high]).map(|ratio| ratio.ln().abs());
    let reach = reach.filter(|r| r.is_finite()).fold(0.05, f64::max) * 1.15;
    let share = |ratio: f64| (ratio.ln() / reach / 2.0 + 0.5).clamp(0.0, 1.0);
    let height = 60.0 + 34.0 * comparisons.len() as f64;
    let mut picture =
        Picture::new(height, Scale::linear(1.0), "the effect of taking B instead of A, with its interval");
    for place in -2..=2 {
        let ratio = (f64::from(place) / 2.0 * reach * 0.9).exp();
        let text = if place == 0 { "no difference".to_owned() } else { effect(ratio) };
        picture.x_tick(share(ratio), &text);
    }
    for (n, comparison) in comparisons.iter().enumerate() {
        let y = picture.up(1.0 - (n as f64 + 0.5) / comparisons.len() as f64);
        let [low, middle, high] =
            [comparison.low, comparison.ratio, comparison.high].map(|ratio| picture.across(share(ratio)));
        let class = if comparison.is_shown() { "first" } else { "plan" };
        let name = escape(&comparison.metric.words());
        picture.add(format_args!("<text x=\"{:.1}\" y=\"{:.1}\">{name}</text>", picture.across(0.0), y - 8.0));
        picture.add(format_args!("<path class=\"line {class}\" d=\"M{low:.1} {y:.1}H{high:.1}\"/>"));
        let sentence = escape(&comparison.sentence());
        picture.add(format_args!(
            "<circle class=\"dot {class}\" cx=\"{middle:.1}\" cy=\"{y:.1}\" r=\"5\"><title>{sentence}</title></circle>"
        ));
    }
    picture.end()
}

/// What `find-max` found for an objective: the answer, the times by rate, and the steps in their order.
pub fn knee_html(target: &str, objective: &str, knee: &Knee, trials: &[Trial]) -> String {
    let mut out = String::new();
    let name = escape(target);
    begin(&mut out, &name, "highest rate");
    let _ = writeln!(
        out,
        "<header>\n<h1>{name}</h1>\n<p class=\"quiet\">the highest rate that keeps {} &middot; {} steps</p>\n</header>",
        escape(objective),
        trials.len(),
    );
    let (doubt, sentences) = match knee.answer() {
        None => (Some("the search was ended before it had its answer.".to_owned()), Vec::new()),
        Some(answer @ Answer::GeneratorLimit { .. }) => (Some(answer.sentence()), Vec::new()),
        Some(answer) => (None, vec![answer.sentence()]),
    };
    verdict(&mut out, doubt.as_deref(), &sentences);
    let legend = "<span><i class=\"second\"></i>p99</span><span><i class=\"middle\"></i>p50</span>\
                  <span class=\"kept\">&#9679; kept</span><span class=\"broken\">&#9679; not kept</span><span>&#9679; the generator was the limit</span>";
    let lead = "Response times, from the planned moment, of each step by its rate; the lines lead through the middle ones. Both scales are logarithmic.";
    section(&mut out, "Times by rate", lead, legend, &by_rate(trials));
    out += "<section>\n<h2>Steps</h2>\n<table>\n<thead><tr><th class=\"number\">rate</th><th class=\"number\">answered/s</th>\
            <th class=\"number\">p50</th><th class=\"number\">p99</th><th>outcome</th></tr></thead>\n<tbody>\n";
    for trial in trials {
        let times = [50.0, 99.0].map(|percent| percentile_text(&trial.time, percent));
        let cells = [trial.rate.to_string(), words::figure(trial.answered_per_second)].into_iter().chain(times);
        let cells: String = cells.map(|cell| format!("<td class=\"number\">{cell}</td>")).collect();
        let _ = writeln!(out, "<tr>{cells}<td>{}</td></tr>", escape(&outcome(&trial.outcome)));
    }
    out += "</tbody>\n</table>\n</section>\n";
    end(&mut out);
    out
}

fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Met => "kept".to_owned(),
        Outcome::Missed(reasons) => format!("not kept: {}", reasons.join("; ")),
        Outcome::GeneratorLimit(reason) => format!("INVALID: {reason}"),
    }
}

fn by_rate(trials: &[Trial]) -> String {
    let mut sorted: Vec<&Trial> = trials.iter().filter(|trial| !trial.time.is_empty()).collect();
    sorted.sort_by(|a, b| a.rate.per_second().total_cmp(&b.rate.per_second()));
    let (Some(first), Some(last)) = (sorted.first(), sorted.last()) else {
        return "<p class=\"quiet\">No step was answered.</p>\n".to_owned();
    };
    let across = Scale::log(first.rate.per_second(), last.rate.per_second());
    let times = |percent: f64| sorted.iter().map(move |trial| trial.time.percentile_ns(percent) as f64);
    let low = times(50.0).fold(f64::INFINITY, f64::min);
    let up = Scale::log(low * 0.8, times(99.0).fold(low, f64::max) * 1.2);
    let mut picture = Picture::new(340.0, up, "response times by rate");
    picture.y_axis(tick);
    for rate in across.ticks() {
        picture.x_tick(across.share(rate), &format!("{}/s", words::figure(rate)));
    }
    picture.baseline();
    for (percent, class) in [(50.0, "middle"), (99.0, "second")] {
        let points = sorted.chunk_by(|a, b| a.rate == b.rate).map(|tries| {
            let mut all: Vec<u64> = tries.iter().map(|trial| trial.time.percentile_ns(percent)).collect();
            all.sort_unstable();
            (across.share(tries[0].rate.per_second()), Some(all[all.len() / 2] as f64))
        });
        picture.line(class, points);
    }
    for (trial, ns) in sorted.iter().zip(times(99.0)) {
        let (x, y) = (picture.across(across.share(trial.rate.per_second())), picture.at(ns));
        let class = match trial.outcome {
            Outcome::Met => "kept",
            Outcome::Missed(_) => "broken",
            Outcome::GeneratorLimit(_) => "plan",
        };
        let title = escape(&format!("{}: p99 {}; {}", trial.rate, words::time(ns as u64), outcome(&trial.outcome)));
        picture.add(format_args!(
            "<circle class=\"dot {class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\"><title>{title}</title></circle>"
        ));
    }
    picture.end()
}

fn verdict(out: &mut String, doubt: Option<&str>, sentences: &[String]) {
    let class = if doubt.is_some() { "invalid" } else { "valid" };
    let _ = writeln!(out, "<div class=\"verdict {class}\">");
    if let Some(why) = doubt {
        let _ = writeln!(out, "<p><strong>INVALID</strong>: {}</p>", escape(why));
    }
    for sentence in sentences {
        let _ = writeln!(out, "<p>{}</p>", escape(sentence));
    }
    *out += "</div>\n";
}

#[cfg(test)]
mod tests {
    use load::compare::Metric;
    use load::{KneeSearch, Latency, Rate, Step};

    use super::super::tests::assert_page;
    use super::*;

    #[test]
    fn a_comparison_is_a_page_with_an_interval_for_each_figure() {
        let slower: Vec<_> = [1.06, 1.08, 1.07, 1.05, 1.09].map(|b| (1e6, b * 1e6)).into();
        let noise: Vec<_> = [0.9, 1.1, 1.2, 0.8, 1.0].map(|b| (1e6, b * 1e6)).into();
        let of = |metric, values: &[_]| Comparison::paired(metric, "old", "<script>new", values).unwrap();
        let all = [of(Metric::Percentile(99.0), &slower), of(Metric::Throughput, &noise)];
        let page = comparison_html(&all, &[], None);
        assert_page(&page);
        assert!(page.contains("&lt;script&gt;new is 7 % slower than old by p99 (95 %: 5 % to 9 %)."), "{page}");
        assert_eq!((page.matches("<circle").count(), page.matches("line first").count()), (2, 1), "{page}");
        assert!(page.contains("verdict valid") && !page.contains("INVALID"));
        let differing = Difference { name: "rate".into(), a: "5/s".into(), b: "<script>".into() };
        let page = comparison_html(&all, &[differing], None);
        assert_page(&page);
        assert!(page.contains("<p>rate: 5/s in A, &lt;script&gt; in B</p>"), "{page}");
        let page = comparison_html(&all, &[], Some("in 1 of 10 runs the generator was the limit"));
        assert_page(&page);
        assert!(page.contains("<strong>INVALID</strong>: in 1 of 10 runs"));
    }

    #[test]
    fn a_search_is_a_page_with_its_answer_and_all_steps() {
        let mut knee = Knee::new(KneeSearch { start: Rate::clamped(100.0), ..KneeSearch::default() });
        let mut trials = Vec::new();
        while let Step::Try(rate) = knee.next_step() {
            let good = rate.per_second() < 500.0;
            let outcome = if good { Outcome::Met } else { Outcome::Missed(vec!["p99 is 9 ms <b>".into()]) };
            let time = Latency::of([if good { 1_000_000 } else { 9_000_000 }; 200]);
            trials.push(Trial { rate, outcome: outcome.clone(), answered_per_second: rate.per_second(), time });
            knee.report(outcome);
        }
        let page = knee_html("http://a/", "p99<5ms", &knee, &trials);
        assert_page(&page);
        assert_eq!(page.matches("<circle").count(), trials.len());
        assert!(page.contains(&escape(&knee.answer().unwrap().sentence())) && page.contains("p99&lt;5ms"), "{page}");
        assert!(page.contains("p99 is 9 ms &lt;b&gt;"));
        // Interrupted before the first step was over.
        let page = knee_html("http://a/", "p99<5ms", &Knee::new(KneeSearch::default()), &[]);
        assert_page(&page);
        assert!(page.contains("INVALID") && page.contains("No step was answered"));
    }
}
