//! Reaching the servers of an upstream: names, connecting, idle connections. One [`Upstream`] per worker and
//! definition; which server a request goes to is `balance`'s choice, what is sent is the caller's.
//!
//! A [`Checkout`] is a connection on loan. It goes back to its server's idle pool only when the borrower says that both
//! messages ended cleanly ([`Checkout::give_back`]); dropped otherwise, it is closed.

mod checkout;
mod lease;
mod names;
mod pool;
mod server;
mod tls;
mod upstream;

pub use checkout::Checkout;
pub use lease::{Balancing, HashKey, Lease};
pub use server::{Server, Target};
pub use tls::Tls;
pub use upstream::{KeepAlive, Options, ServerOptions, Timeouts, Upstream};
