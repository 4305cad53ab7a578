//! The targets one by one, where there are several.

use std::fmt::Write;

use load::{Run, words};

use super::super::percentile_text;
use super::escape::escape;

/// A table of them; nothing where they were not told apart, or nothing was asked.
pub(super) fn section(run: &Run) -> String {
    let targets = &run.totals.targets;
    if targets.iter().all(|target| target.answered + target.failed == 0) {
        return String::new();
    }
    let mut out = String::from(
        "<section>\n<h2>By URL</h2>\n<table>\n<thead><tr><th></th><th class=\"number\">answered</th>\
         <th class=\"number\">errors</th><th class=\"number\">p50</th><th class=\"number\">p99</th></tr></thead>\n<tbody>\n",
    );
    for (counts, target) in targets.iter().zip(&run.settings.targets) {
        let times = [50.0, 99.0].map(|percent| percentile_text(&counts.time, percent));
        let cells = [words::count(counts.answered), words::count(counts.failed)].into_iter().chain(times);
        let cells: String = cells.map(|cell| format!("<td class=\"number\">{cell}</td>")).collect();
        let _ = writeln!(out, "<tr><th>{}</th>{cells}</tr>", escape(target));
    }
    out + "</tbody>\n</table>\n</section>\n"
}
