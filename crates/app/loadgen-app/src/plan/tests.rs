use std::collections::BTreeMap;

use super::*;

fn plan(connections: u64, workers: usize, weights: &[u32]) -> Plan {
    let origin = |(n, weight): (usize, &u32)| OriginPlan {
        name: format!("origin {n}"),
        place: PlacePlan::Tcp(vec![SocketAddr::from(([127, 0, 0, 1], 80))]),
        server_name: None,
        requests: vec![RequestPlan {
            url: "http://test/".into(),
            method: "GET".into(),
            bytes: b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            head_len: 18,
            weight: *weight,
            expected_status: None,
        }],
        weight: u64::from(*weight),
    };
    Plan {
        origins: weights.iter().enumerate().map(origin).collect(),
        connections,
        mode: ModePlan::Http,
        pace: PacePlan::Closed(Some(1003)),
        pipeline: 1,
        keep_alive: true,
        sources: Vec::new(),
        duration: None,
        warm_up: Duration::ZERO,
        connect_timeout: Duration::from_secs(1),
        answer_timeout: Duration::from_secs(1),
        drain: Duration::ZERO,
        verify: VerifyPlan::All,
        tls: TlsPlan::default(),
        seed: 1,
        workers,
        processes: 1,
    }
}

#[test]
fn shares_add_up() {
    for (whole, of) in [(10, 3), (0, 4), (2, 5), (100_000, 7)] {
        let shares: Vec<u64> = (0..of).map(|i| share(whole, i, of)).collect();
        assert_eq!(shares.iter().sum::<u64>(), whole);
        assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1);
    }
}

#[test]
fn connections_and_requests_are_shared_out_exactly() {
    let plan = plan(10, 3, &[6, 3, 1]);
    let origins = plan.origins();
    let works: Vec<Work> = (0..3).map(|n| plan.work(n, &origins)).collect();
    let mut by_origin = BTreeMap::new();
    works.iter().flat_map(|w| &w.connections).for_each(|o| *by_origin.entry(*o).or_insert(0) += 1);
    assert_eq!(by_origin.into_values().collect::<Vec<_>>(), [6, 3, 1]);
    let counts = works.iter().map(|w| if let Pace::Closed(Some(n)) = w.pace { n } else { 0 });
    assert_eq!(counts.sum::<u64>(), 1003);
}

/// The plans of a worker, by origin.
fn schedules(plan: &Plan, worker: usize) -> Vec<Vec<u64>> {
    let Pace::Open(schedules) = plan.work(worker, &plan.origins()).pace else { panic!("an open loop") };
    schedules.into_iter().map(Iterator::collect).collect()
}

#[test]
fn every_origin_has_its_own_plan_and_the_workers_that_reach_it_share_it() {
    // Four connections among three workers: the second origin's only one is at one of them.
    let mut plan = plan(4, 3, &[3, 1]);
    plan.duration = Some(Duration::from_secs(4));
    for arrivals in [Arrivals::Constant, Arrivals::Poisson] {
        plan.pace = PacePlan::Open(Rates::Constant(Rate::new(1000.0).unwrap()), arrivals);
        let mut sends = [0, 0];
        for worker in 0..3 {
            let reached = plan.work(worker, &plan.origins()).connections;
            for (origin, plan) in schedules(&plan, worker).iter().enumerate() {
                // What is planned for an origin that the worker cannot reach is another worker's.
                sends[origin] += if reached.contains(&(origin as u16)) { plan.len() } else { 0 };
            }
        }
        let tolerance = if arrivals == Arrivals::Constant { 1 } else { 200 };
        assert!(sends[0].abs_diff(3000) <= tolerance && sends[1].abs_diff(1000) <= tolerance, "{sends:?}");
    }
}

#[test]
fn a_single_origin_is_asked_at_equal_distances_by_all_workers_together() {
    let mut plan = plan(10, 3, &[1]);
    plan.duration = Some(Duration::from_secs(2));
    plan.pace = PacePlan::Open(Rates::Constant(Rate::new(100.0).unwrap()), Arrivals::Constant);
    let mut sends: Vec<u64> = (0..3).flat_map(|n| schedules(&plan, n).concat()).collect();
    sends.sort_unstable();
    assert_eq!(sends, (0..200).map(|n| n * 10_000_000).collect::<Vec<u64>>());
}

#[test]
fn urls_are_told_apart_where_there_are_several_and_not_too_many() {
    assert_eq!(plan(20, 1, &[1]).targets(), 0);
    assert_eq!(plan(20, 1, &[1; 16]).targets(), 16);
    assert_eq!(plan(20, 1, &[1; 17]).targets(), 0);
    let origins = plan(3, 1, &[1, 1, 1]).origins();
    assert_eq!(origins.iter().map(|o| o.requests[0].target).collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn an_origin_of_little_weight_still_has_a_connection() {
    let plan = plan(3, 1, &[1000, 1, 1]);
    let mut connections = plan.work(0, &plan.origins()).connections;
    connections.sort_unstable();
    assert_eq!(connections, [0, 1, 2]);
}

#[test]
fn a_plan_survives_the_pipe_to_a_worker_process() {
    let plan = plan(5, 2, &[1]);
    let text = serde_json::to_string(&plan).unwrap();
    let again: Plan = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&again).unwrap(), text);
    assert_eq!(&*again.origins()[0].requests[0].bytes, b"GET / HTTP/1.1\r\n\r\n");
}
