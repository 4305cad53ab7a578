//! The policies, and servers with limits, under seeded chance.

use std::time::Duration;

use proptest::prelude::*;
use testkit::{Rng, VirtualClock};

use super::*;

const NOW: Tick = Tick(1_000);

fn setup(weight: u32, backup: bool, max_active: u32, identity: u64) -> ServerSetup {
    ServerSetup { weight, backup, max_active, identity: crate::hash_of(&identity.to_le_bytes()) }
}

fn plain(count: u64) -> Vec<ServerSetup> {
    (0..count).map(|i| setup(1, false, 0, i)).collect()
}

fn with(servers: &[ServerSetup], policy: Policy) -> Balancer {
    Balancer::with(servers, policy, Duration::ZERO, 0)
}

fn pick(balancer: &mut Balancer) -> Option<u32> {
    let server = balancer.pick(NOW, &Tried::none())?;
    balancer.begin(server, Choice::Turn);
    Some(server.0)
}

#[test]
fn least_connections_fills_the_emptiest_by_weight_and_equals_take_turns() {
    let mut balancer = with(&plain(3), Policy::LeastConnections);
    let picked: Vec<_> = (0..6).filter_map(|_| pick(&mut balancer)).collect();
    assert_eq!(picked, [0, 1, 2, 0, 1, 2]);
    balancer.end(ServerId(1), None, NOW);
    assert_eq!(pick(&mut balancer), Some(1));
    let mut weighted = with(&[setup(1, false, 0, 0), setup(3, false, 0, 1)], Policy::LeastConnections);
    (0..400).for_each(|_| assert!(pick(&mut weighted).is_some()));
    assert_eq!((weighted.active(ServerId(0)), weighted.active(ServerId(1))), (100, 300));
}

/// Requests one after another, each answered at once: all servers are idle, and each gets its share by weight.
#[test]
fn requests_one_after_another_go_by_weight() {
    let shares = |policy, weights: &[u32], start| {
        let servers: Vec<ServerSetup> = (0u64..).zip(weights).map(|(i, weight)| setup(*weight, false, 0, i)).collect();
        let mut balancer = Balancer::with(&servers, policy, Duration::ZERO, start);
        let mut counts = vec![0u32; servers.len()];
        let mut now = NOW;
        for _ in 0..4_000 {
            let server = balancer.pick(now, &Tried::none()).unwrap();
            balancer.begin(server, Choice::Turn);
            counts[server.index()] += 1;
            // The clock turns during some of them.
            let took = Duration::from_millis(u64::from(counts[server.index()].is_multiple_of(5)));
            now = now.after(Duration::from_millis(2));
            balancer.end(server, Some(took), now);
        }
        counts
    };
    for weights in [&[3, 1][..], &[1, 3], &[1, 1], &[300, 100], &[5, 1, 1, 1], &[2, 2, 1, 0]] {
        let wanted: Vec<u32> = weights.iter().map(|weight| 4_000 * weight / weights.iter().sum::<u32>()).collect();
        for start in [0, 1, 7] {
            let exact = shares(Policy::LeastConnections, weights, start);
            assert!(
                exact.iter().zip(&wanted).all(|(had, wanted)| had.abs_diff(*wanted) <= 1),
                "{weights:?}: {exact:?}"
            );
            for policy in [Policy::RandomTwo, Policy::Ewma] {
                let had = shares(policy, weights, start);
                let is_close = had.iter().zip(&wanted).all(|(had, wanted)| had.abs_diff(*wanted) <= 150);
                assert!(is_close, "{policy:?}, {weights:?}: {had:?}");
            }
        }
        assert_eq!(shares(Policy::First, weights, 0)[0], 4_000, "the first is the first as long as it has room");
    }
}

#[test]
fn turns_of_equally_loaded_servers_are_spread() {
    let mut balancer = with(&[setup(3, false, 0, 0), setup(1, false, 0, 1)], Policy::LeastConnections);
    let one_after_another = |balancer: &mut Balancer, count| -> Vec<u32> {
        let one = |_| {
            let server = balancer.pick(NOW, &Tried::none()).unwrap();
            balancer.begin(server, Choice::Turn);
            balancer.end(server, None, NOW);
            server.0
        };
        (0..count).map(one).collect()
    };
    let turns = one_after_another(&mut balancer, 41);
    assert!(turns.windows(4).all(|four| four.iter().filter(|id| **id == 1).count() == 1), "{turns:?}");
    // One that was busy meanwhile gets its turns from now on, and not those that it missed.
    balancer.begin(ServerId(1), Choice::Turn);
    assert!(one_after_another(&mut balancer, 100).iter().all(|id| *id == 0));
    balancer.end(ServerId(1), None, NOW);
    let turns = one_after_another(&mut balancer, 40);
    let light = turns.iter().filter(|id| **id == 1).count();
    assert!((10..=11).contains(&light), "{turns:?}");
}

/// Requests that insist on a server (sticky sessions) are no turns of the others.
#[test]
fn requests_that_insist_on_a_server_change_no_shares_of_others() {
    for third in [0, 1] {
        let setups = [setup(3, false, 0, 0), setup(1, false, 0, 1), setup(third, false, 0, 2)];
        let mut balancer = with(&setups, Policy::LeastConnections);
        let mut counts = [0u32; 3];
        for _ in 0..400 {
            let server = balancer.pick(NOW, &Tried::none()).unwrap();
            balancer.begin(server, Choice::Turn);
            balancer.end(server, None, NOW);
            for _ in 0..2 {
                assert!(balancer.take(ServerId(2), NOW));
                balancer.begin(ServerId(2), Choice::Insisted);
                balancer.end(ServerId(2), None, NOW);
            }
            counts[server.index()] += 1;
        }
        assert!(counts[0].abs_diff(300) <= 1 && counts[1].abs_diff(100) <= 1, "{third}: {counts:?}");
    }
}

/// A heavy server among many light ones gets its share also where two are drawn.
#[test]
fn two_are_drawn_by_weight() {
    let servers: Vec<ServerSetup> = (0..31).map(|i| setup(if i == 0 { 30 } else { 1 }, false, 0, i)).collect();
    for policy in [Policy::RandomTwo, Policy::Ewma] {
        let mut balancer = with(&servers, policy);
        (0..6_000).for_each(|_| assert!(pick(&mut balancer).is_some()));
        let heavy = balancer.active(ServerId(0));
        assert!((2_800..=3_200).contains(&heavy), "{policy:?}: {heavy}");
        let others: Vec<u32> = (1..31).map(|i| balancer.active(ServerId(i))).collect();
        assert!(others.iter().all(|n| (85..=115).contains(n)), "{policy:?}: {others:?}");
    }
}

#[test]
fn retries_of_two_at_random_are_spread_over_equals() {
    let mut balancer = with(&plain(5), Policy::RandomTwo);
    let mut tried = Tried::none();
    tried.add(ServerId(0));
    let mut had = [0; 5];
    (0..400).for_each(|_| had[balancer.pick(NOW, &tried).unwrap().index()] += 1);
    assert!(had[0] == 0 && had[1..].iter().all(|n| (50..=150).contains(n)), "{had:?}");
}

#[test]
fn random_two_stays_close_to_even() {
    let mut balancer = with(&plain(10), Policy::RandomTwo);
    (0..1_000).for_each(|_| assert!(pick(&mut balancer).is_some()));
    assert!((0..10).all(|i| (90..=110).contains(&balancer.active(ServerId(i)))));
}

#[test]
fn ewma_leaves_a_slow_server_and_comes_back_to_it() {
    let mut balancer = with(&plain(2), Policy::Ewma);
    let mut slow = 0;
    let mut now = NOW;
    for i in 0..4_000 {
        let server = balancer.pick(now, &Tried::none()).unwrap();
        balancer.begin(server, Choice::Turn);
        slow += u32::from(server.0 == 0);
        let took = Duration::from_millis(if server.0 == 0 && i < 500 { 200 } else { 5 });
        now = now.after(Duration::from_millis(20));
        balancer.end(server, Some(took), now);
        if i == 499 {
            assert!(slow < 50, "the slow one got {slow} of 500");
        }
    }
    assert!(slow > 500, "it is quick again, and got {slow} of 4000");
}

#[test]
fn first_fills_up_before_the_next_is_asked_and_backups_wait_for_the_end() {
    let servers = [setup(1, false, 2, 0), setup(1, false, 1, 1), setup(1, true, 0, 2)];
    let mut balancer = with(&servers, Policy::First);
    assert_eq!([(); 4].map(|()| pick(&mut balancer)), [Some(0), Some(0), Some(1), None]);
    assert!(balancer.is_full(), "full is no reason to ask a backup");
    balancer.set_available(ServerId(0), false, NOW);
    assert_eq!(pick(&mut balancer), None);
    balancer.set_ejected(ServerId(1), true, NOW);
    assert_eq!([(); 2].map(|()| pick(&mut balancer)), [Some(2), Some(2)]);
    balancer.set_ejected(ServerId(1), false, NOW);
    balancer.end(ServerId(1), None, NOW);
    assert_eq!(pick(&mut balancer), Some(1));
}

#[test]
fn a_server_that_failed_and_is_full_is_waited_for() {
    let mut balancer = with(&[setup(1, false, 1, 0)], Policy::LeastConnections);
    assert_eq!(pick(&mut balancer), Some(0));
    balancer.connect_failed(ServerId(0), NOW);
    assert_eq!(pick(&mut balancer), None);
    assert!(balancer.is_full());
    balancer.end(ServerId(0), None, NOW);
    assert_eq!(pick(&mut balancer), Some(0), "asked all the same: there is no other");
}

#[test]
fn a_lone_backup_is_asked_again() {
    let mut balancer = with(&[setup(1, false, 0, 0), setup(1, true, 0, 1)], Policy::RoundRobin);
    balancer.set_available(ServerId(0), false, NOW);
    assert_eq!(pick(&mut balancer), Some(1));
    let mut tried = Tried::none();
    tried.add(ServerId(1));
    assert_eq!(balancer.pick(NOW, &tried), Some(ServerId(1)));
}

/// Consistent hashing, measured: how many of 10,000 keys move when one of ten servers leaves, whichever it is.
#[test]
fn only_the_keys_of_a_server_that_leaves_move() {
    let mut balancer = with(&plain(10), Policy::Hash);
    let home = |balancer: &mut Balancer| -> Vec<ServerId> {
        (0..10_000u64).map(|key| balancer.pick_for(NOW, &Tried::none(), key).unwrap()).collect()
    };
    let before = home(&mut balancer);
    let mut moved = Vec::new();
    for leaves in (0..10).map(ServerId) {
        balancer.set_available(leaves, false, NOW);
        let after = home(&mut balancer);
        let moves = before.iter().zip(&after).filter(|(a, b)| a != b).count();
        assert_eq!(moves, before.iter().filter(|s| **s == leaves).count(), "no key of another server moves");
        moved.push(moves);
        balancer.set_available(leaves, true, NOW);
    }
    assert_eq!(home(&mut balancer), before);
    moved.sort_unstable();
    assert_eq!(
        (moved[0], moved[9], moved.iter().sum::<usize>()),
        (924, 1178, 10_000),
        "the figures of docs/guide/balancing.md"
    );
}

#[test]
fn who_insists_on_a_server_gets_it_unless_something_speaks_against_it() {
    let mut balancer = with(&[setup(0, false, 1, 0), setup(1, false, 0, 1)], Policy::RoundRobin);
    let (zero, one) = (ServerId(0), ServerId(1));
    assert!(balancer.take(zero, NOW), "a weight of 0 keeps only those away who do not");
    balancer.begin(zero, Choice::Insisted);
    assert!(!balancer.take(zero, NOW) && balancer.is_well(zero), "it is full");
    balancer.end(zero, None, NOW);
    balancer.set_ejected(zero, true, NOW);
    assert!(!balancer.take(zero, NOW) && !balancer.is_well(zero));
    assert!(!balancer.take(ServerId(7), NOW));
    assert_eq!(pick(&mut balancer), Some(1));
    balancer.connect_failed(one, NOW);
    assert!(!balancer.take(one, NOW.after(Duration::from_secs(60))) && !balancer.is_well(one), "it is tried by others");
}

#[test]
fn a_server_that_only_its_clients_ask_is_tried_by_them_and_given_up_at_last() {
    let mut balancer = with(&[setup(0, false, 0, 0), setup(1, false, 0, 1)], Policy::RoundRobin);
    let server = ServerId(0);
    let mut now = NOW;
    balancer.connect_failed(server, now);
    balancer.connect_failed(server, now);
    assert!(!balancer.take(server, now) && balancer.is_well(server), "one refusal, however many were under way");
    now = now.after(Duration::from_secs(1));
    assert!(balancer.take(server, now), "its window has passed");
    assert!(!balancer.take(server, now), "one try for each window");
    balancer.succeeded(server, now);
    assert!(balancer.take(server, now) && balancer.take(server, now), "it is back");
    for _ in 0..3 {
        assert!(balancer.is_well(server));
        balancer.connect_failed(server, now);
        now = now.after(Duration::from_secs(10));
        assert!(balancer.take(server, now));
    }
    assert!(!balancer.is_well(server), "three windows without it");
}

#[test]
fn what_is_down_has_no_share_in_the_bound() {
    let mut balancer = with(&plain(10), Policy::Hash);
    (2..10).for_each(|i| balancer.set_available(ServerId(i), false, NOW));
    for _ in 0..1_000 {
        let server = balancer.pick_for(NOW, &Tried::none(), 7).unwrap();
        balancer.begin(server, Choice::Turn);
    }
    let active = [0, 1].map(|i| balancer.active(ServerId(i)));
    assert!(active.iter().all(|n| (375..=625).contains(n)), "a quarter more than a half at most: {active:?}");
}

/// Most of a large upstream is down: the walk on the ring ends, all servers that are left get keys, and keys stay.
#[test]
fn keys_find_the_few_that_are_left() {
    let mut balancer = with(&plain(1_000), Policy::Hash);
    (4..1_000).for_each(|i| balancer.set_available(ServerId(i), false, NOW));
    let mut pick = |key| balancer.pick_for(NOW, &Tried::none(), key).unwrap();
    let picked: Vec<ServerId> = (0..2_000).map(&mut pick).collect();
    assert!((0..4).all(|i| (250..=750).contains(&picked.iter().filter(|server| server.0 == i).count())));
    assert_eq!((0..2_000).map(pick).collect::<Vec<_>>(), picked);
}

#[test]
fn a_key_that_everybody_asks_for_is_shared_out() {
    let mut balancer = with(&plain(10), Policy::Hash);
    for _ in 0..1_000 {
        let server = balancer.pick_for(NOW, &Tried::none(), 7).unwrap();
        balancer.begin(server, Choice::Turn);
    }
    assert!((0..10).all(|i| balancer.active(ServerId(i)) <= 126), "a quarter more than a tenth at most");
}

#[test]
fn a_server_that_comes_back_starts_slowly() {
    let mut balancer = Balancer::with(&plain(2), Policy::RoundRobin, Duration::from_secs(10), 0);
    balancer.set_available(ServerId(0), false, NOW);
    balancer.set_available(ServerId(0), true, NOW);
    let mut share = |after| {
        let now = NOW.after(Duration::from_secs(after));
        (0..200).filter(|_| balancer.pick(now, &Tried::none()) == Some(ServerId(0))).count()
    };
    let shares = [share(0), share(5), share(10)];
    assert!(shares[0] < 20 && shares[0] > 5, "{shares:?}");
    assert!(shares[1] > 40 && shares[1] < 80, "{shares:?}");
    assert_eq!(shares[2], 100);
}

proptest! {
    /// Whatever happens, nobody unfit is picked, and somebody is while anybody is fit. `check_invariants` does the rest.
    #[test]
    fn any_history(seed: u64, policy in 0usize..6, count in 1u32..8) {
        let policies = [
            Policy::RoundRobin, Policy::LeastConnections, Policy::RandomTwo, Policy::Ewma, Policy::Hash, Policy::First,
        ];
        let mut rng = Rng::new(seed);
        let mut clock = VirtualClock::new();
        let servers: Vec<ServerSetup> = (0..count)
            .map(|i| setup(rng.below(3) as u32, rng.chance(1, 4), rng.below(3) as u32, i.into()))
            .collect();
        let mut balancer = Balancer::with(&servers, policies[policy], Duration::from_secs(rng.below(3)), 3);
        let mut under_way = Vec::new();
        for _ in 0..300 {
            let now = clock.now();
            let server = ServerId(rng.below(u64::from(count)) as u32);
            match rng.below(9) {
                0 => balancer.connect_failed(server, now),
                1 => balancer.succeeded(server, now),
                2 => balancer.set_available(server, rng.chance(2, 3), now),
                3 => balancer.set_ejected(server, rng.chance(1, 3), now),
                4 if !under_way.is_empty() => {
                    let ended: ServerId = under_way.swap_remove(rng.below(under_way.len() as u64) as usize);
                    balancer.end(ended, Some(Duration::from_millis(rng.below(50))), now);
                }
                5 if balancer.take(server, now) => {
                    let setup = &servers[server.index()];
                    prop_assert!(setup.max_active == 0 || balancer.active(server) < setup.max_active);
                    balancer.begin(server, Choice::Insisted);
                    under_way.push(server);
                }
                _ => {
                    let picked = balancer.pick_for(now, &Tried::none(), rng.below(1 << 40));
                    if let Some(server) = picked {
                        let setup = &servers[server.index()];
                        prop_assert!(setup.weight > 0);
                        prop_assert!(setup.max_active == 0 || balancer.active(server) < setup.max_active);
                        balancer.begin(server, Choice::Turn);
                        under_way.push(server);
                    }
                }
            }
            clock.advance(Duration::from_millis(rng.below(700)));
        }
    }
}
