//! `--open`: the site in the user's browser, once it is there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use config::ListenAddress;

/// How long the server may take to begin.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where a browser of this machine finds what listens on `address`; a sentence when it cannot.
pub(crate) fn target(address: &ListenAddress) -> Result<SocketAddr, String> {
    let ListenAddress::Tcp(address) = address else {
        return Err("--open needs an IP address to listen on: browsers open no unix: socket".into());
    };
    if address.port() == 0 {
        return Err("--open needs a port: with 0 the system chooses one that is not known before".into());
    }
    let ip = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    Ok(SocketAddr::new(ip, address.port()))
}

/// Opens the browser as soon as the address answers, from a thread of its own. Where nothing can be opened the banner still
/// says where to go.
pub(crate) fn when_ready(target: SocketAddr, scheme: &'static str) {
    thread::spawn(move || {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if TcpStream::connect_timeout(&target, Duration::from_secs(1)).is_ok() {
                return browse(&url(target, scheme));
            }
            thread::sleep(Duration::from_millis(50));
        }
    });
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
        let at = |text: &str| target(&text.parse::<ListenAddress>().unwrap()).map(|t| t.to_string());
        assert_eq!(at("0.0.0.0:80"), Ok("127.0.0.1:80".into()));
        assert_eq!(at("[::]:8080"), Ok("[::1]:8080".into()));
        assert_eq!(at("127.0.0.2:81"), Ok("127.0.0.2:81".into()));
        assert!(at("127.0.0.1:0").is_err() && at("unix:/run/x").is_err());
    }
}
