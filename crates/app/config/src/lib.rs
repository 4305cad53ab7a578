//! The configuration: TOML files in, a validated [`Plan`] out, or a [`Report`] of everything that is wrong with them,
//! each thing with file, line, column, caret, what was expected and a hint.
//!
//! Certificates and keys are read and held against each other, so that a wrong one is an error at its line.
//!
//! One table of options says of every key what it is, what its default is and whether it works yet; unknown keys, the
//! "not built yet" errors, the defaults and [`reference()`] come from it. Reads files and the environment, and looks
//! whether folders are there; knows no sockets.

mod address;
mod assemble;
mod diagnostic;
mod environment;
mod files;
mod options;
mod plan;
mod read;
mod small_file;
mod source;
mod syntax;
mod tree;
mod units;

use std::path::Path;

pub use address::{Address, AddressError, ListenAddress, ServerAddress};
pub use diagnostic::{Diagnostic, Report, Severity};
pub use options::reference;
pub use plan::{
    AccessFormat, AccessLog, Action, Balance, CertificateFiles, ClientAuth, Count, Destination, ErrorPage, Files,
    HashKey, HeaderEdits, Health, HostField, Hsts, KeepAlive, Limits, Listener, ListenerTls, LogTarget, Piece, Plan,
    Proxy, Redirect, Respond, Route, Runtime, Server, Share, SplitBy, Statuses, Sticky, Symlinks, TicketSecret,
    Timeouts, TlsVersion, UNLIMITED, Upstream, UpstreamId, UpstreamTimeouts, UpstreamTls,
};
pub use small_file::{read_regular_file, read_small_file};
pub use source::Place;

/// A configuration that can be used.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What to do.
    pub plan: Plan,
    /// What is allowed, but has no effect or is hardly meant.
    pub warnings: Vec<Diagnostic>,
}

/// Reads a file and all that it includes. Blocks on files.
pub fn load(path: &Path) -> Result<Loaded, Report> {
    assemble::assemble(files::load(path, &process_environment))
}

/// Reads a text as though it were a file called `name` in `folder`, with the environment of the process.
pub fn parse(text: &str, name: &str, folder: &Path) -> Result<Loaded, Report> {
    assemble::assemble(files::parse_text(text, name, folder, &process_environment))
}

/// The same with an environment of the caller's own.
pub fn parse_with(
    text: &str,
    name: &str,
    folder: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Loaded, Report> {
    assemble::assemble(files::parse_text(text, name, folder, &|name| environment(name).map(Ok)))
}

fn process_environment(name: &str) -> Option<Result<String, ()>> {
    std::env::var_os(name).map(|value| value.into_string().map_err(|_| ()))
}
