//! What happened, in a closed vocabulary: failures with side, phase and sentence, the counters of a worker, the lines
//! of an access log. No I/O.

mod access;
mod counters;
mod failure;
mod kind;

pub use access::{ACCESS_LINE_MAX, Access, AccessFormat, AccessLines};
pub use counters::{Counter, Counters};
pub use failure::Failure;
pub use kind::{Kind, Level, Phase, Side};
