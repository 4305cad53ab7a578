//! What trusted proxies tell of the client.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use message::{Fields, Known, KnownSet};

use crate::network::Networks;

/// Why what is told of the client cannot be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unbelievable {
    /// X-Forwarded-For and Forwarded tell of different clients: a proxy in front keeps one of the two only, and passes on what
    /// clients make up in the other. Which one that is cannot be seen from here.
    Disagreement,
    /// A quote in Forwarded does not end: it would swallow what proxies appended to it.
    OpenQuote,
}

impl fmt::Display for Unbelievable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unbelievable::Disagreement => {
                "X-Forwarded-For and Forwarded tell of different clients; the proxy in front has to set or remove both."
            }
            Unbelievable::OpenQuote => "The field Forwarded has a quote that does not end.",
        })
    }
}

impl std::error::Error for Unbelievable {}

const TELL: KnownSet = KnownSet::of(&[Known::XForwardedFor, Known::Forwarded]);

/// The client of a request that came from a trusted proxy, `peer` itself (none: through a Unix socket).
///
/// Each proxy appends the address of whom it was asked by, so both fields are walked from the right: the first address that
/// is not one of `trusted` is the client, since what stands to its left is its own word. Where all are trusted, the leftmost
/// is. `None`: a trusted proxy did not know whom it was asked by, or said so in a way that is no address.
///
/// # Errors
/// Both fields are there and disagree, or Forwarded cannot be read for certain.
pub fn told(fields: &Fields, peer: Option<IpAddr>, trusted: &Networks) -> Result<Option<IpAddr>, Unbelievable> {
    if !fields.has_any(TELL) {
        return Ok(peer);
    }
    let mut by_list = Walk::new(trusted);
    for value in fields.all(Known::XForwardedFor) {
        value
            .split(|b| *b == b',')
            .map(<[u8]>::trim_ascii)
            .filter(|e| !e.is_empty())
            .for_each(|e| by_list.step(node(e)));
    }
    let mut by_pairs = Walk::new(trusted);
    for value in fields.all(Known::Forwarded) {
        if !quotes_end(value) {
            return Err(Unbelievable::OpenQuote);
        }
        elements(value, b',').filter(|e| !e.is_empty()).for_each(|e| by_pairs.step(for_of(e)));
    }
    match (by_list.end(), by_pairs.end()) {
        (Some(listed), Some(paired)) if listed != paired => Err(Unbelievable::Disagreement),
        (Some(found), _) | (None, Some(found)) => Ok(found),
        (None, None) => Ok(peer),
    }
}

/// Whether the trusted proxy that sent this was itself reached over TLS, by its X-Forwarded-Proto; none when it does not say.
pub fn told_scheme(fields: &Fields) -> Option<bool> {
    let last = fields.all(Known::XForwardedProto).last()?;
    match last.rsplit(|b| *b == b',').next()?.trim_ascii() {
        b"https" => Some(true),
        b"http" => Some(false),
        _ => None,
    }
}

/// A walk over the elements from the left that comes to what one from the right would: no list is kept.
struct Walk<'n> {
    trusted: &'n Networks,
    /// What the leftmost element says.
    first: Option<Option<IpAddr>>,
    /// What the rightmost element says that names no trusted proxy.
    stranger: Option<Option<IpAddr>>,
}

impl<'n> Walk<'n> {
    fn new(trusted: &'n Networks) -> Walk<'n> {
        Walk { trusted, first: None, stranger: None }
    }

    fn step(&mut self, element: Option<IpAddr>) {
        self.first.get_or_insert(element);
        if !element.is_some_and(|address| self.trusted.contains(address)) {
            self.stranger = Some(element);
        }
    }

    fn end(self) -> Option<Option<IpAddr>> {
        self.stranger.or(self.first)
    }
}

/// `192.0.2.1`, `2001:db8::1`, and with a port: `192.0.2.1:4711`, `[2001:db8::1]:4711`; the brackets without a port too.
fn node(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|a| a.ip()))?;
    Some(IpAddr::to_canonical(&address))
}

/// What an element of Forwarded says in `for=` (RFC 7239 §4). None where it says nothing, and where it says it twice.
fn for_of(element: &[u8]) -> Option<IpAddr> {
    let mut found = None;
    for pair in elements(element, b';') {
        let equals = pair.iter().position(|b| *b == b'=')?;
        if pair[..equals].eq_ignore_ascii_case(b"for") && found.replace(&pair[equals + 1..]).is_some() {
            return None;
        }
    }
    let value = found?;
    // An address has nothing that would be written with a backslash.
    node(value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\"")).unwrap_or(value))
}

/// Whether a byte is in quotes, from one to the next (RFC 9110 §5.6.4).
#[derive(Default)]
struct Quotes {
    open: bool,
    escaped: bool,
}

impl Quotes {
    /// Whether `b` stands outside, and is no quote.
    fn is_outside(&mut self, b: u8) -> bool {
        match b {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.open => self.escaped = true,
            b'"' => self.open = !self.open,
            _ => return !self.open,
        }
        false
    }
}

fn quotes_end(value: &[u8]) -> bool {
    let mut quotes = Quotes::default();
    for b in value {
        quotes.is_outside(*b);
    }
    !quotes.open
}

/// The parts between `separator`s that are not in quotes, without white space around them.
fn elements(list: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut quotes = Quotes::default();
    list.split(move |b| quotes.is_outside(*b) && *b == separator).map(<[u8]>::trim_ascii)
}
