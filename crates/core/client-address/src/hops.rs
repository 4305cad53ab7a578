//! What X-Forwarded-For, X-Forwarded-Proto and Forwarded (RFC 7239) list, an element for each hop: read, and in the form in which
//! the others of them have it.

use std::net::IpAddr;

use message::{Fields, Known};

/// Whom a proxy was asked by, as it says (RFC 7239 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node<'f> {
    /// An address.
    Address {
        /// The address; one that was mapped into IPv6 is what it is.
        ip: IpAddr,
        /// Its text, without brackets.
        text: &'f [u8],
        /// Its port with a colon before it, or nothing.
        port: &'f [u8],
    },
    /// A name that means something to its proxy only: `_hidden`.
    Obfuscated(&'f [u8]),
    /// `unknown`, or something that is none of these.
    Unknown,
}

impl<'f> Node<'f> {
    /// `192.0.2.1`, `2001:db8::1`, and with a port: `192.0.2.1:4711`, `[2001:db8::1]:4711`; the brackets without a port too.
    pub fn parse(text: &'f [u8]) -> Node<'f> {
        let (host, port) = parts(text);
        if !port.is_empty() && !is_port(&port[1..]) {
            return Node::Unknown;
        }
        if is_obfuscated(host) {
            return Node::Obfuscated(host);
        }
        // A zone means something on that proxy only (RFC 4007 §6).
        let zone = host.iter().position(|b| *b == b'%').filter(|_| host.contains(&b':'));
        let text = &host[..zone.unwrap_or(host.len())];
        let ip = std::str::from_utf8(text).ok().and_then(|text| text.parse::<IpAddr>().ok());
        ip.map_or(Node::Unknown, |ip| Node::Address { ip: ip.to_canonical(), text, port })
    }

    /// Its address, where it is known.
    pub fn ip(&self) -> Option<IpAddr> {
        if let Node::Address { ip, .. } = self { Some(*ip) } else { None }
    }

    /// As X-Forwarded-For has it, without a port, which not all readers expect there. No longer than what was parsed, or `unknown`.
    pub fn listed(&self) -> &'f [u8] {
        match self {
            Node::Address { text, .. } | Node::Obfuscated(text) => text,
            Node::Unknown => b"unknown",
        }
    }

    /// The parts of the value that `for=` has in Forwarded. At most four bytes longer than what was parsed, or `unknown`.
    pub fn paired(&self) -> [&'f [u8]; 5] {
        match *self {
            Node::Address { text, port, .. } if text.contains(&b':') => [b"\"[", text, b"]", port, b"\""],
            Node::Address { text, port: [], .. } | Node::Obfuscated(text) => [b"", text, b"", b"", b""],
            Node::Address { text, port, .. } => [b"\"", text, b"", port, b"\""],
            Node::Unknown => [b"", b"unknown", b"", b"", b""],
        }
    }
}

/// What Forwarded says of one hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop<'f> {
    /// Who asked.
    pub node: Node<'f>,
    /// Whether it asked over TLS; none where that is not said.
    pub over_tls: Option<bool>,
}

impl<'f> Hop<'f> {
    /// Nothing is known of an element that breaks the grammar, or says one thing twice.
    fn of_element(element: &'f [u8]) -> Hop<'f> {
        let pairs = (value_of(element, b"for"), value_of(element, b"proto"));
        match pairs {
            (Ok(node), Ok(scheme)) => {
                Hop { node: node.map_or(Node::Unknown, Node::parse), over_tls: scheme.and_then(is_secure) }
            }
            _ => Hop { node: Node::Unknown, over_tls: None },
        }
    }
}

/// The elements of X-Forwarded-For, of all its lines.
pub fn listed(fields: &Fields) -> impl Iterator<Item = Node<'_>> + Clone {
    list(fields, Known::XForwardedFor).map(Node::parse)
}

/// The elements of X-Forwarded-Proto, of all its lines: whether each names TLS; none for what is no scheme of HTTP.
pub fn schemes(fields: &Fields) -> impl Iterator<Item = Option<bool>> + Clone {
    list(fields, Known::XForwardedProto).map(is_secure)
}

/// The elements of Forwarded, of all its lines. Each line's quotes have to end in it ([`crate::told`]).
pub fn hops(fields: &Fields) -> impl Iterator<Item = Hop<'_>> + Clone {
    let elements = fields.all(Known::Forwarded).flat_map(|value| elements(value, b','));
    elements.filter(|element| !element.is_empty()).map(Hop::of_element)
}

/// The elements of a list that knows no quotes.
fn list(fields: &Fields, known: Known) -> impl Iterator<Item = &[u8]> + Clone {
    let elements = fields.all(known).flat_map(|value| value.split(|b| *b == b','));
    elements.map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// The scheme of a WebSocket tells as much, and some proxies send it.
fn is_secure(scheme: &[u8]) -> Option<bool> {
    let is = |name: &[u8]| scheme.eq_ignore_ascii_case(name);
    match scheme {
        _ if is(b"https") || is(b"wss") => Some(true),
        _ if is(b"http") || is(b"ws") => Some(false),
        _ => None,
    }
}

/// What an element of Forwarded says under `name` (RFC 7239 §4). No value that is looked for has anything that would be written with
/// a backslash.
fn value_of<'f>(element: &'f [u8], name: &[u8]) -> Result<Option<&'f [u8]>, Unclear> {
    let mut found = None;
    for pair in elements(element, b';').filter(|pair| !pair.is_empty()) {
        let equals = pair.iter().position(|b| *b == b'=').ok_or(Unclear)?;
        if pair[..equals].eq_ignore_ascii_case(name) && found.replace(&pair[equals + 1..]).is_some() {
            return Err(Unclear);
        }
    }
    Ok(found.map(|value| value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\"")).unwrap_or(value)))
}

/// An element says nothing for certain.
struct Unclear;

/// A host without its brackets, and a port with its colon.
fn parts(text: &[u8]) -> (&[u8], &[u8]) {
    if let Some(rest) = text.strip_prefix(b"[")
        && let Some(end) = rest.iter().position(|b| *b == b']')
        && matches!(rest.get(end + 1), None | Some(b':'))
    {
        return (&rest[..end], &rest[end + 1..]);
    }
    let mut colons = text.iter().enumerate().filter(|(_, b)| **b == b':');
    match (colons.next(), colons.next()) {
        (Some((at, _)), None) => text.split_at(at),
        _ => (text, b""),
    }
}

/// A number, or a name that means something to its proxy only.
fn is_port(text: &[u8]) -> bool {
    let is_number = !text.is_empty() && text.len() <= 5 && text.iter().all(u8::is_ascii_digit);
    is_number || is_obfuscated(text)
}

fn is_obfuscated(text: &[u8]) -> bool {
    let is_part = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    matches!(text, [b'_', rest @ ..] if !rest.is_empty() && rest.iter().all(is_part))
}

/// Whether a byte is in quotes, from one to the next (RFC 9110 §5.6.4).
#[derive(Clone, Default)]
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

/// Whether every quote ends.
pub(crate) fn quotes_end(value: &[u8]) -> bool {
    let mut quotes = Quotes::default();
    for b in value {
        quotes.is_outside(*b);
    }
    !quotes.open
}

/// The parts between `separator`s that are not in quotes, without white space around them.
fn elements(list: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> + Clone {
    let mut quotes = Quotes::default();
    list.split(move |b| quotes.is_outside(*b) && *b == separator).map(<[u8]>::trim_ascii)
}
