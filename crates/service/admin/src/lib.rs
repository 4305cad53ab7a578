//! What operators and their machines ask a running process: whether it lives, whether it takes clients, what it has counted.
//!
//! [`AdminSite`] answers; what it knows it asks of a [`Facts`]. It is served on a thread of its own, so that a scrape takes
//! no time from a worker, and is answered while workers are busy. Knows no routes and no upstreams.

mod exposition;
mod site;

pub use exposition::Exposition;
pub use site::{AdminSite, Facts};
