//! The answers of `compare` and `find-max`, for a terminal.

use load::compare::{Comparison, Difference};
use load::{Knee, Outcome, words};

use super::text::{left, printable, right, wrapped};

const WIDTH: usize = 100;
/// Of a name; the table is then as wide as the page.
const NAME_MAX: usize = 31;

/// The verdicts of a comparison, one for each metric, with the medians behind them.
pub fn comparison(comparisons: &[Comparison]) -> String {
    let mut out = String::new();
    let Some(first) = comparisons.first() else { return out };
    let names = [&first.a, &first.b].map(|name| printable(name, NAME_MAX));
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(24);
    out += &format!(
        "  {}{}  {}  {}\n",
        left("median of", 20),
        right(&names[0], width),
        right(&names[1], width),
        right("effect", 8)
    );
    for comparison in comparisons {
        let metric = comparison.metric;
        let medians = [comparison.a_median, comparison.b_median].map(|value| right(&metric.show(value), width));
        let effect = comparison.ratio - 1.0;
        let effect = format!("{}{}", if effect > 0.0 { "+" } else { "" }, words::percent(effect));
        out += &format!("  {}{}  {}  {}\n", left(&metric.words(), 20), medians[0], medians[1], right(&effect, 8));
    }
    out.push('\n');
    for comparison in comparisons {
        paragraph(&mut out, &comparison.sentence());
    }
    out.push('\n');
    paragraph(&mut out, &first.method_sentence());
    out
}

/// In what the two runs that are compared differ; empty where they do not.
pub fn differences(names: [&str; 2], differences: &[Difference]) -> String {
    if differences.is_empty() {
        return String::new();
    }
    let mut out = String::new();
    paragraph(&mut out, DIFFER);
    for difference in differences {
        let [a, b] = [&difference.a, &difference.b].map(|value| printable(value, 200));
        out += &format!(
            "  {}: {a} in {}, {b} in {}\n",
            printable(&difference.name, 60),
            printable(names[0], 80),
            printable(names[1], 80)
        );
    }
    out.push('\n');
    out
}

/// What is said before them.
pub(super) const DIFFER: &str = "The runs were not asked to do the same; what follows is the effect of all of this:";

/// The steps of a search for the highest rate, and its answer.
pub fn knee(knee: &Knee) -> String {
    let mut out = format!("  {}  outcome\n", right("rate", 16));
    for tried in knee.tried() {
        let outcome = match &tried.outcome {
            Outcome::Met => "kept".to_owned(),
            Outcome::Missed(reasons) => format!("not kept: {}", reasons.join("; ")),
            Outcome::GeneratorLimit(reason) => format!("INVALID: {reason}"),
        };
        out += &format!("  {}  {}\n", right(&tried.rate.to_string(), 16), printable(&outcome, WIDTH));
    }
    if let Some(answer) = knee.answer() {
        out.push('\n');
        paragraph(&mut out, &answer.sentence());
    }
    out
}

fn paragraph(out: &mut String, sentence: &str) {
    for line in wrapped(&printable(sentence, 1_000), WIDTH) {
        *out += &line;
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use load::compare::Metric;
    use load::{KneeSearch, Rate, Step};

    use super::*;

    #[test]
    fn a_comparison_shows_medians_effects_and_verdicts() {
        let slower: Vec<_> = [1.06, 1.08, 1.07, 1.05, 1.09].map(|b| (1e6, b * 1e6)).into();
        let p99 = Comparison::paired(Metric::Percentile(99.0), "old", "new\x1b[2J", &slower).unwrap();
        let rate = Comparison::paired(Metric::Throughput, "old", "new\x1b[2J", &slower).unwrap();
        let text = comparison(&[p99, rate]);
        assert!(
            text.contains("  p99                                  1.00 ms                   1.07 ms      +7 %\n"),
            "{text}"
        );
        assert!(text.contains(r"new\u{1b}[2J is 7 % slower than old by p99 (95 %: 5 % to 9 %)."), "{text}");
        assert!(
            text.ends_with(
                "5 alternated rounds; the interval is Student's t of the logarithms of the rounds' ratios.\n"
            )
        );
        assert_eq!(comparison(&[]), "");
    }

    #[test]
    fn what_the_runs_differ_in_is_a_line_each() {
        let one = Difference { name: "rate".to_owned(), a: "-".to_owned(), b: "5/s\x1b[2J".to_owned() };
        let text = differences(["a.json", "b.json"], &[one]);
        assert!(text.ends_with(":\n  rate: - in a.json, 5/s\\u{1b}[2J in b.json\n\n"), "{text}");
        assert_eq!(differences(["a", "b"], &[]), "");
    }

    #[test]
    fn a_search_shows_its_steps_and_its_answer() {
        let mut search = Knee::new(KneeSearch { start: Rate::clamped(1_000.0), ..KneeSearch::default() });
        while let Step::Try(rate) = search.next_step() {
            let missed = || Outcome::Missed(vec!["p99 was 7.00 ms, not below 5.00 ms".to_owned()]);
            search.report(if rate.per_second() < 3_000.0 { Outcome::Met } else { missed() });
        }
        let text = knee(&search);
        assert!(
            text.contains("         1,000/s  kept\n") && text.contains("4,000/s  not kept: p99 was 7.00 ms"),
            "{text}"
        );
        assert!(text.contains("\nThe target keeps the objective up to 2,"), "{text}");
    }
}
