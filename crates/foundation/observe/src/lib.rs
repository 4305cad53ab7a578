//! What happened, in a closed vocabulary: failures with side, phase and sentence, and the counters of a worker. No I/O.

mod counters;
mod failure;

pub use counters::{Counter, Counters};
pub use failure::{Failure, Kind, Level, Phase, Side};
