use std::collections::HashMap;
use std::time::Duration;

use clock::Tick;
use proptest::prelude::*;
use testkit::{Seed, VirtualClock};

use super::*;

const NOW: Tick = Tick(1_000);

fn picks(balancer: &mut Balancer, count: u64) -> Vec<u32> {
    (0..count).map(|_| balancer.pick(NOW, &Tried::none()).expect("a server").0).collect()
}

fn tried(ids: &[u32]) -> Tried {
    let mut tried = Tried::none();
    ids.iter().for_each(|id| tried.add(ServerId(*id)));
    tried
}

fn after_ms(ms: u64) -> Tick {
    NOW.after(Duration::from_millis(ms))
}

#[test]
fn equal_weights_take_turns() {
    let mut balancer = Balancer::new(&[1, 1, 1], 0);
    assert_eq!(picks(&mut balancer, 7), [0, 1, 2, 0, 1, 2, 0]);
    assert_eq!(picks(&mut Balancer::new(&[7, 7, 7], 2), 4), [2, 0, 1, 2], "a start shifts the turns");
}

#[test]
fn turns_of_different_weights_are_spread() {
    // The light two stand apart, where the plain algorithm gives 0 0 1 0 2 0 0.
    assert_eq!(picks(&mut Balancer::new(&[5, 1, 1], 0), 7), [0, 1, 0, 0, 0, 2, 0]);
    assert_eq!(picks(&mut Balancer::new(&[1, 3], 0), 8), [1, 1, 0, 1, 1, 1, 0, 1]);
    // One heavy server among a thousand light ones is picked every other time, not five hundred times in a row.
    let mut weights = vec![1; 1_000];
    weights.push(1_000);
    let heavy: Vec<bool> = picks(&mut Balancer::new(&weights, 0), 2_000).iter().map(|id| *id == 1_000).collect();
    assert!(heavy.chunks(2).all(|pair| pair[0] != pair[1]));
}

#[test]
fn weight_zero_and_no_server_are_never_picked() {
    let mut balancer = Balancer::new(&[0, 2], 0);
    assert_eq!(picks(&mut balancer, 3), [1, 1, 1]);
    balancer.set_available(ServerId(0), false, NOW);
    balancer.set_available(ServerId(0), true, NOW);
    balancer.connect_failed(ServerId(0), NOW);
    balancer.set_available(ServerId(1), false, NOW);
    assert_eq!(balancer.pick(NOW, &Tried::none()), None);
    assert_eq!(balancer.available(), 0);
    assert_eq!(Balancer::new(&[], 9).pick(NOW, &Tried::none()), None);
}

#[test]
fn what_was_tried_comes_last_but_comes() {
    let mut balancer = Balancer::new(&[9, 1, 1], 0);
    for _ in 0..20 {
        assert_ne!(balancer.pick(NOW, &tried(&[0])), Some(ServerId(0)));
        assert_eq!(balancer.pick(NOW, &tried(&[0, 2])), Some(ServerId(1)));
    }
    assert!(balancer.pick(NOW, &tried(&[0, 1, 2])).is_some());
    balancer.connect_failed(ServerId(1), NOW);
    assert_eq!(balancer.pick(NOW, &tried(&[0, 2])), Some(ServerId(1)), "a marked one before a tried one");
    assert_eq!(Balancer::new(&[1], 0).pick(NOW, &tried(&[0])), Some(ServerId(0)));
}

#[test]
fn a_server_that_is_down_is_never_picked_even_when_nobody_else_is_left() {
    let mut balancer = Balancer::new(&[1, 1, 2], 0);
    balancer.set_available(ServerId(2), false, NOW);
    assert_eq!(picks(&mut balancer, 4), [0, 1, 0, 1]);
    balancer.connect_failed(ServerId(0), NOW);
    balancer.set_available(ServerId(0), false, NOW);
    balancer.set_available(ServerId(1), false, NOW);
    assert_eq!(balancer.pick(NOW, &Tried::none()), None);
    balancer.set_available(ServerId(0), true, NOW);
    assert!(!balancer.is_marked(ServerId(0)), "it comes back with a clean record");
    assert_eq!(picks(&mut balancer, 2), [0, 0]);
}

#[test]
fn a_failed_connect_keeps_a_server_out_for_a_second_and_then_one_request_tries_it() {
    let mut balancer = Balancer::new(&[1, 1], 0);
    balancer.connect_failed(ServerId(0), NOW);
    for ms in [0, 500, 999] {
        assert_eq!(balancer.pick(after_ms(ms), &Tried::none()), Some(ServerId(1)));
    }
    let mut later = |ms| (0..10).filter(|_| balancer.pick(after_ms(ms), &Tried::none()) == Some(ServerId(0))).count();
    assert_eq!(later(1_000), 1);
    assert_eq!(later(1_999), 0, "the one on its way has not come back");
    assert_eq!(later(2_000), 1);
    balancer.succeeded(ServerId(0), NOW);
    let after = (0..10).filter(|_| balancer.pick(after_ms(2_000), &Tried::none()) == Some(ServerId(0))).count();
    assert_eq!(after, 5);
}

#[test]
fn the_window_doubles_up_to_ten_seconds() {
    let mut balancer = Balancer::new(&[1, 1], 0);
    let mut clock = VirtualClock::at(Tick(u32::MAX - 5_000));
    let mut windows = Vec::new();
    for _ in 0..6 {
        balancer.connect_failed(ServerId(0), clock.now());
        let marked_at = clock.now();
        while balancer.pick(clock.now(), &Tried::none()) != Some(ServerId(0)) {
            clock.advance(Duration::from_millis(250));
        }
        windows.push(clock.now().since(marked_at).as_secs());
    }
    assert_eq!(windows, [1, 2, 4, 8, 10, 10]);
    balancer.succeeded(ServerId(0), NOW);
    balancer.connect_failed(ServerId(0), clock.now());
    let soon = clock.advance(Duration::from_secs(1));
    assert!((0..2).any(|_| balancer.pick(soon, &Tried::none()) == Some(ServerId(0))), "a success forgets");
}

#[test]
fn many_failures_of_one_moment_count_once() {
    let mut balancer = Balancer::new(&[1, 1], 0);
    for _ in 0..100 {
        balancer.connect_failed(ServerId(0), NOW);
    }
    let second = after_ms(1_000);
    assert!((0..2).any(|_| balancer.pick(second, &Tried::none()) == Some(ServerId(0))));
}

#[test]
fn when_all_are_marked_all_are_tried() {
    let mut balancer = Balancer::new(&[1, 5, 1], 0);
    (0..2).for_each(|id| balancer.connect_failed(ServerId(id), NOW));
    assert_eq!(balancer.next_turn(NOW), None, "there is another");
    balancer.connect_failed(ServerId(2), NOW);
    assert_eq!(balancer.next_turn(NOW), Some(Duration::from_secs(1)));
    assert_eq!(balancer.next_turn(NOW.after(Duration::from_secs(2))), Some(Duration::ZERO));
    let seen = picks(&mut balancer, 3);
    assert_eq!(seen.len(), 3);
    (0..3).for_each(|id| assert!(seen.contains(&id)));
    let first = balancer.pick(NOW, &Tried::none()).expect("never none");
    assert_ne!(balancer.pick(NOW, &tried(&[first.0])), Some(first), "a retry goes elsewhere");
    balancer.succeeded(ServerId(2), NOW);
    assert_eq!(picks(&mut balancer, 4), [2, 2, 2, 2]);
}

/// One that is asked because nobody else is left has its trial all the same, and no later for it.
#[test]
fn last_resorts_that_fail_do_not_double_the_mark() {
    let mut balancer = Balancer::new(&[1, 1], 0);
    (0..2).for_each(|id| balancer.connect_failed(ServerId(id), NOW));
    for ms in (0..1_000).step_by(10) {
        let asked = balancer.pick(after_ms(ms), &Tried::none()).expect("somebody is asked");
        balancer.connect_failed(asked, after_ms(ms));
        assert_eq!(balancer.next_turn(after_ms(ms)), Some(Duration::from_millis(1_000 - ms)));
    }
    let trial = balancer.pick(after_ms(1_000), &Tried::none()).expect("the mark has run out");
    balancer.connect_failed(trial, after_ms(1_000));
    let other = ServerId(1 - trial.0);
    assert_eq!(balancer.pick(after_ms(1_001), &Tried::none()), Some(other), "its turn has come too");
    balancer.connect_failed(other, after_ms(1_001));
    assert_eq!(balancer.next_turn(after_ms(1_001)), Some(Duration::from_millis(1_999)), "for two seconds now");
}

#[test]
fn ids_out_of_range_are_ignored() {
    let mut balancer = Balancer::new(&[1], 0);
    balancer.connect_failed(ServerId(7), NOW);
    balancer.succeeded(ServerId(7), NOW);
    balancer.set_available(ServerId(7), false, NOW);
    assert!(!balancer.is_marked(ServerId(7)));
    assert_eq!(picks(&mut balancer, 1), [0]);
}

proptest! {
    #[test]
    fn over_a_cycle_everyone_gets_exactly_its_weight(
        weights in prop::collection::vec(0u32..12, 1..12),
        start in 0u16..40,
    ) {
        let cycle: u32 = weights.iter().sum();
        prop_assume!(cycle > 0);
        let mut balancer = Balancer::new(&weights, start);
        for _ in 0..3 {
            let mut count: HashMap<u32, u32> = HashMap::new();
            picks(&mut balancer, u64::from(cycle)).iter().for_each(|id| *count.entry(*id).or_default() += 1);
            for (id, weight) in weights.iter().enumerate() {
                prop_assert_eq!(count.get(&(id as u32)).copied().unwrap_or(0), *weight);
            }
        }
    }

    /// After any number of picks nobody is further from its share than a few turns.
    #[test]
    fn nobody_waits_long_for_its_share(weights in prop::collection::vec(1u32..20, 1..10)) {
        let total: u32 = weights.iter().sum();
        let mut balancer = Balancer::new(&weights, 0);
        let mut had = vec![0f64; weights.len()];
        for n in 1..=2 * total {
            had[picks(&mut balancer, 1)[0] as usize] += 1.0;
            for (had, weight) in had.iter().zip(&weights) {
                let share = f64::from(n) * f64::from(*weight) / f64::from(total);
                prop_assert!((had - share).abs() < 3.0, "{had} of {share} after {n}");
            }
        }
    }

    #[test]
    fn an_untried_server_is_preferred_whatever_its_state(
        weights in prop::collection::vec(1u32..5, 1..9),
        failed in prop::collection::vec(0u32..9, 0..9),
        down in prop::collection::vec(0u32..9, 0..4),
        already in prop::collection::vec(0u32..9, 0..8),
    ) {
        let mut balancer = Balancer::new(&weights, 0);
        failed.iter().for_each(|id| balancer.connect_failed(ServerId(*id), NOW));
        down.iter().for_each(|id| balancer.set_available(ServerId(*id), false, NOW));
        let up: Vec<u32> = (0..weights.len() as u32).filter(|id| !down.contains(id)).collect();
        let picked = balancer.pick(NOW, &tried(&already)).map(|s| s.0);
        prop_assert_eq!(picked.is_some(), !up.is_empty());
        if let Some(picked) = picked {
            prop_assert!(up.contains(&picked));
            let untried = up.iter().any(|id| !already.contains(id));
            prop_assert_eq!(already.contains(&picked), !untried);
            let healthy = up.iter().any(|id| !already.contains(id) && !failed.contains(id));
            prop_assert!(!healthy || !failed.contains(&picked));
        }
    }
}

/// Random operations; the invariants are checked after each by the balancer itself.
#[test]
fn any_order_of_reports_keeps_it_consistent() {
    for seed in Seed::each(50) {
        let _guard = seed.guard();
        let mut rng = seed.rng();
        let weights: Vec<u32> = (0..rng.in_range(1..9)).map(|_| rng.below(4) as u32).collect();
        let mut balancer = Balancer::new(&weights, rng.below(9) as u16);
        let mut clock = VirtualClock::at(Tick(u32::MAX - 20_000));
        for _ in 0..600 {
            let server = ServerId(rng.index(weights.len()) as u32);
            match rng.below(6) {
                0 => balancer.connect_failed(server, clock.now()),
                1 => balancer.succeeded(server, clock.now()),
                2 => balancer.set_available(server, rng.chance(2, 3), clock.now()),
                _ => {
                    let tried = if rng.chance(1, 2) { Tried::none() } else { tried(&[server.0]) };
                    let picked = balancer.pick(clock.now(), &tried);
                    assert_eq!(picked.is_some(), balancer.available() > 0);
                }
            }
            clock.advance(Duration::from_millis(rng.below(900)));
        }
        // In the end, when all is well again, everyone has its share again.
        for id in 0..weights.len() as u32 {
            balancer.set_available(ServerId(id), true, NOW);
            balancer.succeeded(ServerId(id), NOW);
        }
        let cycle: u32 = weights.iter().sum();
        let mut had = vec![0u32; weights.len()];
        for _ in 0..10 * cycle {
            had[balancer.pick(clock.now(), &Tried::none()).expect("all are up").index()] += 1;
        }
        for (had, weight) in had.iter().zip(&weights) {
            // Credit from before may move a turn or two from one cycle to the next.
            assert!(had.abs_diff(10 * weight) <= cycle, "{had} for {weight} of {cycle}");
        }
    }
}
