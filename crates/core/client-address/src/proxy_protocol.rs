//! The PROXY protocol (HAProxy's `proxy-protocol.txt`): who connected to the balancer in front, told before the first byte
//! of the connection.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest header of version 1, its line end included.
const V1_MAX: usize = 107;

/// What a header of version 2 begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// The fixed part of version 2: signature, version and command, family, length.
const V2_FIXED: usize = 16;

/// With so many bytes [`read`] always has an answer; version 2 may go on behind them with what is skipped.
pub const OFFERED_MAX: usize = V1_MAX;

const _: () = assert!(V2_FIXED + 36 <= OFFERED_MAX);

/// Who connected where, as a balancer saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The client.
    pub source: SocketAddr,
    /// What it connected to.
    pub destination: SocketAddr,
}

/// A header that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Who connected. None: the balancer speaks for itself, or does not know.
    pub ends: Option<Ends>,
    /// The balancer speaks for itself (LOCAL, a check of health): nobody else is behind this connection.
    pub is_local: bool,
    /// Its whole length, extensions (TLVs) included: so many bytes are to be skipped.
    pub len: usize,
}

/// What stands there is no PROXY header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadHeader(&'static str);

impl fmt::Display for BadHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for BadHeader {}

/// Reads the header at the front of `bytes`. `None`: more bytes are needed; with [`OFFERED_MAX`] of them there is always an
/// answer.
///
/// # Errors
/// It is none, as soon as that can be told.
pub fn read(bytes: &[u8]) -> Result<Option<Header>, BadHeader> {
    const V1: &[u8] = b"PROXY ";
    let begins = |with: &[u8]| bytes.iter().zip(with).all(|(a, b)| a == b);
    if begins(&SIGNATURE) {
        return if bytes.len() < V2_FIXED { Ok(None) } else { read_v2(bytes) };
    }
    if begins(V1) {
        return if bytes.len() < V1.len() { Ok(None) } else { read_v1(bytes) };
    }
    Err(BadHeader("The connection does not begin with a PROXY header."))
}

fn read_v1(bytes: &[u8]) -> Result<Option<Header>, BadHeader> {
    let bad = BadHeader("The PROXY header is broken.");
    let line = &bytes[..bytes.len().min(V1_MAX)];
    let Some(end) = line.iter().position(|b| *b == b'\n') else {
        return if line.len() < V1_MAX { Ok(None) } else { Err(bad) };
    };
    let text = line[..end].strip_suffix(b"\r").and_then(|l| std::str::from_utf8(l).ok()).ok_or(bad)?;
    let mut words = text.split(' ').skip(1);
    let mut word = || words.next().ok_or(bad);
    let ends = match word()? {
        // Whatever else is in the line is not to be looked at.
        "UNKNOWN" => None,
        family @ ("TCP4" | "TCP6") => {
            let (source, destination) = (word()?, word()?);
            let (source_port, destination_port) = (port(word()?).ok_or(bad)?, port(word()?).ok_or(bad)?);
            let address = |text: &str| match family {
                "TCP4" => text.parse().map(IpAddr::V4).ok(),
                _ => text.parse().map(IpAddr::V6).ok(),
            };
            let (source, destination) = (address(source).ok_or(bad)?, address(destination).ok_or(bad)?);
            if words.next().is_some() {
                return Err(bad);
            }
            Some(Ends {
                source: SocketAddr::new(source, source_port),
                destination: SocketAddr::new(destination, destination_port),
            })
        }
        _ => return Err(bad),
    };
    Ok(Some(Header { ends, is_local: false, len: end + 1 }))
}

fn port(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

fn read_v2(bytes: &[u8]) -> Result<Option<Header>, BadHeader> {
    let (version_and_command, family) = (bytes[12], bytes[13]);
    let body = usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    let len = V2_FIXED + body;
    let is_local = match version_and_command {
        0x20 => true,
        0x21 => false,
        _ => return Err(BadHeader("The PROXY header has an unknown version or command.")),
    };
    // How long the addresses of a family are; what follows are extensions.
    let addresses = match family {
        _ if is_local => 0,
        0x00 => 0,
        0x11 => 12,
        0x21 => 36,
        // The ends of a Unix socket: two names, of which nothing follows here.
        0x31 => 216,
        _ => return Err(BadHeader("The PROXY header tells of a connection that is no stream.")),
    };
    if body < addresses {
        return Err(BadHeader("The PROXY header is shorter than its addresses."));
    }
    let told = &bytes[V2_FIXED..];
    let ends = match family {
        0x11 | 0x21 if !is_local => match told.get(..addresses) {
            Some(told) => Some(ends(told)),
            None => return Ok(None),
        },
        _ => None,
    };
    Ok(Some(Header { ends, is_local, len }))
}

/// Of two addresses and two ports, 12 or 36 bytes of them.
fn ends(told: &[u8]) -> Ends {
    let half = (told.len() - 4) / 2;
    let address = |bytes: &[u8]| match *bytes {
        [a, b, c, d] => IpAddr::from(Ipv4Addr::new(a, b, c, d)),
        _ => IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).unwrap_or_default())),
    };
    let port = |at: usize| u16::from_be_bytes([told[2 * half + at], told[2 * half + at + 1]]);
    Ends {
        source: SocketAddr::new(address(&told[..half]), port(0)),
        destination: SocketAddr::new(address(&told[half..2 * half]), port(2)),
    }
}

/// Which form a header is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// A header that tells of `ends`; of nobody where there are none. Two ends of different families are both told as IPv6.
pub fn write(version: Version, ends: Option<Ends>) -> Box<[u8]> {
    let ends = ends.map(|Ends { source, destination }| {
        let (source_ip, destination_ip) = (source.ip().to_canonical(), destination.ip().to_canonical());
        let both = |source_ip, destination_ip| Ends {
            source: SocketAddr::new(source_ip, source.port()),
            destination: SocketAddr::new(destination_ip, destination.port()),
        };
        if source_ip.is_ipv4() == destination_ip.is_ipv4() {
            both(source_ip, destination_ip)
        } else {
            both(in_v6(source_ip), in_v6(destination_ip))
        }
    });
    match version {
        Version::V1 => write_v1(ends),
        Version::V2 => write_v2(ends),
    }
}

fn in_v6(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().into(),
        v6 => v6,
    }
}

fn write_v1(ends: Option<Ends>) -> Box<[u8]> {
    let text = match ends {
        None => "PROXY UNKNOWN\r\n".to_owned(),
        Some(Ends { source, destination }) => {
            let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
            let (from, to) = (source.ip(), destination.ip());
            format!("PROXY {family} {from} {to} {} {}\r\n", source.port(), destination.port())
        }
    };
    text.into_bytes().into()
}

fn write_v2(ends: Option<Ends>) -> Box<[u8]> {
    let mut header = SIGNATURE.to_vec();
    let Some(Ends { source, destination }) = ends else {
        // LOCAL: whoever reads it takes the connection for one of our own, and has to accept it. PROXY without an address (UNSPEC) would say
        // more, but readers are free to refuse it (section 2.2 of the specification), and HAProxy 2.6 does; it sends LOCAL itself, without
        // an address, of length 0.
        header.extend_from_slice(&[0x20, 0x00, 0, 0]);
        return header.into();
    };
    match (source.ip(), destination.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            header.extend_from_slice(&[0x21, 0x11, 0, 12]);
            header.extend_from_slice(&from.octets());
            header.extend_from_slice(&to.octets());
        }
        (from, to) => {
            header.extend_from_slice(&[0x21, 0x21, 0, 36]);
            for address in [from, to] {
                let IpAddr::V6(v6) = in_v6(address) else { continue };
                header.extend_from_slice(&v6.octets());
            }
        }
    }
    header.extend_from_slice(&source.port().to_be_bytes());
    header.extend_from_slice(&destination.port().to_be_bytes());
    header.into()
}
