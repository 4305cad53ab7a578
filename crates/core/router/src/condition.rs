//! What a rule asks of a request beside host, path and method.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use client_address::Networks;
use message::{Fields, Known};
use regex::bytes::Regex;

use crate::pattern::{PatternError, regex};

/// A request, as rules look at it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The method's token.
    pub method: &'a [u8],
    /// `host` or `host:port`, empty when the client named none.
    pub authority: &'a [u8],
    /// The normalised path.
    pub path: &'a [u8],
    /// What stands behind the `?`, as it was sent.
    pub query: Option<&'a [u8]>,
    /// The fields.
    pub fields: &'a Fields,
    /// The client's address, if it has one that is known.
    pub client: Option<IpAddr>,
    /// How the client asked.
    pub scheme: Scheme,
}

/// The scheme of the URL that a client asked for (RFC 9110 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// Over TLS.
    Https,
}

/// What else must hold; all of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conditions {
    /// Fields that must be there, by their names in any case: of several lines of a name, one must fit.
    pub fields: Vec<(Box<[u8]>, ValuePattern)>,
    /// Parameters that the query must have; of several of a name, one must fit.
    pub query: Vec<(Box<[u8]>, ValuePattern)>,
    /// Where the client must come from. A client whose address is not known comes from nowhere.
    pub clients: Option<Networks>,
    /// How it must have been asked.
    pub scheme: Option<Scheme>,
}

impl Conditions {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.query.is_empty() && self.clients.is_none() && self.scheme.is_none()
    }

    pub(crate) fn hold(&self, asked: &Asked<'_>) -> bool {
        self.scheme.is_none_or(|scheme| scheme == asked.scheme)
            && self.clients.as_ref().is_none_or(|networks| asked.client.is_some_and(|ip| networks.contains(ip)))
            && self.fields.iter().all(|(name, value)| has_field(asked.fields, name, value))
            && self.query.iter().all(|(name, value)| has_parameter(asked.query.unwrap_or_default(), name, value))
    }
}

fn has_field(fields: &Fields, name: &[u8], value: &ValuePattern) -> bool {
    match Known::of(name) {
        Known::Other => fields.iter().any(|f| f.name.eq_ignore_ascii_case(name) && value.fits(f.value)),
        known => fields.all(known).any(|found| value.fits(found)),
    }
}

/// Parameters are what HTML forms send: `a=1&b=2`, with `+` for a space and percent-encoding in names and values.
fn has_parameter(query: &[u8], name: &[u8], value: &ValuePattern) -> bool {
    query.split(|b| *b == b'&').any(|pair| {
        let equals = pair.iter().position(|b| *b == b'=').unwrap_or(pair.len());
        *decoded(&pair[..equals]) == *name && value.fits(&decoded(pair.get(equals + 1..).unwrap_or_default()))
    })
}

/// Borrows what has nothing to decode, which is the usual case. What is no encoding stays as it is.
fn decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.iter().any(|b| matches!(b, b'%' | b'+')) {
        return Cow::Borrowed(text);
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, behind @ ..] = rest {
        let encoded = match (first, behind) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        plain.push(match first {
            b'+' => b' ',
            other => encoded.unwrap_or(*other),
        });
        rest = if encoded.is_some() { &behind[2..] } else { behind };
    }
    Cow::Owned(plain)
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|n| n as u8)
}

/// What a value must be.
#[derive(Clone, Debug)]
pub enum ValuePattern {
    /// `*`: anything, if only it is there.
    Any,
    /// This, byte for byte.
    Exact(Box<[u8]>),
    /// `~regex`, unanchored, over bytes.
    Regex(Regex),
}

impl ValuePattern {
    /// Parses `*`, `~regex` or a value.
    ///
    /// # Errors
    /// It is no regular expression.
    pub fn parse(text: &str) -> Result<ValuePattern, PatternError> {
        match text.strip_prefix('~') {
            Some(expression) => regex(expression, "write `*` to match every value").map(ValuePattern::Regex),
            None if text == "*" => Ok(ValuePattern::Any),
            None => Ok(ValuePattern::Exact(text.as_bytes().into())),
        }
    }

    fn fits(&self, value: &[u8]) -> bool {
        match self {
            ValuePattern::Any => true,
            ValuePattern::Exact(exact) => **exact == *value,
            ValuePattern::Regex(regex) => regex.is_match(value),
        }
    }
}

impl PartialEq for ValuePattern {
    fn eq(&self, other: &ValuePattern) -> bool {
        match (self, other) {
            (ValuePattern::Any, ValuePattern::Any) => true,
            (ValuePattern::Exact(a), ValuePattern::Exact(b)) => a == b,
            (ValuePattern::Regex(a), ValuePattern::Regex(b)) => a.as_str() == b.as_str(),
            _ => false,
        }
    }
}

impl fmt::Display for ValuePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ValuePattern::Any => f.write_str("*"),
            ValuePattern::Exact(exact) => exact.escape_ascii().fmt(f),
            ValuePattern::Regex(regex) => write!(f, "~{}", regex.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_before_they_are_compared() {
        let exact = |text: &str| ValuePattern::parse(text).unwrap();
        let has =
            |query: &str, name: &str, value: &str| has_parameter(query.as_bytes(), name.as_bytes(), &exact(value));
        assert!(has("v=2", "v", "2") && has("a=1&v=2", "v", "2") && has("v=1&v=2", "v", "2"));
        assert!(has("%76=%32", "v", "2") && has("v=a+b", "v", "a b") && has("v=a%20b", "v", "a b"));
        assert!(has("v", "v", "") && has("v=", "v", "") && has("v=a=b", "v", "a=b") && has("v=7", "v", "*"));
        assert!(has("v=%", "v", "%") && has("v=%zz", "v", "%zz") && has("v=%4", "v", "%4"));
        assert!(has("v=17", "v", "~^[0-9]+$") && !has("v=x17", "v", "~^[0-9]+$"));
        assert!(!has("", "v", "2") && !has("w=2", "v", "2") && !has("v=22", "v", "2") && !has("V=2", "v", "2"));
        assert!(!has("", "v", "*"));
    }
}
