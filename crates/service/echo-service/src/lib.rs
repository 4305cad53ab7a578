//! Answering with what was sent: the event loop and its streams, and nothing else.
//!
//! * [`serve`] takes connections from a listener until it is told to stop, and then ends all of them in order.
//! * [`Echo`] is what the connections of a worker share; [`Tally`] its counters, which any thread may read.
//!
//! A connection is one task. It holds a buffer only while bytes are in it, and reads on only when all it has read is
//! written back: a client that does not read is not read from, and costs one buffer.

mod connection;
mod latency;
mod serve;
mod tally;

pub use latency::{Clock, Distribution, Latency};
pub use serve::{Echo, serve};
pub use tally::Tally;
