//! What of a request decides which server it goes to.

use balance::{Policy, hash_of};
use message::Known;
use serve::Exchange;
use upstream::{HashKey, Upstream, Wanted};

/// What the request says about where it goes.
pub(crate) fn wanted(upstream: &Upstream, exchange: &Exchange<'_>) -> Wanted {
    let home = upstream.sticky_cookie().and_then(|name| {
        // Another of that name may stand in front, of a longer path or a domain above.
        cookies(exchange.request.fields.all(Known::Cookie), name.as_bytes()).find_map(|value| upstream.home_of(value))
    });
    Wanted { key: key(upstream, exchange), home }
}

/// The hash of what the upstream's policy goes by; of the client's address where the request does not have it.
fn key(upstream: &Upstream, exchange: &Exchange<'_>) -> u64 {
    let balancing = &upstream.options().balancing;
    if balancing.policy != Policy::Hash {
        return 0;
    }
    let request = exchange.request;
    let of_request = match &balancing.key {
        HashKey::Client => None,
        HashKey::Header(name) => request.fields.first_named(name.as_bytes()),
        HashKey::Cookie(name) => cookies(request.fields.all(Known::Cookie), name.as_bytes()).next(),
        HashKey::Path => Some(request.path_bytes()),
        HashKey::Query => request.query.map(|query| query.of(request.fields.bytes())),
    };
    match (of_request, exchange.client.ip()) {
        (Some(bytes), _) => hash_of(bytes),
        (None, Some(std::net::IpAddr::V4(ip))) => hash_of(&ip.octets()),
        (None, Some(std::net::IpAddr::V6(ip))) => hash_of(&ip.octets()),
        (None, None) => 0,
    }
}

/// The values of all cookies of a name (RFC 6265 §4.2.1).
fn cookies<'a>(lines: impl Iterator<Item = &'a [u8]>, name: &[u8]) -> impl Iterator<Item = &'a [u8]> {
    let of_pair = move |pair: &'a [u8]| pair.trim_ascii().strip_prefix(name)?.strip_prefix(b"=");
    lines.flat_map(|line| line.split(|byte| *byte == b';')).filter_map(of_pair)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let of = |name: &[u8]| -> Vec<&[u8]> {
            let lines = [b"ab=1; b=2".as_slice(), b"c=3;a=4; b=5"];
            cookies(lines.into_iter(), name).collect()
        };
        assert_eq!(of(b"b"), [b"2", b"5"]);
        assert_eq!(of(b"a"), [b"4"]);
        assert!(of(b"d").is_empty());
    }
}
