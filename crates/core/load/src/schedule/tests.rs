use super::*;
use crate::rate::Rate;

const SECOND: u64 = 1_000_000_000;

fn rate(per_second: f64) -> Rate {
    Rate::new(per_second).unwrap()
}

#[test]
fn a_constant_schedule_does_not_drift() {
    for per_second in [1.0, 3.0, 7_000.0, 20_000.0, 333_333.0] {
        let schedule = Schedule::new(RatePlan::constant(rate(per_second)), Arrivals::Constant, 1);
        for (n, at_ns) in schedule.take(300_000).enumerate() {
            let exact = (n as u128 * u128::from(SECOND)) / per_second as u128;
            assert!(u128::from(at_ns).abs_diff(exact) <= 1, "send {n} at {at_ns}, not {exact}");
        }
    }
}

#[test]
fn after_eleven_days_it_still_stands_to_the_nanosecond() {
    // The same function that the iterator uses, at the request number 20 billion.
    let plan = RatePlan::constant(rate(20_000.0));
    let n = 20_000_000_123u64;
    let exact = u128::from(n) * u128::from(SECOND) / 20_000;
    let at_ns = plan.time_of(n as f64, &mut 0).unwrap();
    assert!(u128::from(at_ns).abs_diff(exact) <= 1, "{at_ns} {exact}");
}

#[test]
fn workers_take_turns_and_together_keep_the_plan() {
    let plan = RatePlan::steps(&[rate(1_000.0), rate(3_000.0)], SECOND);
    let mut shared: Vec<u64> =
        (0..3).flat_map(|w| Schedule::share(plan.clone(), Arrivals::Constant, 9, w, 3)).collect();
    shared.sort_unstable();
    let alone: Vec<u64> = Schedule::new(plan, Arrivals::Constant, 9).collect();
    assert_eq!(shared, alone);
    assert_eq!(alone.len(), 4_000);
}

#[test]
fn poisson_gaps_have_the_mean_and_the_variance_of_an_exponential() {
    let per_second = 10_000.0;
    let plan = RatePlan::constant(rate(per_second));
    let times: Vec<u64> = Schedule::new(plan, Arrivals::Poisson, 42).take(400_000).collect();
    let gaps: Vec<f64> = times.windows(2).map(|w| (w[1] - w[0]) as f64 / 1e9 * per_second).collect();
    let n = gaps.len() as f64;
    let mean = gaps.iter().sum::<f64>() / n;
    let variance = gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / n;
    // Deviations of the estimates: 1 / sqrt(n) and sqrt(8 / n); four of them.
    assert!((mean - 1.0).abs() < 4.0 / n.sqrt(), "{mean}");
    assert!((variance - 1.0).abs() < 4.0 * (8.0 / n).sqrt(), "{variance}");
    // Gaps do not foretell one another.
    let lag_one = gaps.windows(2).map(|w| (w[0] - mean) * (w[1] - mean)).sum::<f64>() / n / variance;
    assert!(lag_one.abs() < 4.0 / n.sqrt(), "{lag_one}");
}

#[test]
fn poisson_counts_vary_as_much_as_they_are_large_also_when_workers_share() {
    let plan = RatePlan::steps(&[rate(2_000.0)], 1_000 * SECOND);
    let mut counts = vec![0.0f64; 1_000];
    for worker in 0..4 {
        for at_ns in Schedule::share(plan.clone(), Arrivals::Poisson, 7, worker, 4) {
            counts[(at_ns / SECOND) as usize] += 1.0;
        }
    }
    let mean = counts.iter().sum::<f64>() / 1_000.0;
    let variance = counts.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / 1_000.0;
    assert!((mean - 2_000.0).abs() < 4.0 * (2_000f64 / 1_000.0).sqrt(), "{mean}");
    // The dispersion of 1,000 counts is 1 with a deviation of sqrt(2 / 1000).
    assert!((variance / mean - 1.0).abs() < 4.0 * (2f64 / 1_000.0).sqrt(), "{}", variance / mean);
}

#[test]
fn a_ramp_holds_the_integral_of_its_rate_at_every_request() {
    let plan = RatePlan::ramp(rate(1_000.0), rate(50_000.0), 10 * SECOND);
    let times: Vec<u64> = Schedule::new(plan.clone(), Arrivals::Constant, 1).collect();
    assert_eq!(times.len(), 255_000, "the mean rate times the span");
    assert!(times.is_sorted());
    for (n, at_ns) in times.iter().enumerate() {
        let ahead = plan.requests_before(*at_ns);
        assert!((ahead - n as f64).abs() < 1e-3, "request {n} has {ahead} before it");
    }
    // Downwards, and nearly to nothing, where the naive root would lose its digits.
    let down = RatePlan::ramp(rate(50_000.0), rate(0.001), 2 * SECOND);
    let times: Vec<u64> = Schedule::new(down.clone(), Arrivals::Constant, 1).collect();
    assert!(times.len() == 50_000 || times.len() == 50_001, "{}", times.len());
    assert!(times.is_sorted() && times.iter().all(|t| *t <= 2 * SECOND));
}

#[test]
fn a_poisson_ramp_follows_its_rate() {
    let plan = RatePlan::ramp(rate(1_000.0), rate(9_000.0), 100 * SECOND);
    let mut by_tenth = [0.0f64; 10];
    for at_ns in Schedule::new(plan.clone(), Arrivals::Poisson, 3) {
        by_tenth[((at_ns / (10 * SECOND)) as usize).min(9)] += 1.0;
    }
    for (tenth, count) in by_tenth.iter().enumerate() {
        let start = tenth as u64 * 10 * SECOND;
        let expected = plan.requests_before(start + 10 * SECOND) - plan.requests_before(start);
        assert!((count - expected).abs() < 4.5 * expected.sqrt(), "tenth {tenth}: {count} for {expected}");
    }
}

#[test]
fn steps_hold_each_rate_for_its_span_and_then_end_or_go_on() {
    let rates = [rate(100.0), rate(1_000.0), rate(500.0)];
    let plan = RatePlan::steps(&rates, 2 * SECOND);
    let times: Vec<u64> = Schedule::new(plan.clone(), Arrivals::Constant, 1).collect();
    let in_step = |k: u64| times.iter().filter(|t| **t / (2 * SECOND) == k).count();
    assert_eq!([in_step(0), in_step(1), in_step(2)], [200, 2_000, 1_000]);
    assert_eq!(plan.end_ns(), Some(6 * SECOND));
    assert_eq!(plan.rate_at(SECOND), Some(rates[0]));
    assert_eq!(plan.rate_at(2 * SECOND), Some(rates[1]));
    assert_eq!(plan.rate_at(6 * SECOND), None);

    let held = plan.held();
    assert_eq!((held.end_ns(), held.rate_at(60 * SECOND)), (None, Some(rates[2])));
    let at_ns = Schedule::new(held.clone(), Arrivals::Constant, 1).nth(3_200).unwrap();
    assert_eq!(at_ns, 6 * SECOND);
    assert_eq!(held.requests_before(8 * SECOND), 4_200.0);
    assert_eq!(held.corners().len(), 4);
}

#[test]
fn a_warm_up_stands_before_the_plan_at_its_first_rate() {
    let plan = RatePlan::ramp(rate(100.0), rate(300.0), SECOND).after_warm_up(2 * SECOND);
    assert_eq!(plan.end_ns(), Some(3 * SECOND));
    assert_eq!(plan.requests_before(2 * SECOND), 200.0);
    assert_eq!(plan.requests_before(3 * SECOND), 400.0);
    let constant = RatePlan::constant(rate(100.0)).after_warm_up(SECOND);
    assert_eq!((constant.end_ns(), constant.requests_before(5 * SECOND)), (None, 500.0));
}

#[test]
fn the_same_seed_gives_the_same_schedule_and_workers_differ() {
    let plan = || RatePlan::constant(rate(100.0));
    let of = |seed, worker| Schedule::share(plan(), Arrivals::Poisson, seed, worker, 2).take(50).collect::<Vec<_>>();
    assert_eq!(of(1, 0), of(1, 0));
    assert_ne!(of(1, 0), of(1, 1));
    assert_ne!(of(1, 0), of(2, 0));
}
