//! What tests of every layer share: a seeded generator, ways to cut a byte string into pieces, a schedule of
//! faults for a simulated link, and a clock that stands still until it is told to move.
//!
//! Only a dev-dependency. The same seed gives the same run on every machine; a test that fails prints its
//! seed, and `TOLLGATE_SEED=<seed>` runs that one again ([`Seed`]).

mod faults;
mod random;
mod seed;
mod split;
mod virtual_clock;

pub use faults::{CutKind, Fault, FaultEvent, FaultProfile, FaultSchedule, WriteStep};
pub use random::Rng;
pub use seed::{Seed, SeedGuard};
pub use split::{every_cut, pieces, single_bytes};
pub use virtual_clock::VirtualClock;
