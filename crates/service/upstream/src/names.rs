//! Looking up names, off the worker.

use std::net::ToSocketAddrs;

use net::Address;

/// The addresses of a name, IPv4 and IPv6 as the system orders them; the reason in words when there are none.
pub(crate) async fn lookup(host: String, port: u16) -> Result<Vec<Address>, String> {
    let found = event_loop::blocking(move || {
        let addrs = (host.as_str(), port).to_socket_addrs();
        addrs.map(|found| found.map(Address::Tcp).collect::<Vec<_>>()).map_err(|e| e.to_string())
    });
    match found.await {
        Ok(Ok(addrs)) if addrs.is_empty() => Err("the name has no address".into()),
        Ok(found) => found,
        Err(e) => Err(e.to_string()),
    }
}
