//! Which route a request takes: host, path, method and further conditions against rules in order, the first match wins.
//!
//! [`normalise`] brings a path into the one form that is matched, served and sent on; [`Router`] is built once
//! from [`Rule`]s, is read-only afterwards and allocates nothing per lookup. This crate knows neither what a route
//! does nor where its rules were written.

mod condition;
mod literal;
mod normalise;
mod pattern;
mod router;
mod rule;
mod table;

pub use condition::{Asked, Conditions, Scheme, ValuePattern};
pub use normalise::{BadPath, Normalised, Scratch, normalise};
pub use pattern::{HostPattern, MethodToken, PathPattern, PatternError};
pub use router::{Allow, Found, Router, TooManyMethods, host_of};
pub use rule::{RouteId, Rule};
