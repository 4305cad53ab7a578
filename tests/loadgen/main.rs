//! The load generator against origins that behave, and against those that do not.

mod broken_origins;
mod live;
mod loads;
mod modes;
mod secure;
mod usage;

use std::net::SocketAddr;
use std::process::Command;

use tests::{Ended, Tollgate, run};

/// Runs `loadgen` with these arguments, separated by spaces, to its end.
pub(crate) fn loadgen(arguments: &str) -> Ended {
    loadgen_args(arguments.split_whitespace())
}

/// The same with arguments that have spaces in them.
pub(crate) fn loadgen_args<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Ended {
    run(command().args(arguments))
}

pub(crate) fn command() -> Command {
    Tollgate::command("loadgen")
}

/// The URL of an origin.
pub(crate) fn url(address: SocketAddr) -> String {
    format!("http://{address}/")
}

/// A number from the `"name":123` nearest behind the first `"totals"` of a saved run.
pub(crate) fn total(json: &str, name: &str) -> u64 {
    number(json.split_once("\"totals\"").expect("totals").1, name)
}

/// The first number of that name, 0 when there is none.
pub(crate) fn number(json: &str, name: &str) -> u64 {
    let pattern = format!("\"{name}\":");
    let Some((_, rest)) = json.split_once(&pattern) else { return 0 };
    let digits: String = rest.trim_start().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("no number behind {pattern}"))
}

/// The errors of a saved run: `{"reset":3}`.
pub(crate) fn errors(json: &str) -> String {
    let totals = json.split_once("\"totals\"").expect("totals").1;
    let rest = totals.split_once("\"errors\":").expect("errors").1;
    rest[..=rest.find('}').expect("an object")].split_whitespace().collect()
}

/// Runs quietly and gives the saved run with the exit status.
pub(crate) fn saved(arguments: &str) -> (String, i32) {
    let ended = loadgen(&format!("-q --json - {arguments}"));
    let code = ended.code.expect("an exit status");
    assert!(ended.out.contains("\"totals\""), "no run was saved: {}{}", ended.out, ended.err);
    (ended.out, code)
}

/// The exit status says that there were errors; or, on a machine as busy as one that runs tests, that the figures of the run
/// are not to be believed, which weighs more.
pub(crate) fn tells_of_errors(code: i32) -> bool {
    code == 1 || code == 3
}
