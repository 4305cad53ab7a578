//! What the choice of a server costs, in instructions, among 10 and among 1,000 servers. Run it under callgrind and divide
//! the inclusive cost of each function by [`ROUNDS`]:
//!
//! ```text
//! cargo build --release -p balance --example choice_cost
//! valgrind --tool=callgrind --callgrind-out-file=/tmp/choice.out target/release/examples/choice_cost
//! callgrind_annotate --inclusive=yes --threshold=100 /tmp/choice.out | grep -E 'choice_cost::(few|many)_'
//! ```
//!
//! Each round is a whole request: pick, begin, and the end of the one that began 64 rounds before.

use std::collections::VecDeque;
use std::hint::black_box;
use std::time::Duration;

use balance::{Balancer, Choice, Policy, ServerSetup, Tried, hash_of};
use clock::Tick;

const ROUNDS: u64 = 20_000;

/// Requests under way at a time.
const UNDER_WAY: usize = 64;

fn servers(policy: Policy, count: u64, max_active: u32) -> Balancer {
    let server = |i: u64| ServerSetup { weight: 1, backup: false, max_active, identity: hash_of(&i.to_le_bytes()) };
    let servers: Vec<ServerSetup> = (0..count).map(server).collect();
    Balancer::with(&servers, policy, Duration::ZERO, 0)
}

fn rounds(balancer: &mut Balancer) {
    let mut under_way = VecDeque::with_capacity(UNDER_WAY + 1);
    let mut now = Tick(1_000);
    for round in 0..ROUNDS {
        if round % 16 == 0 {
            now = now.after(Duration::from_millis(1));
        }
        let key = black_box(round % 512);
        let server = balancer.pick_for(now, &Tried::none(), key).expect("somebody has room");
        balancer.begin(server, Choice::Turn);
        under_way.push_back(server);
        if under_way.len() > UNDER_WAY
            && let Some(ended) = under_way.pop_front()
        {
            balancer.end(ended, Some(Duration::from_millis(2)), now);
        }
    }
    black_box(under_way);
}

macro_rules! measured {
    ($($name:ident: $policy:ident, $servers:literal, $max:literal;)*) => {
        $(
            #[inline(never)]
            fn $name(balancer: &mut Balancer) {
                // Functions that are the same would become one.
                black_box(stringify!($name));
                rounds(balancer);
            }
        )*

        fn main() {
            $(
                let mut balancer = servers(Policy::$policy, $servers, $max);
                $name(&mut balancer);
            )*
        }
    };
}

measured! {
    few_round_robin: RoundRobin, 10, 0;
    many_round_robin: RoundRobin, 1_000, 0;
    few_least_connections: LeastConnections, 10, 0;
    many_least_connections: LeastConnections, 1_000, 0;
    few_random_two: RandomTwo, 10, 0;
    many_random_two: RandomTwo, 1_000, 0;
    few_ewma: Ewma, 10, 0;
    many_ewma: Ewma, 1_000, 0;
    few_hash: Hash, 10, 0;
    many_hash: Hash, 1_000, 0;
    few_first: First, 10, 7;
    many_first: First, 1_000, 7;
    few_round_robin_limited: RoundRobin, 10, 7;
    many_round_robin_limited: RoundRobin, 1_000, 7;
}
