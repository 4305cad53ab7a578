//! The integration tests' harness: the built programs as child processes, origins that follow a script, real servers
//! beside them, and a client that sends exactly the bytes it is told.
//!
//! The rules: ports are chosen by the system; a test waits for an event, at most [`PATIENCE`], and never for time to
//! pass; every child is ended and reaped by its own id when its value is dropped; what a child said on standard error
//! is shown when its test fails.
//!
//! The programs are those beside the test executable (`target/<profile>/server` and the like), as `cargo xtask test`
//! builds them. When they are missing or older than their sources, they are built first.

mod binaries;
mod certain;
mod certificates;
mod client;
mod origin;
pub mod peers;
mod process;
mod reply;
mod screen;
mod tollgate;

use std::time::Duration;

pub use certain::{descriptors, eventually, resident_kib};
pub use certificates::{Authority, Certificate};
pub use client::{Client, End};
pub use origin::{Connection, Origin, Request, answer, closed_port};
pub use process::{Ended, Process, run};
pub use reply::Reply;
pub use rustix::process::Signal;
pub use screen::{Screen, on_a_terminal};
pub use tollgate::{Tollgate, folder};

/// How long anything may take before its test fails. Generous: the machine may be busy. Shorter than the half minute and the minute
/// after which the programs give up by default, so that what only ended by that fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How much too early a deadline may come: a worker counts time in whole milliseconds, and one that has begun counts as
/// a whole one. A test that asks for "not before its time" grants this much for each deadline it waits for.
pub const TICK: Duration = Duration::from_millis(1);
