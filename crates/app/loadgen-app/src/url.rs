//! The URLs of targets.

use std::path::PathBuf;

use clap::CommandFactory;

use crate::arguments::Arguments;

/// How to speak to a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// HTTP/1.1.
    Http,
    /// Bytes that come back.
    Tcp,
}

/// Where a target is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Place {
    /// A name or an IP address, and a port.
    Host(String, u16),
    /// A Unix socket.
    Unix(PathBuf),
}

/// A URL, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    /// As it was given.
    pub(crate) text: String,
    pub(crate) scheme: Scheme,
    /// https
    pub(crate) tls: bool,
    pub(crate) place: Place,
    /// The value of the Host field.
    pub(crate) host: String,
    /// Path and query, as sent.
    pub(crate) target: String,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Host(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Place::Host(host, port) => write!(f, "{host}:{port}"),
            Place::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Url {
    /// Takes a URL apart; what is wrong with it in a sentence. The target is sent as it stands, nothing is encoded or
    /// normalised on the way.
    pub(crate) fn parse(text: &str) -> Result<Url, String> {
        let wrong = |why: &str| Err(format!("`{text}`: {why}"));
        let Some((scheme, rest)) = text.split_once("://") else {
            return match Arguments::command().find_subcommand(text).is_some() {
                true => wrong(&format!("is a command, which comes before all options: loadgen {text} ...")),
                false => wrong("a URL begins with http://, https://, tcp:// or http+unix://"),
            };
        };
        let tls = scheme.eq_ignore_ascii_case("https");
        let (scheme, default_port, unix) = match scheme.to_ascii_lowercase().as_str() {
            "http" => (Scheme::Http, Some(80), false),
            "tcp" => (Scheme::Tcp, None, false),
            "http+unix" => (Scheme::Http, None, true),
            "https" => (Scheme::Http, Some(443), false),
            other => return wrong(&format!("the scheme {other}:// is none of http, https, tcp and http+unix")),
        };
        if let Some(bad) = rest.chars().find(|c| !('!'..='~').contains(c)) {
            return wrong(&format!("the character {bad:?} must be written as % and two digits"));
        }
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        if authority.contains('@') {
            return wrong("a user name in a URL is not supported; give --header 'Authorization: ...'");
        }
        let target = match target {
            "" => "/".to_owned(),
            query if query.starts_with('?') => format!("/{query}"),
            path => path.to_owned(),
        };
        let (place, host) = if unix {
            match decoded(authority).filter(|path| !path.is_empty()) {
                Some(path) => (Place::Unix(PathBuf::from(path)), "localhost".to_owned()),
                None => return wrong("the socket's path stands percent-encoded behind http+unix://"),
            }
        } else {
            match host_and_port(authority, default_port) {
                Ok((host, port)) => (Place::Host(host, port), authority.to_owned()),
                Err(why) => return wrong(why),
            }
        };
        if scheme == Scheme::Tcp && target != "/" {
            return wrong("tcp:// has no path");
        }
        Ok(Url { text: text.to_owned(), scheme, tls, place, host, target })
    }
}

fn host_and_port(authority: &str, default: Option<u16>) -> Result<(String, u16), &'static str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(v6) => {
            let (host, behind) = v6.split_once(']').ok_or("an IPv6 address stands in brackets")?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| "that is no IPv6 address")?;
            (host, behind.strip_prefix(':').or((!behind.is_empty()).then_some("bad")))
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if host.is_empty() {
        return Err("the host is missing");
    }
    if host.bytes().any(|b| !(b.is_ascii_alphanumeric() || b"-._:%~".contains(&b))) {
        return Err("that is no host name");
    }
    match (port, default) {
        (Some(port), _) => match port.parse() {
            Ok(port) if port != 0 => Ok((host.to_owned(), port)),
            _ => Err("a port is a number from 1 to 65535"),
        },
        (None, Some(port)) => Ok((host.to_owned(), port)),
        (None, None) => Err("the port is missing"),
    }
}

/// Undoes percent-encoding.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(b) = rest.next() {
        if b == b'%' {
            let digits = [rest.next()?, rest.next()?];
            let digits = std::str::from_utf8(&digits).ok().filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
        } else {
            bytes.push(b);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (String, String, String) {
        let url = Url::parse(text).unwrap();
        (url.place.to_string(), url.host, url.target)
    }

    fn strings(place: &str, host: &str, target: &str) -> (String, String, String) {
        (place.into(), host.into(), target.into())
    }

    #[test]
    fn urls_are_taken_apart() {
        assert_eq!(parts("http://localhost"), strings("localhost:80", "localhost", "/"));
        assert_eq!(parts("HTTP://a.b:8080/x%20y?z=1#f"), strings("a.b:8080", "a.b:8080", "/x%20y?z=1"));
        assert_eq!(parts("https://h/x"), strings("h:443", "h", "/x"));
        assert!(Url::parse("https://h").unwrap().tls && !Url::parse("http://h").unwrap().tls);
        assert_eq!(parts("http://h?q"), strings("h:80", "h", "/?q"));
        assert_eq!(parts("http://[::1]:81/"), strings("[::1]:81", "[::1]:81", "/"));
        assert_eq!(parts("http://[::1]/"), strings("[::1]:80", "[::1]", "/"));
        assert_eq!(parts("http+unix://%2Frun%2Fa.sock/p"), strings("unix:/run/a.sock", "localhost", "/p"));
        assert_eq!(parts("tcp://127.0.0.1:7"), strings("127.0.0.1:7", "127.0.0.1:7", "/"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, said) in [
            ("localhost:8080", "begins with http://"),
            ("ftp://x/", "the scheme ftp://"),
            ("http:///x", "the host is missing"),
            ("http://:80/", "the host is missing"),
            ("http://h:0/", "a port is"),
            ("http://h:99999/", "a port is"),
            ("http://h:/", "a port is"),
            ("http://[::1/", "brackets"),
            ("http://[x]/", "IPv6"),
            ("http://[::1]x/", "a port is"),
            ("http://a b/", "must be written"),
            ("http://h/\u{e9}", "must be written"),
            ("http://h/a\r\nb", "must be written"),
            ("http://u:p@h/", "user name"),
            ("http://a,b/", "no host name"),
            ("tcp://h", "the port is missing"),
            ("tcp://h:1/x", "no path"),
            ("http+unix:///x", "percent-encoded"),
            ("http+unix://%2/x", "percent-encoded"),
        ] {
            let error = Url::parse(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
