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

/// Where a server is reached, and whether over TLS. Written as an [`Address`], with `https://` in front for TLS.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerAddress {
    /// Where.
    pub address: Address,
    /// Whether TLS is spoken there.
    pub tls: bool,
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
        refuse_user(text)?;
        if let Some(rest) = text.strip_prefix("https://") {
            let meant = with_port(rest.trim_end_matches('/'), 443);
            return Err(AddressError::new("asks for TLS, which is not spoken here", format!("write `{meant}`")));
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

impl FromStr for ServerAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<ServerAddress, AddressError> {
        let Some(rest) = text.strip_prefix("https://") else {
            return Ok(ServerAddress { address: text.parse()?, tls: false });
        };
        if !rest.starts_with("unix:") {
            refuse_user(rest)?;
        }
        let meant = rest.strip_suffix('/').unwrap_or(rest);
        let has_end = meant.len() < rest.len() || meant.contains('/') && !meant.starts_with("unix:");
        if has_end || !meant.starts_with("unix:") && with_port(meant, 443) != meant {
            let bare = meant.split('/').next().unwrap_or(meant);
            let why = if has_end { "holds a path, but only host and port are needed" } else { "has no port" };
            return Err(AddressError::new(why, format!("write `https://{}`", with_port(bare, 443))));
        }
        Ok(ServerAddress { address: meant.parse()?, tls: true })
    }
}

impl From<Address> for ServerAddress {
    fn from(address: Address) -> ServerAddress {
        ServerAddress { address, tls: false }
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.tls { "https://" } else { "" })?;
        self.address.fmt(f)
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

/// What stands before an `@` may hold a password: the error repeats nothing of it.
fn refuse_user(text: &str) -> Result<(), AddressError> {
    if !text.contains('@') {
        return Ok(());
    }
    let hint =
        "a route says whom a server is to take us for: `request_headers = { set = { Authorization = \"...\" } }`";
    Err(AddressError::new("holds an `@`, but only host and port are needed", hint))
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
mod tests;
