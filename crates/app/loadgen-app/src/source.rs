//! Ranges of local addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses that one argument may stand for.
const ADDRESSES_MAX: u128 = 65_536;

/// Reads `127.0.0.1-127.0.0.20`, single addresses, and several of either with commas between; what is wrong in a sentence.
pub(crate) fn parse(text: &str) -> Result<Vec<IpAddr>, String> {
    let mut all = Vec::new();
    for part in text.split(',').map(str::trim) {
        let address = |text: &str| {
            text.trim().parse::<IpAddr>().map_err(|_| format!("--source {part}: `{}` is no IP address", text.trim()))
        };
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (address(first)?, address(last)?),
            None => (address(part)?, address(part)?),
        };
        match (first, last) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                let range = range(u128::from(u32::from(a)), u128::from(u32::from(b)), part)?;
                all.extend(range.map(|n| IpAddr::V4(Ipv4Addr::from(n as u32))));
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                all.extend(range(a.into(), b.into(), part)?.map(|n| IpAddr::V6(Ipv6Addr::from(n))));
            }
            _ => return Err(format!("--source {part}: the two ends are of different kinds")),
        }
        if all.len() as u128 > ADDRESSES_MAX {
            return Err(format!("--source: more than {ADDRESSES_MAX} addresses"));
        }
    }
    Ok(all)
}

fn range(first: u128, last: u128, part: &str) -> Result<std::ops::RangeInclusive<u128>, String> {
    match last.checked_sub(first) {
        None => Err(format!("--source {part}: the range runs backwards")),
        Some(more) if more >= ADDRESSES_MAX => Err(format!("--source {part}: more than {ADDRESSES_MAX} addresses")),
        Some(_) => Ok(first..=last),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_lists() {
        let text = |text| parse(text).unwrap().iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" ");
        assert_eq!(text("127.0.0.1"), "127.0.0.1");
        assert_eq!(text("127.0.0.254-127.0.1.1"), "127.0.0.254 127.0.0.255 127.0.1.0 127.0.1.1");
        assert_eq!(text("::1-::2, 10.0.0.1"), "::1 ::2 10.0.0.1");
    }

    #[test]
    fn wrong_ranges_are_explained() {
        for (text, said) in [
            ("", "no IP address"),
            ("127.0.0.5-127.0.0.1", "backwards"),
            ("127.0.0.1-", "no IP address"),
            ("127.0.0.1-::1", "different kinds"),
            ("10.0.0.0-10.255.255.255", "more than"),
            ("::-ffff::", "more than"),
            ("300.0.0.1", "no IP address"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
