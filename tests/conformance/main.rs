//! What clients may not do, over raw sockets: the exact status, the end of the connection, and that an origin behind the
//! proxy never sees a byte of it.

mod broken_bodies;
mod broken_requests;
mod slow_clients;
mod unusual_requests;
mod vanishing_clients;

use tests::{Origin, Tollgate, answer};

/// A server of a folder with one small file, a proxy, and the proxy's origin.
pub(crate) struct Both {
    pub(crate) server: Tollgate,
    pub(crate) proxy: Tollgate,
    pub(crate) origin: Origin,
}

/// Limits far below the defaults, so that a test reaches them quickly; timeouts that no test waits out.
pub(crate) const LIMITS: &str =
    "[limits]\nheader_bytes = \"4KiB\"\nuri_bytes = \"1KiB\"\nheaders = 20\nbody_bytes = \"1000B\"\n";

pub(crate) fn both(settings: &str) -> Both {
    let origin = Origin::answering(answer("200 OK", "origin"));
    let folder = tests::folder();
    std::fs::write(folder.path().join("index.html"), "file").expect("a file of ours");
    let server =
        Tollgate::config_in(folder, &format!("{settings}\n[[route]]\npath = \"/*\"\nfiles = {{ root = \".\" }}\n"));
    let proxy = Tollgate::config(&format!(
        "{settings}\n[[route]]\npath = \"/*\"\nproxy = {{ upstream = \"o\" }}\n[upstream.o]\nservers = [\"{}\"]\n",
        origin.address()
    ));
    Both { server, proxy, origin }
}
