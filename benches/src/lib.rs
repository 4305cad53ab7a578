//! The benches: what Tollgate costs beside a yardstick that does the least possible work, and beside its peers.
//!
//! Everything runs over loopback on one machine, the server under test alone on one CPU and the load on another. The
//! figure that counts is *server CPU time per request*, since requests per second on a small shared machine mostly
//! measure the load program. [`suite`] runs the benches and saves their evidence; the other modules are its tools.
//!
//! Programs: `bench` (the runner), `bench-client` (the load), and the yardsticks `bare-epoll`, `bare-file`, `bare-relay` and
//! `bare-echo`.

pub mod answer;
pub mod client;
pub mod echoes;
pub mod interval;
pub mod machine;
pub mod peers;
pub mod process;
pub mod pull;
pub mod report;
pub mod secure;
pub mod suite;
pub mod tree;
pub mod upstreams;
pub mod usage;
pub mod walk;
pub mod wire;
