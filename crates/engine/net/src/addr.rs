//! Where to listen, where to connect, and who connected.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::path::PathBuf;
use std::str::FromStr;

/// An address of a listener or of a server, after names were looked up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// An IP address and port.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
    /// A listener of [`crate::memory`] on this thread, by its number.
    Memory(u32),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(addr) => addr.fmt(f),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
            Address::Memory(number) => write!(f, "memory:{number}"),
        }
    }
}

/// The text is no address of the form `ip:port` or `unix:/path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseAddressError;

impl fmt::Display for ParseAddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an address is IP:PORT, [IPv6]:PORT or unix:/PATH")
    }
}

impl std::error::Error for ParseAddressError {}

impl FromStr for Address {
    type Err = ParseAddressError;

    fn from_str(text: &str) -> Result<Address, ParseAddressError> {
        match text.strip_prefix("unix:") {
            Some("") => Err(ParseAddressError),
            Some(path) => Ok(Address::Unix(PathBuf::from(path))),
            None => text.parse().map(Address::Tcp).map_err(|_| ParseAddressError),
        }
    }
}

/// Who connected. 16 bytes, since every idle connection keeps one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// An IPv4 peer, or an IPv6 one that maps an IPv4 address.
    V4(SocketAddrV4),
    /// An IPv6 peer.
    V6(Box<SocketAddrV6>),
    /// A process on this machine, through a Unix socket.
    Unix,
    /// The other end of an in-memory stream.
    Memory(u32),
}

impl Peer {
    /// The peer behind a socket address.
    pub fn of(addr: SocketAddr) -> Peer {
        match addr {
            SocketAddr::V4(v4) => Peer::V4(v4),
            SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
                Some(v4) => Peer::V4(SocketAddrV4::new(v4, v6.port())),
                None => Peer::V6(Box::new(v6)),
            },
        }
    }

    /// The peer's address and port; none without IP.
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        match self {
            Peer::V4(addr) => Some((*addr).into()),
            Peer::V6(addr) => Some((**addr).into()),
            Peer::Unix | Peer::Memory(_) => None,
        }
    }

    /// The peer's IP address; none for a Unix socket.
    pub fn ip(&self) -> Option<std::net::IpAddr> {
        match self {
            Peer::V4(addr) => Some((*addr.ip()).into()),
            Peer::V6(addr) => Some((*addr.ip()).into()),
            Peer::Unix => None,
            Peer::Memory(_) => Some(Ipv4Addr::LOCALHOST.into()),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Somebody else told of it, without a port.
            Peer::V4(addr) if addr.port() == 0 => addr.ip().fmt(f),
            Peer::V6(addr) if addr.port() == 0 => addr.ip().fmt(f),
            Peer::V4(addr) => addr.fmt(f),
            Peer::V6(addr) => addr.fmt(f),
            Peer::Unix => f.write_str("unix"),
            Peer::Memory(number) => write!(f, "memory:{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_and_print() {
        for text in ["127.0.0.1:80", "[::1]:8080", "unix:/run/a.sock"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        for bad in ["", "localhost", "unix:", "127.0.0.1", "::1:80x"] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_peer_is_small() {
        assert!(size_of::<Peer>() <= 16);
        let mapped: SocketAddr = "[::ffff:10.0.0.1]:5".parse().unwrap();
        assert_eq!(Peer::of(mapped).to_string(), "10.0.0.1:5");
    }
}
