//! `--open`: the site in the user's browser, once it is there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::thread;

/// Opens the browser at what listens on `address`, from a thread of its own. Where nothing can be opened the banner still says
/// where to go.
pub(crate) fn browse_to(address: SocketAddr, scheme: &'static str) {
    thread::spawn(move || browse(&url(reached(address), scheme)));
}

/// Where this machine reaches what listens on `address`.
fn reached(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// A certificate names hosts, rarely addresses: over TLS this machine is `localhost`.
fn url(target: SocketAddr, scheme: &str) -> String {
    match scheme {
        "https" if target.ip().is_loopback() => format!("https://localhost:{}/", target.port()),
        _ => format!("{scheme}://{target}/"),
    }
}

/// The user's choice first, as other programs do it, then what desktops have.
fn browse(url: &str) {
    let chosen = std::env::var_os("BROWSER").filter(|b| !b.is_empty());
    let usual = ["xdg-open", "open", "wslview"].map(Into::into);
    for program in chosen.into_iter().chain(usual) {
        let mut command = Command::new(program);
        command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Ok(mut child) = command.spawn() {
            // Some stay as long as the browser does: nobody waits but this thread.
            let _ = child.wait();
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_has_the_scheme_that_is_spoken() {
        let to = |text: &str, scheme: &str| url(text.parse().unwrap(), scheme);
        assert_eq!(to("127.0.0.1:8080", "http"), "http://127.0.0.1:8080/");
        assert_eq!(to("127.0.0.1:8443", "https"), "https://localhost:8443/");
        assert_eq!(to("[2001:db8::1]:8443", "https"), "https://[2001:db8::1]:8443/");
    }

    #[test]
    fn what_listens_everywhere_is_opened_here() {
        let at = |text: &str| reached(text.parse().unwrap()).to_string();
        assert_eq!(
            [at("0.0.0.0:80"), at("[::]:8080"), at("127.0.0.2:81")],
            ["127.0.0.1:80", "[::1]:8080", "127.0.0.2:81"]
        );
    }
}
