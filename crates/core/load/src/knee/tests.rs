use super::*;
use crate::random::Random;

fn rate(per_second: f64) -> Rate {
    Rate::new(per_second).unwrap()
}

fn missed() -> Outcome {
    Outcome::Missed(vec!["p99 was 9 ms, not below 5 ms".to_owned()])
}

/// Runs a search against `server`, which is asked for each step; checks what must hold in every search.
fn search(search: KneeSearch, mut server: impl FnMut(f64) -> Outcome) -> (Answer, Vec<Tried>) {
    let mut knee = Knee::new(search);
    while let Step::Try(rate) = knee.next_step() {
        assert_eq!(knee.next_step(), Step::Try(rate), "asking changes nothing");
        assert!(rate <= search.limit, "{rate} is above the limit");
        assert!(knee.answer().is_none());
        knee.report(server(rate.per_second()));
        assert!(knee.tried().len() <= search.steps_max as usize);
    }
    let answer = knee.answer().unwrap().clone();
    let steps = knee.tried().len();
    knee.report(Outcome::Met);
    assert_eq!(knee.tried().len(), steps, "a finished search takes nothing more");
    (answer, knee.tried().to_vec())
}

fn sharp(knee_at: f64) -> impl FnMut(f64) -> Outcome {
    move |rate| if rate <= knee_at { Outcome::Met } else { missed() }
}

#[test]
fn a_sharp_knee_is_found_to_the_resolution_wherever_it_lies() {
    for knee_at in [1.5, 37.0, 999.0, 1_000.0, 1_001.0, 20_480.0, 3_333_333.0] {
        let (answer, tried) = search(KneeSearch::default(), sharp(knee_at));
        let Answer::Knee { met, missed, ref reason } = answer else { panic!("{answer:?}") };
        assert!(met.per_second() <= knee_at && knee_at < missed.per_second(), "{knee_at}: {answer:?}");
        assert!(missed.per_second() / met.per_second() <= 1.05);
        assert_eq!(reason, "p99 was 9 ms, not below 5 ms");
        assert!(tried.len() < 45, "{knee_at}: {} steps", tried.len());
    }
}

#[test]
fn a_queue_with_measuring_noise_gives_its_knee_within_the_noise() {
    // M/M/1: the response time is exponential with rate mu - lambda, so that p99 = ln(100) / (mu - lambda).
    let (mu, bound) = (20_000.0, 0.005);
    let truth = mu - 100f64.ln() / bound;
    let mut random = Random::new(99);
    let mut worst: f64 = 0.0;
    for _ in 0..300 {
        let server = |lambda: f64| {
            let noise = (0.1 * random.normal()).exp();
            let p99 = if lambda < mu { 100f64.ln() / (mu - lambda) * noise } else { f64::INFINITY };
            if p99 < bound { Outcome::Met } else { missed() }
        };
        let (answer, _) = search(KneeSearch { resolution: 0.02, ..KneeSearch::default() }, server);
        let met = answer.met().unwrap().per_second();
        worst = worst.max((met / truth - 1.0).abs());
    }
    // Noise of 10 % in p99 moves its crossing of the bound by about 0.5 %; the resolution adds 2 %.
    assert!(worst < 0.035, "off by {worst}");
}

#[test]
fn hiccups_are_outvoted() {
    // One step in twenty goes wrong for no reason of the target.
    let mut random = Random::new(4);
    let mut close = 0;
    for _ in 0..500 {
        let server = |rate: f64| if rate > 10_000.0 || random.below(20) == 0 { missed() } else { Outcome::Met };
        let (answer, _) = search(KneeSearch::default(), server);
        if answer.met().is_some_and(|met| (9_500.0..=10_000.0).contains(&met.per_second())) {
            close += 1;
        }
    }
    assert!(close >= 460, "{close} of 500 searches found it");
}

#[test]
fn a_success_by_chance_on_the_way_up_is_found_out() {
    // The knee lies at 3,000/s, but the first try at 4,000/s succeeds.
    let mut lucky = true;
    let server = |rate: f64| match rate {
        4_000.0 if std::mem::take(&mut lucky) => Outcome::Met,
        _ if rate <= 3_000.0 => Outcome::Met,
        _ => missed(),
    };
    let (answer, _) = search(KneeSearch::default(), server);
    let Answer::Knee { met, missed, .. } = answer else { panic!("{answer:?}") };
    assert!(met.per_second() <= 3_000.0 && missed.per_second() > 3_000.0, "{answer:?}");
}

#[test]
fn a_server_that_never_fails_is_confirmed_at_the_limit() {
    let limit = rate(50_000.0);
    let (answer, tried) = search(KneeSearch { limit, ..KneeSearch::default() }, |_| Outcome::Met);
    assert_eq!(answer, Answer::NeverMissed { limit });
    assert_eq!(tried.iter().filter(|t| t.rate == limit).count(), 2, "one success at the limit is not enough");
    let sentence =
        "The target keeps the objective at 50,000/s, the highest rate that was to be tried; its knee lies above.";
    assert_eq!(answer.sentence(), sentence);
}

#[test]
fn a_server_that_always_fails_is_left_after_a_bounded_descent() {
    let (answer, tried) = search(KneeSearch::default(), |_| missed());
    let Answer::NeverMet { lowest, .. } = answer else { panic!("{answer:?}") };
    assert!((lowest.per_second() - 1_000.0 / 1_024.0).abs() < 1e-9);
    assert_eq!(tried.len(), 22, "eleven rates, each twice");
    assert!(answer.sentence().starts_with("The target does not keep the objective at any rate that was tried"));
}

#[test]
fn lateness_of_the_generator_is_no_excuse_where_the_objective_is_kept_all_the_same() {
    let outcome = |p99_ns: u64, code: Option<Code>| {
        let mut run = Run::new("test", 0, crate::Settings::default());
        run.totals.answered = 1_000;
        run.totals.service = crate::Latency::of([p99_ns; 1_000]);
        let finding = |code| crate::validity::Finding { code, sentence: "Late.".to_owned() };
        run.verdict.invalid.extend(code.map(finding));
        Outcome::of(&run, &"p99<5ms".parse().unwrap())
    };
    let limit = Outcome::GeneratorLimit("Late.".to_owned());
    assert_eq!(outcome(1_000_000, None), Outcome::Met);
    assert!(matches!(outcome(9_000_000, None), Outcome::Missed(_)));
    for late in [Code::SendLag, Code::CpuStarved, Code::CpuSaturated] {
        assert_eq!(outcome(1_000_000, Some(late)), Outcome::Met);
        assert_eq!(outcome(9_000_000, Some(late)), limit);
    }
    for missing in [Code::ScheduleNotKept, Code::LocalErrors] {
        assert_eq!(outcome(1_000_000, Some(missing)), limit, "the target was never asked for the rate");
    }
}

#[test]
fn where_the_generator_gives_out_the_target_is_not_blamed() {
    let generator = |rate: f64| match rate {
        _ if rate <= 30_000.0 => Outcome::Met,
        _ => Outcome::GeneratorLimit("The generator had no time left.".to_owned()),
    };
    let (answer, _) = search(KneeSearch::default(), generator);
    let Answer::GeneratorLimit { met: Some(met), limited, ref reason } = answer else { panic!("{answer:?}") };
    assert!(met.per_second() <= 30_000.0 && limited.per_second() > 30_000.0);
    assert_eq!(reason, "the generator had no time left");
    let (answer, _) = search(KneeSearch::default(), |_| Outcome::GeneratorLimit("no CPU".to_owned()));
    assert!(matches!(answer, Answer::GeneratorLimit { met: None, .. }), "{answer:?}");
}

#[test]
fn any_server_at_all_ends_the_search() {
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let repeats = random.below(5) as u32;
        let server = |_| match random.below(3) {
            0 => Outcome::Met,
            1 => missed(),
            _ => Outcome::GeneratorLimit("late".to_owned()),
        };
        let (answer, _) = search(KneeSearch { repeats, ..KneeSearch::default() }, server);
        assert!(answer.sentence().ends_with('.'), "{answer:?}");
        if let Answer::Knee { met, missed, .. } = answer {
            assert!(met < missed);
        }
    }
}

#[test]
fn the_steps_are_bounded_and_what_is_known_then_is_said() {
    let (answer, tried) = search(KneeSearch { steps_max: 5, ..KneeSearch::default() }, sharp(3_000.0));
    assert_eq!(tried.len(), 5);
    assert_eq!(answer, Answer::OutOfSteps { met: Some(rate(2_000.0)), missed: Some(rate(4_000.0)) });
    let (answer, _) = search(KneeSearch { steps_max: 0, ..KneeSearch::default() }, sharp(3_000.0));
    assert_eq!(answer.sentence(), "No step was allowed, so that nothing is known.");
}

#[test]
fn the_answer_is_a_sentence() {
    let reason = "p99 was 7.10 ms, not below 5.00 ms".to_owned();
    let answer = Answer::Knee { met: rate(20_480.0), missed: rate(21_500.0), reason };
    assert_eq!(
        answer.sentence(),
        "The target keeps the objective up to 20,480/s; at 21,500/s it does not: p99 was 7.10 ms, not below 5.00 ms."
    );
}
