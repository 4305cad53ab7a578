use super::*;
use crate::random::Random;

/// Times of all sizes: spread evenly over seven orders of magnitude.
fn times(seed: u64, count: usize) -> Vec<u64> {
    let mut random = Random::new(seed);
    (0..count).map(|_| 10f64.powf(3.0 + 7.0 * random.unit()) as u64).collect()
}

fn true_percentile(sorted: &[u64], percent: f64) -> u64 {
    let rank = (percent / 100.0 * sorted.len() as f64 - 1e-6).ceil().max(1.0) as usize;
    sorted[rank - 1]
}

const PERCENTS: [f64; 8] = [0.0, 1.0, 25.0, 50.0, 90.0, 99.0, 99.9, 99.99];

fn assert_within(latency: &Latency, sorted: &[u64], share: f64) {
    for percent in PERCENTS {
        let (truth, got) = (true_percentile(sorted, percent) as f64, latency.percentile_ns(percent) as f64);
        assert!((got - truth).abs() <= truth * share + 1.0, "p{percent}: {got} for {truth}");
    }
}

#[test]
fn percentiles_are_within_the_stated_precision() {
    let mut values = times(1, 100_000);
    let latency = Latency::of(values.iter().copied());
    values.sort_unstable();
    assert_within(&latency, &values, 0.001);
    let mean = values.iter().sum::<u64>() as f64 / values.len() as f64;
    assert!((latency.mean_ns() - mean).abs() < 1.0);
    assert_eq!((latency.min_ns(), latency.max_ns()), (values[0], values[values.len() - 1]));
    assert_eq!(latency.percentile_ns(100.0), latency.max_ns());
}

#[test]
fn coarse_percentiles_are_within_theirs_and_take_little() {
    let mut values = times(2, 100_000);
    let mut latency = Latency::of(values.iter().copied());
    let fine = latency.buckets().len();
    latency.coarsen();
    values.sort_unstable();
    assert_within(&latency, &values, 0.008);
    assert!(latency.buckets().len() < 1_600 && latency.buckets().len() < fine / 8, "{}", latency.buckets().len());
    let once = latency.clone();
    latency.coarsen();
    assert_eq!(latency, once, "coarsening twice changes nothing");
    assert_eq!(latency.buckets().iter().map(|b| b.1).sum::<u64>(), latency.count());
}

#[test]
fn parts_merge_to_what_the_whole_gives() {
    let values = times(3, 30_000);
    let whole = Latency::of(values.iter().copied());
    let mut parts = Latency::default();
    for part in values.chunks(7_001) {
        parts.merge(&Latency::of(part.iter().copied()));
    }
    assert_eq!(parts.buckets(), whole.buckets());
    assert_eq!((parts.count(), parts.min_ns(), parts.max_ns()), (whole.count(), whole.min_ns(), whole.max_ns()));
    assert!((parts.mean_ns() - whole.mean_ns()).abs() < 1e-3);
}

#[test]
fn few_and_equal_times_give_those_times() {
    let one = Latency::of([1_234_567]);
    assert!(PERCENTS.iter().all(|p| one.percentile_ns(*p) == 1_234_567));
    let equal = Latency::of([777_777; 1_000]);
    assert!(PERCENTS.iter().all(|p| equal.percentile_ns(*p) == 777_777));
    assert_eq!(Latency::default().percentile_ns(99.0), 0);
    assert_eq!(Latency::of([0]).max_ns(), 0);
    // 999 of 1000 are short: p99.9 is still short, anything above is not.
    let mut stepped = vec![1_000; 999];
    stepped.push(1_000_000);
    let stepped = Latency::of(stepped);
    assert_eq!(stepped.percentile_ns(99.9), 1_000);
    assert_eq!(stepped.percentile_ns(99.91), 1_000_000);
}

#[test]
fn a_time_beyond_the_buckets_is_kept_in_the_maximum_and_the_mean() {
    let long = Latency::of([u64::MAX / 4]);
    assert_eq!((long.max_ns(), long.count()), (u64::MAX / 4, 1));
    assert_eq!(long.percentile_ns(50.0), u64::MAX / 4);
}

#[test]
fn failures_push_the_percentile_of_all_up_and_at_last_out() {
    let answered = Latency::of((1..=990).map(|n| n * 1_000));
    let ms = |p, total| answered.percentile_of_all_ns(p, total).map(|ns| (ns as f64 / 1e3).round() as u64);
    assert_eq!(ms(50.0, 990), Some(495));
    assert_eq!(ms(50.0, 1_000), Some(500));
    assert_eq!(ms(99.0, 1_000), Some(990));
    assert_eq!(ms(99.1, 1_000), None, "nine in ten of the failed 1 % cannot be called fast");
    assert_eq!(Latency::default().percentile_of_all_ns(50.0, 0), None);
}

#[test]
fn shares_within_a_bound() {
    let latency = Latency::of((1..=100).map(|n| n * 1_000_000));
    assert!((latency.share_within(50_100_000) - 0.5).abs() < 1e-9);
    assert_eq!(latency.share_within(100_000_000), 1.0);
    assert_eq!(latency.share_within(10), 0.0);
}

#[test]
fn a_saved_distribution_comes_back_and_a_forged_one_does_not() {
    let latency = Latency::of(times(4, 1_000));
    let text = serde_json::to_string(&latency).unwrap();
    assert_eq!(serde_json::from_str::<Latency>(&text).unwrap(), latency);
    for forged in [
        r#"{"count":2,"min_ns":1,"max_ns":1,"sum_ns":1.0,"buckets":[[1,1]]}"#,
        r#"{"count":2,"min_ns":1,"max_ns":2,"sum_ns":1.0,"buckets":[[2,1],[1,1]]}"#,
        r#"{"count":1,"min_ns":3,"max_ns":1,"sum_ns":1.0,"buckets":[[1,1]]}"#,
        r#"{"count":1,"min_ns":1,"max_ns":1,"sum_ns":1.0,"buckets":[[1,18446744073709551615],[2,2]]}"#,
    ] {
        assert!(serde_json::from_str::<Latency>(forged).is_err(), "{forged}");
    }
}
