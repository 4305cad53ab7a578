//! The latency curve: which share of the answers took longer than how long.

use load::{Latency, Run, words};

use super::svg::{Picture, Scale, tick};

/// The section with the curve and its table; empty when nothing was answered.
pub(super) fn section(run: &Run) -> String {
    let totals = &run.totals;
    if totals.service.is_empty() {
        return String::new();
    }
    let open = !totals.response.is_empty();
    let lead = if open {
        "Response time counts from the planned send, service time from the send itself. What lies between the two is waiting \
         that a closed loop would not have seen."
    } else {
        "Service time, from the send to the whole answer. A closed loop has no plan to measure from."
    };
    let mut legend = String::from("<div class=\"legend\">");
    if open {
        legend += "<span><i class=\"second\"></i>response time</span>";
    }
    legend += "<span><i class=\"first\"></i>service time</span></div>\n";
    format!(
        "<section>\n<h2>Latency by percentile</h2>\n<p class=\"quiet small\">{lead}</p>\n{legend}{}</section>\n",
        picture(run)
    )
}

fn picture(run: &Run) -> String {
    let totals = &run.totals;
    let both = [&totals.service, &totals.response];
    let present = || both.into_iter().filter(|l| !l.is_empty());
    let low = present().map(|l| l.percentile_ns(0.1)).min().unwrap_or(1);
    let high = present().map(Latency::max_ns).max().unwrap_or(1);
    let mut picture = Picture::new(
        320.0,
        Scale::log(low as f64 * 0.9, high as f64 * 1.1),
        "Latency by percentile, both axes logarithmic",
    );
    let nines = (totals.headline().count() as f64).log10().max(1.0);
    picture.y_axis(tick);
    for (percent, name) in TICKS {
        let share = nines_of(percent) / nines;
        if share <= 1.0 {
            picture.x_tick(share, name);
        }
    }
    picture.baseline();
    for (class, latency) in ["first", "second"].into_iter().zip(both) {
        picture.line(class, points(latency, nines).into_iter().map(|(x, ns)| (x, Some(ns))));
    }
    for percent in [50.0, 90.0, 99.0, 99.9, 99.99, 99.999] {
        let share = nines_of(percent) / nines;
        if share > 1.0 {
            break;
        }
        let latency = totals.headline();
        let (x, y) = (picture.across(share), picture.at(latency.percentile_ns(percent) as f64));
        let text = words::time(latency.percentile_ns(percent));
        picture.add(format_args!("<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>", y - 7.0));
    }
    picture.end()
}

const TICKS: [(f64, &str); 9] = [
    (0.0, "0 %"),
    (50.0, "50 %"),
    (90.0, "90 %"),
    (99.0, "99 %"),
    (99.9, "99.9 %"),
    (99.99, "99.99 %"),
    (99.999, "99.999 %"),
    (99.9999, "99.9999 %"),
    (99.999_99, "99.99999 %"),
];

/// How many nines a percentile has: 90 is one, 99 two.
fn nines_of(percent: f64) -> f64 {
    -(1.0 - percent / 100.0).log10()
}

/// The curve as shares of the width and times, at most one point for every two units of the width.
fn points(latency: &Latency, nines: f64) -> Vec<(f64, f64)> {
    let count = latency.count() as f64;
    let mut points: Vec<(f64, f64)> = Vec::new();
    let mut seen = 0;
    for bucket in latency.buckets() {
        let before = seen;
        seen += bucket.1;
        // Each step of the curve begins where the share of its first answer lies.
        let share = (nines_of(before as f64 / count * 100.0) / nines).min(1.0);
        let far = points.last().is_none_or(|last| share - last.0 > 1.0 / 500.0);
        if far {
            points.push((share, bucket.0.clamp(latency.min_ns(), latency.max_ns()) as f64));
        }
    }
    points.push((1.0, latency.max_ns() as f64));
    if latency.is_empty() { Vec::new() } else { points }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_rises_from_the_shortest_to_the_longest_with_few_points() {
        let latency = Latency::of((0..200_000u64).map(|n| 1_000 + n * 13));
        let points = points(&latency, 200_000f64.log10());
        assert!(points.len() < 510, "{}", points.len());
        assert!(points.windows(2).all(|w| w[0].0 <= w[1].0 && w[0].1 <= w[1].1));
        assert_eq!((points[0].0, points[points.len() - 1]), (0.0, (1.0, latency.max_ns() as f64)));
        // The point at 90 % shows the 90th percentile.
        let nines = 200_000f64.log10();
        let near =
            points.iter().min_by(|a, b| (a.0 - 1.0 / nines).abs().total_cmp(&(b.0 - 1.0 / nines).abs())).unwrap();
        assert!((near.1 / latency.percentile_ns(90.0) as f64 - 1.0).abs() < 0.01, "{near:?}");
    }
}
