//! The reverse-proxy handler: rewrite the request, borrow a connection, relay both directions at once, try again where
//! that is safe.
//!
//! Bodies stream: a piece read from one side goes to the other side's queue, and a side whose peer's queue is above its
//! high mark is not read. Nothing is held beyond two queues of 64 KiB, whatever the size of a body.
//!
//! Knows nothing of configuration files; which request comes here is the site's choice.

mod buffered;
mod choice;
mod failure;
mod heads;
mod proxy;
mod relay;
mod tunnel;

pub use proxy::{Proxy, Rewrite};
