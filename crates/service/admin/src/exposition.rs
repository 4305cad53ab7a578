//! Metrics in Prometheus' text format, made anew for each scrape.

use metrics::{Key, KeyName, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};

/// The figures of one scrape. What they count lies elsewhere, in the workers' own counters; here they are only written down, so
/// that a server that is gone leaves no figure behind. Names and labels are made valid for Prometheus where they are not.
pub struct Exposition {
    recorder: PrometheusRecorder,
}

/// None of it is a level; the recorder asks all the same.
const METADATA: Metadata<'static> = Metadata::new("tollgate", Level::INFO, None);

impl Exposition {
    /// Without a figure.
    #[expect(clippy::new_without_default, reason = "making one is not free")]
    pub fn new() -> Exposition {
        Exposition { recorder: PrometheusBuilder::new().build_recorder() }
    }

    /// A figure that only goes up, from the start of the process on.
    pub fn counter(&mut self, name: &'static str, help: &'static str, labels: &[(&'static str, &str)], value: u64) {
        self.recorder.describe_counter(KeyName::from(name), None, help.into());
        self.recorder.register_counter(&key(name, labels), &METADATA).absolute(value);
    }

    /// A figure that goes up and down. One whose name ends with `_total` is a counter with fractions.
    pub fn gauge(&mut self, name: &'static str, help: &'static str, labels: &[(&'static str, &str)], value: f64) {
        self.recorder.describe_gauge(KeyName::from(name), None, help.into());
        self.recorder.register_gauge(&key(name, labels), &METADATA).set(value);
    }

    /// The text, sorted by name and label.
    pub fn render(&self) -> String {
        let text = self.recorder.handle().render();
        let mut families: Vec<&str> = text.split("\n\n").filter(|family| !family.is_empty()).collect();
        families.sort_by_key(|family| family.lines().last());
        let mut sorted = String::with_capacity(text.len());
        for family in families {
            let (comments, mut samples): (Vec<&str>, Vec<&str>) =
                family.lines().partition(|line| line.starts_with('#'));
            samples.sort_unstable();
            for line in comments.into_iter().chain(samples) {
                // The recorder has no counters but whole ones.
                match line.strip_suffix("_total gauge") {
                    Some(before) if line.starts_with("# TYPE ") => sorted.extend([before, "_total counter"]),
                    _ => sorted.push_str(line),
                }
                sorted.push('\n');
            }
        }
        sorted
    }
}

fn key(name: &'static str, labels: &[(&'static str, &str)]) -> Key {
    let labels: Vec<Label> = labels.iter().map(|(name, value)| Label::new(*name, (*value).to_owned())).collect();
    Key::from_parts(name, labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_prometheus_reads() {
        let mut exposition = Exposition::new();
        exposition.gauge("b_open", "What is open.", &[], 2.0);
        exposition.counter("a_total", "What was done.", &[("server", "say \"x\"\n")], 7);
        exposition.counter("a_total", "What was done.", &[("server", "another")], u64::MAX);
        exposition.gauge("c_seconds_total", "Time that was taken.", &[], 1.5);
        let expected = "# HELP a_total What was done.\n# TYPE a_total counter\na_total{server=\"another\"} 18446744073709551615\n\
                        a_total{server=\"say \\\"x\\\"\\n\"} 7\n# HELP b_open What is open.\n# TYPE b_open gauge\nb_open 2\n\
                        # HELP c_seconds_total Time that was taken.\n# TYPE c_seconds_total counter\nc_seconds_total 1.5\n";
        assert_eq!(exposition.render(), expected);
    }

    #[test]
    fn nothing_is_nothing() {
        assert_eq!(Exposition::new().render(), "");
    }
}
