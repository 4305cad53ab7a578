//! The saved run.

use std::collections::BTreeMap;

use load::{Latency, Run, SCHEMA};
use serde::Serialize;

use super::{PERCENTILES, percentile_name};

/// The run as it is saved: a summary to read with `jq`, and then everything, distributions included. One line.
///
/// Distributions are `{count, min_ns, max_ns, sum_ns, buckets: [[middle_ns, count], ...]}`.
pub fn json(run: &Run) -> String {
    let saved = Saved { schema: run.schema, summary: Summary::of(run), run };
    let mut text =
        serde_json::to_string(&saved).expect("a run consists of numbers, texts and lists, with texts for keys");
    text.push('\n');
    text
}

/// Reads a saved run; what is wrong with it in a sentence.
pub fn from_json(text: &str) -> Result<Run, String> {
    #[derive(serde::Deserialize)]
    struct Version {
        schema: u32,
    }
    #[derive(serde::Deserialize)]
    struct Read {
        run: Run,
    }
    let version: Version = serde_json::from_str(text).map_err(|e| format!("this is no saved run: {e}"))?;
    if version.schema != SCHEMA {
        return Err(format!("this run was saved in form {}, and only form {SCHEMA} can be read", version.schema));
    }
    serde_json::from_str::<Read>(text).map(|read| read.run).map_err(|e| format!("this saved run is damaged: {e}"))
}

#[derive(Serialize)]
struct Saved<'a> {
    schema: u32,
    summary: Summary,
    run: &'a Run,
}

#[derive(Serialize)]
struct Summary {
    valid: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    interrupted: Option<String>,
    seconds: f64,
    answered: u64,
    errors: u64,
    answered_per_second: f64,
    answered_per_cpu_second: Option<f64>,
    service: Option<Times>,
    response: Option<Times>,
}

impl Summary {
    fn of(run: &Run) -> Summary {
        Summary {
            valid: run.verdict.is_valid(),
            interrupted: run.interrupted.clone(),
            seconds: run.seconds(),
            answered: run.totals.answered,
            errors: run.totals.errors.total(),
            answered_per_second: run.answered_per_second(),
            answered_per_cpu_second: run.answered_per_cpu_second(),
            service: Times::of(&run.totals.service),
            response: Times::of(&run.totals.response),
        }
    }
}

/// In nanoseconds.
#[derive(Serialize)]
struct Times {
    mean_ns: f64,
    deviation_ns: f64,
    min_ns: u64,
    percentiles_ns: BTreeMap<String, u64>,
}

impl Times {
    fn of(latency: &Latency) -> Option<Times> {
        (!latency.is_empty()).then(|| Times {
            mean_ns: latency.mean_ns(),
            deviation_ns: latency.deviation_ns(),
            min_ns: latency.min_ns(),
            percentiles_ns: PERCENTILES.into_iter().map(|p| (percentile_name(p), latency.percentile_ns(p))).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn a_saved_run_comes_back_whole() {
        for run in [sample::open_loop(), sample::closed_loop(), sample::unanswered(), sample::hostile()] {
            let text = json(&run);
            let back = from_json(&text).unwrap();
            // Without `assert_eq`, which would print thousands of buckets.
            assert!(back.totals == run.totals && back.timeline == run.timeline && back.verdict == run.verdict);
            assert_eq!((&back.settings, back.elapsed_ns, back.cpu_ns), (&run.settings, run.elapsed_ns, run.cpu_ns));
            assert!(json(&back) == text);
            assert_eq!(text.lines().count(), 1);
        }
    }

    #[test]
    fn the_summary_can_be_read_without_knowing_the_rest() {
        let run = sample::open_loop();
        let value: serde_json::Value = serde_json::from_str(&json(&run)).unwrap();
        assert_eq!((&value["schema"], &value["summary"]["valid"]), (&1.into(), &true.into()));
        assert_eq!(value["summary"]["answered_per_second"], 9_995.0);
        let p99 = &value["summary"]["response"]["percentiles_ns"]["p99"];
        assert_eq!(p99.as_u64(), Some(run.totals.response.percentile_ns(99.0)));
        let closed: serde_json::Value = serde_json::from_str(&json(&sample::closed_loop())).unwrap();
        assert!(closed["summary"]["response"].is_null());
    }

    #[test]
    fn what_is_no_saved_run_is_said() {
        assert!(from_json("hello").unwrap_err().starts_with("this is no saved run: "));
        assert_eq!(
            from_json(r#"{"schema":9}"#).unwrap_err(),
            "this run was saved in form 9, and only form 1 can be read"
        );
        assert!(from_json(r#"{"schema":1,"run":{}}"#).unwrap_err().starts_with("this saved run is damaged: "));
    }
}
