//! Reaching the servers of an upstream: names, connecting, idle connections. One [`Upstream`] per worker and
//! definition; which server a request goes to is `balance`'s choice, what is sent is the caller's.
//!
//! A [`Checkout`] is a connection on loan. It goes back to its server's idle pool only when the borrower says that both
//! messages ended cleanly ([`Checkout::give_back`]); dropped otherwise, it is closed.
//!
//! What goes on between requests happens here too: names are looked up again, servers are checked ([`Health`]).

mod checker;
mod checkout;
mod hand_over;
mod health;
mod heir;
mod lease;
mod names;
mod news;
mod pool;
mod queue;
mod server;
mod sticky;
mod tls;
mod upstream;

pub use checkout::Checkout;
pub use hand_over::{HandOver, HandOverOptions};
pub use health::{Health, HealthOptions, HealthPolicy, Probe};
pub use lease::{Balancing, HashKey, Lease, Wanted};
pub use news::{News, Say, Topic};
pub use queue::Place;
pub use server::{Server, Target};
pub use sticky::StickyOptions;
pub use tls::Tls;
pub use upstream::{KeepAlive, Options, ServerOptions, Timeouts, Upstream};
