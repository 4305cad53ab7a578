//! The vocabulary and the mathematics of measuring a server: what is counted, when requests are due, and what may be
//! concluded.
//!
//! * [`Tally`] counts for one worker and gives a [`Second`] at a time; a [`Run`] gathers them and is judged
//!   ([`validity`]): was it the target that was measured, or the generator?
//! * [`Latency`] is a distribution of times with three digits; [`ErrorKind`] tells failures apart.
//! * [`RatePlan`] and [`Schedule`] say when each request of an open loop is due, [`Mix`] to which target it goes.
//! * [`compare`] tells a difference from chance, [`Knee`] searches the highest rate that keeps an [`Slo`].
//! * [`parse`] reads rates, durations and sizes; [`words`] writes them.
//!
//! Everything here is values and pure machines: no socket, no clock, no thread. Times are nanoseconds (`_ns`) or
//! differences of them, and every random choice comes from a seed.

pub mod compare;
mod error_kind;
mod knee;
mod latency;
mod mix;
pub mod parse;
mod random;
mod rate;
mod run;
mod schedule;
mod second;
mod slo;
mod student;
mod tally;
pub mod validity;
pub mod words;

pub use error_kind::{ErrorCounts, ErrorKind};
pub use knee::{Answer, Knee, KneeSearch, Outcome, Step, Tried};
pub use latency::{Bucket, Latency, PRECISION_DIGITS, Recorder, TIME_NS_MAX};
pub use mix::Mix;
pub use random::Random;
pub use rate::{Rate, RatePlan};
pub use run::{Run, SCHEMA, Settings, TIMELINE_ROWS_MAX};
pub use schedule::{Arrivals, Schedule};
pub use second::{Counts, Example, Health, Second, StatusCounts, TargetCounts};
pub use slo::Slo;
pub use tally::{Gauges, Tally};
