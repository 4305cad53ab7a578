//! Files beneath a root: opened so that the kernel keeps them there, looked at, and read without waiting.
//!
//! * [`Root`] is a directory; [`Root::open_file`] and [`Root::stat`] resolve paths beneath it with `openat2`, or, where the
//!   kernel or a filter refuses that call, component by component without following any link ([`Mode`]).
//! * Every look-up says how far it may [`Reach`]: with [`Reach::Cached`] it answers from the kernel's caches or fails with
//!   [`Error::WouldBlock`], so that a worker thread can try it; with [`Reach::Disk`] it may wait, and belongs on the
//!   blocking pool. A [`Root`] and all that comes out of it can cross threads.
//! * [`Root::list`] says what is in a directory.
//! * [`Notices`] tells of changes in directories that were asked about.
//! * [`read_resident`] reads what is in the page cache and never waits for a disk.
//!
//! Only regular files are ever opened for reading, and directories recognised. Knows nothing of HTTP, nor of the
//! reactor. There is no unsafe code here: `rustix` makes the calls.
#![forbid(unsafe_code)]

mod changes;
mod error;
mod list;
mod meta;
mod notices;
mod resident;
mod root;
mod walk;
mod watches;
mod ways;

pub use changes::{Changes, Place};
pub use error::Error;
pub use list::{ListLimits, Listed, Listing};
pub use meta::{Kind, Meta, Stamp};
pub use notices::Notices;
pub use resident::read_resident;
pub use root::{Links, Mode, Opened, Reach, Root};

#[cfg(test)]
mod tests;
