//! Static files: which file a path means, what a request for it is answered with, and the open-file cache.
//!
//! * Pure: [`path`], [`conditional`], [`range`], [`mime`], [`listing`], [`validators`], and [`decide`] over them.
//! * [`Files`] is a route: [`Files::respond`] gives an [`Answer`], which knows no connection; [`Files::send`] sends it at once where it can.
//! * [`OpenFiles`] is the cache that the routes of a worker share; spawn [`sweep`] with it.
//!
//! That a path stays beneath the root is the kernel's work, through the `fs` crate; nothing here relies on looking at strings.
//! Listing is done on the blocking pool, and so is compressing all but small files.

pub mod conditional;
pub mod listing;
pub mod mime;
pub mod path;
pub mod range;
pub mod validators;

mod answer;
mod cache;
mod decide;
mod entry;
mod files;
mod folders;
mod load;
mod multipart;
mod options;
mod pages;
mod stream;
mod turns;

pub use content_coding::Coding;

pub use answer::{ALLOW, Answer, Body, Head};
pub use cache::{CacheStats, Limits, OpenFiles, sweep};
pub use decide::{Decision, decide};
pub use files::{Claim, Files, Moment, Step, Work};
pub use load::{Lookup, Outcome};
pub use options::{BadOption, Options};
pub use stream::Stream;

#[cfg(test)]
mod testing;
#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "the tests prepare files, and stand in for the pool and the clock")]
mod tests;
