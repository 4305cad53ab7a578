//! Buffers of a worker: a pool of fixed classes, the window a connection reads into, and the queue it
//! writes from.
//!
//! * [`Buf`] is one leased buffer, writable because nobody else can see it.
//! * [`Shared`] is a read-only span of a buffer; clones are a counter. The buffer goes back to the pool of
//!   the thread when its last holder is dropped.
//! * [`ReadBuf`] is the window of bytes read and not yet consumed.
//! * [`OutQueue`] gathers what a connection will write: copied bytes, shared spans, static text, file ranges.
//!
//! Everything here belongs to one thread and nothing here knows a socket.

mod out;
mod pool;
mod read;

pub use out::{FileRange, Front, OutQueue};
pub use pool::{Buf, Class, PoolStats, Shared, is_plentiful, stats, trim};
pub use read::ReadBuf;
