//! Blocks of addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A block of addresses, or the processes of this machine that come through a Unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// `10.0.0.0/8`: the first address and the bits that count.
    V4(Ipv4Addr, u8),
    /// `fd00::/8`.
    V6(Ipv6Addr, u8),
    /// `unix:`: whoever connects through a Unix socket, and has no address.
    Unix,
}

/// Why a text is no network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadNetwork {
    /// What is wrong, as half a sentence about the text.
    pub message: &'static str,
    /// What to write instead, where that is known.
    pub hint: Option<String>,
}

impl Network {
    /// Parses `10.0.0.0/8`, `192.0.2.1`, `fd00::/8`, `::1` or `unix:`. Bits behind the length must be zero, since whoever
    /// sets them has something else in mind than what would be matched.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Network, BadNetwork> {
        if text == "unix:" {
            return Ok(Network::Unix);
        }
        let bad = |message| BadNetwork { message, hint: None };
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| bad("is no IP address or network"))?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            None => most,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits
                .parse()
                .ok()
                .filter(|n| *n <= most)
                .ok_or_else(|| bad("has a length that no such network has"))?,
            Some(_) => return Err(bad("has something else than a number behind its `/`")),
        };
        let network = match address {
            IpAddr::V4(v4) => Network::V4((u32::from(v4) & mask(length, 32) as u32).into(), length),
            IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
                Some(_) => return Err(bad("is an IPv4 address in IPv6's clothes; write it as IPv4")),
                None => Network::V6((u128::from(v6) & mask(length, 128)).into(), length),
            },
        };
        if network.first() != Some(address) {
            return Err(BadNetwork {
                message: "has bits set behind its length",
                hint: Some(format!("write `{network}` for the network, or the address alone")),
            });
        }
        Ok(network)
    }

    fn first(&self) -> Option<IpAddr> {
        match *self {
            Network::V4(first, _) => Some(first.into()),
            Network::V6(first, _) => Some(first.into()),
            Network::Unix => None,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Network::V4(first, 32) => first.fmt(f),
            Network::V6(first, 128) => first.fmt(f),
            Network::V4(first, length) => write!(f, "{first}/{length}"),
            Network::V6(first, length) => write!(f, "{first}/{length}"),
            Network::Unix => f.write_str("unix:"),
        }
    }
}

/// The upper `length` of `bits` bits.
fn mask(length: u8, bits: u8) -> u128 {
    let ones = u128::MAX >> (128 - u32::from(bits));
    ones & !ones.checked_shr(length.into()).unwrap_or(0)
}

/// A set of networks. Asking takes a search in sorted numbers, however many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks {
    /// First and last addresses, sorted, apart from each other.
    v4: Box<[(u32, u32)]>,
    v6: Box<[(u128, u128)]>,
    unix: bool,
}

impl Networks {
    /// The set of these, in any order; they may overlap.
    pub fn new(networks: &[Network]) -> Networks {
        let (mut v4, mut v6, mut unix) = (Vec::new(), Vec::new(), false);
        for network in networks {
            match *network {
                Network::V4(first, length) => {
                    let first = u128::from(u32::from(first));
                    v4.push((first, first | (mask(32, 32) & !mask(length, 32))));
                }
                Network::V6(first, length) => {
                    let first = u128::from(first);
                    v6.push((first, first | !mask(length, 128)));
                }
                Network::Unix => unix = true,
            }
        }
        let narrow = |(first, last): (u128, u128)| (first as u32, last as u32);
        Networks { v4: merged(v4).into_iter().map(narrow).collect(), v6: merged(v6).into(), unix }
    }

    /// Whether nobody is in it.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty() && !self.unix
    }

    /// Whether a client of that address is in it. An IPv4 address that was mapped into IPv6 is what it is.
    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(v4) => has(&self.v4, u32::from(v4)),
            IpAddr::V6(v6) => has(&self.v6, u128::from(v6)),
        }
    }

    /// Whether whoever comes through a Unix socket is in it.
    pub fn contains_unix(&self) -> bool {
        self.unix
    }
}

fn has<T: Copy + Ord>(ranges: &[(T, T)], number: T) -> bool {
    let place = ranges.partition_point(|(first, _)| *first <= number);
    place > 0 && ranges[place - 1].1 >= number
}

fn merged(mut ranges: Vec<(u128, u128)>) -> Vec<(u128, u128)> {
    ranges.sort_unstable();
    let mut merged: Vec<(u128, u128)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match merged.last_mut() {
            Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
            _ => merged.push((first, last)),
        }
    }
    merged
}
