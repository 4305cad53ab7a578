//! Addresses as text: TCP, Unix sockets and names.

use std::fmt;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where a server is reached. Written `127.0.0.1:80`, `[::1]:80`, `unix:/run/app.sock` or `host.name:80`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// An IP address and a port.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
    /// A name to be looked up (in lower case), and a port.
    Name {
        /// The name, without a trailing dot.
        host: String,
        /// The port.
        port: u16,
    },
}

/// Where to listen. Written `127.0.0.1:80`, `[::]:80` or `unix:/run/app.sock`; port 0 lets the system choose.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// An IP address and a port.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// Why a text is no address, and what might have been meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressError {
    /// What is wrong, as half a sentence about the address: "has no port".
    pub message: String,
    /// What to write instead.
    pub hint: String,
}

impl AddressError {
    fn new(message: impl Into<String>, hint: impl Into<String>) -> AddressError {
        AddressError { message: message.into(), hint: hint.into() }
    }
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the address {} ({})", self.message, self.hint)
    }
}

impl std::error::Error for AddressError {}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Address, AddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return parse_unix(path).map(Address::Unix);
        }
        if text.starts_with("https://") {
            return Err(AddressError::new(
                "asks for TLS, which is not built yet for upstreams",
                "leave `https://` out to speak plain HTTP",
            ));
        }
        if let Some(rest) = text.strip_prefix("http://") {
            let meant = with_port(rest.trim_end_matches('/'), 80);
            return Err(AddressError::new(
                "begins with `http://`, but only host and port are needed",
                format!("write `{meant}`"),
            ));
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return match address.port() {
                0 => Err(AddressError::new("has port 0", "a server is reached at a port from 1 to 65535")),
                _ => Ok(Address::Tcp(address)),
            };
        }
        parse_name(text)
    }
}

impl FromStr for ListenAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<ListenAddress, AddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return parse_unix(path).map(ListenAddress::Unix);
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(ListenAddress::Tcp(address));
        }
        Err(listen_error(text))
    }
}

impl From<ListenAddress> for Address {
    fn from(address: ListenAddress) -> Address {
        match address {
            ListenAddress::Tcp(address) => Address::Tcp(address),
            ListenAddress::Unix(path) => Address::Unix(path),
        }
    }
}

impl Address {
    /// The same, with a relative socket path made relative to `folder`.
    pub(crate) fn within(self, folder: &Path) -> Address {
        match self {
            Address::Unix(path) => Address::Unix(folder.join(path)),
            other => other,
        }
    }
}

impl ListenAddress {
    /// Whether one process cannot listen on both: the same address, or all addresses (`0.0.0.0`, `[::]`) of the same port and
    /// family. Each port 0 is another port, and `[::]` means IPv6 only. Socket paths are compared as they are written.
    pub fn overlaps(&self, other: &ListenAddress) -> bool {
        match (self, other) {
            (ListenAddress::Tcp(a), ListenAddress::Tcp(b)) => {
                let one_is_all = a.ip().is_unspecified() || b.ip().is_unspecified();
                let same_port = a.port() == b.port() && a.port() != 0;
                same_port && a.is_ipv4() == b.is_ipv4() && (a.ip() == b.ip() || one_is_all)
            }
            (ListenAddress::Unix(a), ListenAddress::Unix(b)) => a == b,
            _ => false,
        }
    }

    /// The same, with a relative socket path made relative to `folder`.
    pub(crate) fn within(self, folder: &Path) -> ListenAddress {
        match self {
            ListenAddress::Unix(path) => ListenAddress::Unix(folder.join(path)),
            other => other,
        }
    }
}

/// What a socket address of the kernel holds, less the NUL behind it.
const UNIX_PATH_BYTES_MAX: usize = 107;

/// Whether the kernel can hold this socket path.
pub(crate) fn check_unix_length(path: &Path) -> Result<(), AddressError> {
    let length = path.as_os_str().len();
    if length > UNIX_PATH_BYTES_MAX {
        return Err(AddressError::new(
            format!("names a socket path of {length} bytes, more than the {UNIX_PATH_BYTES_MAX} the system allows"),
            "choose a shorter folder",
        ));
    }
    Ok(())
}

fn parse_unix(path: &str) -> Result<PathBuf, AddressError> {
    if path.is_empty() || path.contains('\0') {
        return Err(AddressError::new("names no socket path", "such as `unix:/run/app.sock`"));
    }
    let path = PathBuf::from(path);
    check_unix_length(&path)?;
    Ok(path)
}

fn parse_name(text: &str) -> Result<Address, AddressError> {
    if text.is_empty() {
        return Err(AddressError::new("is empty", "such as `127.0.0.1:3000`"));
    }
    if text.contains('/') {
        return Err(AddressError::new("holds a `/`", "a Unix socket is written `unix:/path`; else host and port only"));
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err(AddressError::new("is an IPv6 address without brackets and port", format!("write `[{text}]:80`")));
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        if text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(AddressError::new("has no host", format!("write `127.0.0.1:{text}`")));
        }
        return Err(AddressError::new("has no port", format!("write `{}`", with_port(text, 80))));
    };
    if host.is_empty() {
        return Err(AddressError::new("has no host", format!("write `127.0.0.1:{port}`")));
    }
    let port = match port.parse::<u16>() {
        Ok(number) if number > 0 && !port.starts_with('+') => number,
        _ => return Err(AddressError::new(format!("has the port `{port}`"), "a port is a number from 1 to 65535")),
    };
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    check_host(&host)?;
    Ok(Address::Name { host, port })
}

fn check_host(host: &str) -> Result<(), AddressError> {
    let labels_fit = host.len() <= 253 && host.split('.').all(|label| (1..=63).contains(&label.len()));
    let letters_fit = host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    // `1.2.3` and `300.1.1.1` are addresses that went wrong, not names: no top-level domain is a number.
    let numeric_end = host.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    if labels_fit && letters_fit && !numeric_end {
        return Ok(());
    }
    Err(AddressError::new(
        format!("has the host `{host}`, which is neither an IP address nor a name"),
        "such as `127.0.0.1:3000` or `app.internal:3000`",
    ))
}

fn listen_error(text: &str) -> AddressError {
    let all_or = |host: &str, port: &str| match host {
        "" | "*" => format!("write `0.0.0.0:{port}` for every address of this machine"),
        "localhost" => format!("write `127.0.0.1:{port}`"),
        _ => "names are not looked up here: write the IP address, `0.0.0.0` for all".to_owned(),
    };
    if text.parse::<Ipv6Addr>().is_ok() {
        return AddressError::new("is an IPv6 address without brackets and port", format!("write `[{text}]:8080`"));
    }
    if text.contains("://") {
        return AddressError::new("is a URL", "host and port only, such as `127.0.0.1:8080`");
    }
    if text.contains('/') {
        return AddressError::new("holds a `/`", "a Unix socket is written `unix:/path`");
    }
    match text.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => {
            AddressError::new("has no IP address to listen on", all_or(host, port))
        }
        Some((_, port)) => AddressError::new(format!("has the port `{port}`"), "a port is a number from 0 to 65535"),
        None if !text.is_empty() && text.parse::<u16>().is_ok() => {
            AddressError::new("has no IP address to listen on", format!("write `127.0.0.1:{text}`"))
        }
        None => AddressError::new("has no port", "such as `127.0.0.1:8080`, `[::1]:8080` or `unix:/run/app.sock`"),
    }
}

fn with_port(host: &str, port: u16) -> String {
    let has_port = host.rsplit_once(':').is_some_and(|(_, p)| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()));
    if has_port { host.to_owned() } else { format!("{host}:{port}") }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(f),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
            Address::Name { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddress::Tcp(address) => address.fmt(f),
            ListenAddress::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_print_as_they_are_written() {
        for text in [
            "127.0.0.1:80",
            "[::1]:80",
            "unix:/run/app.sock",
            "unix:app.sock",
            "app.internal:3000",
            "my_app:1",
            "xn--bcher-kva.de:65535",
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        assert_eq!("App.Internal.:80".parse::<Address>().unwrap().to_string(), "app.internal:80");
        for text in ["127.0.0.1:0", "[::]:8080", "unix:/run/app.sock"] {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn refused_with_what_was_meant() {
        for (text, expected) in [
            ("", "the address is empty (such as `127.0.0.1:3000`)"),
            ("app", "the address has no port (write `app:80`)"),
            ("3000", "the address has no host (write `127.0.0.1:3000`)"),
            (":3000", "the address has no host (write `127.0.0.1:3000`)"),
            ("::1", "the address is an IPv6 address without brackets and port (write `[::1]:80`)"),
            ("http://app", "the address begins with `http://`, but only host and port are needed (write `app:80`)"),
            ("http://app:1/", "the address begins with `http://`, but only host and port are needed (write `app:1`)"),
            (
                "/run/app.sock",
                "the address holds a `/` (a Unix socket is written `unix:/path`; else host and port only)",
            ),
            ("unix:", "the address names no socket path (such as `unix:/run/app.sock`)"),
            ("app:99999", "the address has the port `99999` (a port is a number from 1 to 65535)"),
            ("127.0.0.1:0", "the address has port 0 (a server is reached at a port from 1 to 65535)"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap_err().to_string(), expected, "{text}");
        }
        for text in ["300.1.1.1:80", "a..b:80", "a b:80", "-:x", "b\u{fc}cher.de:80", "a@b:80", "1.2.3:80"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
        assert!("https://app:443".parse::<Address>().unwrap_err().to_string().contains("not built yet"));
        assert!(format!("unix:/{}", "x".repeat(107)).parse::<Address>().is_err());
    }

    #[test]
    fn addresses_overlap_on_one_port_of_one_family() {
        let overlap = |a: &str, b: &str| {
            let (a, b): (ListenAddress, ListenAddress) = (a.parse().unwrap(), b.parse().unwrap());
            assert_eq!(a.overlaps(&b), b.overlaps(&a));
            a.overlaps(&b)
        };
        for (a, b) in [
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("127.0.0.1:80", "0.0.0.0:80"),
            ("[::1]:80", "[::]:80"),
            ("unix:/a", "unix:/a"),
        ] {
            assert!(overlap(a, b), "{a} {b}");
        }
        for (a, b) in [
            ("127.0.0.1:80", "127.0.0.1:81"),
            ("127.0.0.1:80", "127.0.0.2:80"),
            ("0.0.0.0:80", "127.0.0.1:81"),
            ("0.0.0.0:80", "[::]:80"),
            ("0.0.0.0:0", "0.0.0.0:0"),
            ("unix:/a", "unix:/b"),
            ("unix:/a", "0.0.0.0:80"),
        ] {
            assert!(!overlap(a, b), "{a} {b}");
        }
    }

    #[test]
    fn refused_for_listening() {
        for (text, hint) in [
            ("localhost:80", "write `127.0.0.1:80`"),
            (":80", "write `0.0.0.0:80` for every address of this machine"),
            ("*:80", "write `0.0.0.0:80` for every address of this machine"),
            ("8080", "write `127.0.0.1:8080`"),
            ("example.com:80", "names are not looked up here: write the IP address, `0.0.0.0` for all"),
            ("http://0.0.0.0:80", "host and port only, such as `127.0.0.1:8080`"),
            ("/run/x", "a Unix socket is written `unix:/path`"),
            ("127.0.0.1:http", "a port is a number from 0 to 65535"),
            ("::1", "write `[::1]:8080`"),
            ("", "such as `127.0.0.1:8080`, `[::1]:8080` or `unix:/run/app.sock`"),
        ] {
            assert_eq!(text.parse::<ListenAddress>().unwrap_err().hint, hint, "{text}");
        }
    }
}
