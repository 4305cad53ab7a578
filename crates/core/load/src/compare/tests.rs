use super::*;
use crate::latency::Latency;
use crate::run::Settings;

/// Rounds of two servers, B `effect` times as slow as A: noise of each run, and a drift that both share.
fn rounds(random: &mut Random, count: usize, effect: f64, noise: f64) -> Vec<(f64, f64)> {
    let mut drift = 0.0;
    let round = |_| {
        drift += 0.05 * random.normal();
        let a = (drift + noise * random.normal()).exp();
        (a, effect * (drift + noise * random.normal()).exp())
    };
    (0..count).map(round).collect()
}

fn paired(rounds: &[(f64, f64)]) -> Comparison {
    Comparison::paired(Metric::Percentile(99.0), "A", "B", rounds).unwrap()
}

#[test]
fn the_interval_covers_the_truth_in_95_of_100_comparisons() {
    let mut random = Random::new(20_261);
    for (count, effect) in [(5, 1.0), (10, 1.07), (15, 0.8)] {
        let repeats = 4_000;
        let covered = (0..repeats)
            .filter(|_| {
                let result = paired(&rounds(&mut random, count, effect, 0.03));
                (result.low..=result.high).contains(&effect)
            })
            .count();
        let share = covered as f64 / f64::from(repeats);
        // The deviation of the estimate is 0.34 %; four of them.
        assert!((share - 0.95).abs() < 0.014, "{count} rounds: {share}");
    }
}

#[test]
fn noise_with_spikes_does_not_make_it_claim_differences() {
    // One run in ten is hit by something that makes it up to half as slow again.
    let mut random = Random::new(3);
    let repeats = 4_000;
    let spiked = |random: &mut Random| {
        let spike = if random.below(10) == 0 { 0.4 * random.unit() } else { 0.0 };
        (0.02 * random.normal() + spike).exp()
    };
    let claimed = (0..repeats)
        .filter(|_| {
            let rounds: Vec<_> = (0..10).map(|_| (spiked(&mut random), spiked(&mut random))).collect();
            paired(&rounds).is_shown()
        })
        .count();
    let share = claimed as f64 / f64::from(repeats);
    assert!(share < 0.06, "a difference was claimed in {share} of the comparisons of equals");
}

#[test]
fn what_it_calls_detectable_is_found_in_four_of_five() {
    let mut random = Random::new(8);
    let noise = 0.03;
    // The error of the mean of 10 log-ratios, each with the noise of two runs.
    let error = noise * (2f64 / 10.0).sqrt();
    let effect = ((student::quantile(0.975, 9.0) + student::quantile(0.8, 9.0)) * error).exp();
    let mut stated = 0.0;
    let repeats = 4_000;
    let found = (0..repeats)
        .filter(|_| {
            let result = paired(&rounds(&mut random, 10, effect, noise));
            stated += result.detectable;
            result.is_shown()
        })
        .count();
    let share = found as f64 / f64::from(repeats);
    assert!((0.77..0.85).contains(&share), "{share}");
    let stated = stated / f64::from(repeats);
    assert!((stated / (effect - 1.0) - 1.0).abs() < 0.06, "{stated} for {effect}");
}

#[test]
fn verdicts_are_sentences() {
    let slower: Vec<_> = [1.06, 1.08, 1.07, 1.05, 1.09].map(|b| (1e6, b * 1e6)).into();
    let result = paired(&slower);
    assert_eq!(result.sentence(), "B is 7 % slower than A by p99 (95 %: 5 % to 9 %).");
    assert_eq!((result.a_median, result.b_median, result.rounds), (1e6, 1.07e6, 5));
    let faster: Vec<_> = slower.iter().map(|(a, b)| (*b, *a)).collect();
    assert_eq!(paired(&faster).sentence(), "B is 6.5 % faster than A by p99 (95 %: 4.8 % to 8.2 %).");
    let throughput = Comparison::paired(Metric::Throughput, "old", "new", &slower).unwrap();
    assert_eq!(throughput.sentence(), "new is 7 % faster than old by requests per second (95 %: 5 % to 9 %).");
    let equal: Vec<_> = [0.97, 1.04, 1.0, 0.98, 1.02].map(|b| (1e6, b * 1e6)).into();
    assert_eq!(
        paired(&equal).sentence(),
        "No difference between A and B could be shown by p99 (95 %: B from 3.3 % faster to 3.8 % slower); \
         a difference of 4.9 % would have been seen in 4 of 5 such comparisons."
    );
}

#[test]
fn too_little_to_compare_is_said() {
    let one = Comparison::paired(Metric::Mean, "A", "B", &[(1.0, 2.0)]);
    assert_eq!(
        one.unwrap_err().to_string(),
        "the comparison is too short to compare: it has 1 of the 2 whole rounds that are needed to tell a difference from chance"
    );
    for bad in [0.0, f64::NAN, f64::INFINITY, -1.0] {
        let none = Comparison::paired(Metric::Mean, "A", "B", &[(1.0, 2.0), (1.0, bad)]).unwrap_err();
        assert_eq!(none.to_string(), "B: nothing was answered in round 2, so that there is nothing to compare");
    }
}

#[test]
fn either_side_goes_first_in_every_other_round() {
    for seed in 0..10 {
        for round in 0..10 {
            let (now, next) = (order(round, seed), order(round + 1, seed));
            assert_ne!(now[0], now[1]);
            assert_eq!((now[0], now[1]), (next[1], next[0]));
        }
    }
    assert!((0..64).any(|seed| order(0, seed)[0] == Side::A) && (0..64).any(|seed| order(0, seed)[0] == Side::B));
}

/// A run of `seconds` whose answers took `time_ns`, give or take a share of `noise` that changes each second.
fn run(random: &mut Random, seconds: u64, time_ns: f64, noise: f64) -> Run {
    let mut run = Run::new("test", 0, Settings::default());
    for at in 0..seconds {
        let level = time_ns * (noise * random.normal()).exp();
        let counts = Counts {
            answered: 100,
            service: Latency::of((0..100).map(|_| (level * (0.5 + random.unit())) as u64)),
            ..Counts::default()
        };
        run.push(Second { at_ns: at * 1_000_000_000, width_ns: 1_000_000_000, counts, ..Second::default() });
    }
    run
}

#[test]
fn two_saved_runs_are_compared_by_their_stretches() {
    let mut random = Random::new(77);
    let (a, b) = (run(&mut random, 60, 1e6, 0.05), run(&mut random, 45, 1.2e6, 0.05));
    let result = Comparison::of_runs(Metric::Percentile(50.0), ("a.json", &a), ("b.json", &b)).unwrap();
    assert!(result.is_shown() && result.low < 1.2 && result.high > 1.2, "{result:?}");
    assert_eq!(result.method, Method::Stretches);
    let same = Comparison::of_runs(Metric::Throughput, ("a", &a), ("b", &b)).unwrap();
    assert_eq!((same.ratio, same.is_shown()), (1.0, false), "both answered 100 a second, without any variation");
    let short = run(&mut random, 3, 1e6, 0.0);
    assert_eq!(
        Comparison::of_runs(Metric::Mean, ("a", &a), ("short", &short)).unwrap_err().to_string(),
        "short is too short to compare: it has 3 of the 4 whole seconds that are needed to tell a difference from chance"
    );
}

#[test]
fn stretches_of_equals_are_seldom_called_different() {
    let mut random = Random::new(5);
    let repeats = 160;
    let claimed = (0..repeats)
        .filter(|_| {
            let (a, b) = (run(&mut random, 12, 1e6, 0.1), run(&mut random, 12, 1e6, 0.1));
            Comparison::of_runs(Metric::Mean, ("a", &a), ("b", &b)).unwrap().is_shown()
        })
        .count();
    // 5 % of 160 are 8, with a deviation of 2.8.
    assert!((1..=19).contains(&claimed), "{claimed}");
}
