//! The configuration that is served, and its later generations.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use app::{Prepared, Resources, Site};

/// Listens for the clients.
pub(crate) const FRONT: u32 = 1;
/// Servers that are always there and do what they should.
pub(crate) const CALM: [u32; 2] = [10, 11];
/// Servers that close idle connections without a word, and are well-behaved otherwise.
pub(crate) const STALE: [u32; 2] = [20, 21];
/// Servers that do everything a server should not.
pub(crate) const WILD: [u32; 3] = [30, 31, 32];
/// Nobody listens there.
pub(crate) const DEAD: u32 = 40;

/// The largest request body: less than some that are sent.
pub(crate) const BODY_BYTES_MAX: usize = 100_000;

fn servers(numbers: &[u32]) -> String {
    numbers.iter().map(|n| format!("\"{n}.memory:80\"")).collect::<Vec<_>>().join(", ")
}

fn text(generation: u32) -> String {
    let (calm, stale, wild) = (servers(&CALM), servers(&STALE), servers(&WILD));
    // Every second generation has other upstreams, so that the pools of the former ones are retired.
    let max_requests = 5 + generation / 2;
    format!(
        r#"
[limits]
body_bytes = "{BODY_BYTES_MAX}B"

[[route]]
path = "/calm/*"
proxy = {{ upstream = "calm" }}

[[route]]
path = "/stale/*"
proxy = {{ upstream = "stale" }}

[[route]]
path = "/wild/*"
proxy = {{ upstream = "wild" }}

[[route]]
path = "/dead/*"
proxy = {{ upstream = "dead" }}

[[route]]
path = "/files/*"
files = {{ root = "." }}

[[route]]
path = "/generation/*"
respond = {{ status = 200, body = "generation {generation}\n" }}

[upstream.calm]
servers = [{calm}]
timeouts = {{ connect = "2s", header = "20s", body = "20s" }}
keep_alive = {{ max_requests = {max_requests} }}

[upstream.stale]
servers = [{stale}]
timeouts = {{ connect = "2s", header = "20s", body = "20s" }}

[upstream.wild]
servers = [{wild}]
timeouts = {{ connect = "1s", header = "3s", body = "3s" }}
retry = {{ attempts = 3, on = ["connect", "reset", "503"] }}
keep_alive = {{ max_requests = {max_requests}, idle_timeout = "2s" }}

[upstream.dead]
servers = ["{DEAD}.memory:80"]
"#
    )
}

/// One worker's site of that generation, with its files in `folder`.
pub(crate) fn site(generation: u32, folder: &Path, resources: &Resources) -> Rc<Site> {
    let loaded = ::config::parse(&text(generation), "sim.toml", folder).unwrap_or_else(|report| panic!("{report}"));
    let prepared = Prepared::new(loaded.plan).unwrap_or_else(|e| panic!("{e}"));
    Rc::new(Site::new(Arc::new(prepared), resources).unwrap_or_else(|e| panic!("{e}")))
}
