//! What happened, in a closed vocabulary: failures with side, phase and sentence, the counters of a worker, the lines
//! of an access log, the ends of certificates. No I/O.

mod access;
mod counters;
mod expiry;
mod failure;
mod kind;

pub use access::{ACCESS_LINE_MAX, Access, AccessFormat, AccessLines};
pub use counters::{Counter, Counters, HANDSHAKE_FAILURES};
pub use expiry::{Expiries, Expiry};
pub use failure::Failure;
pub use kind::{Kind, Level, Phase, Side};
