//! Clients that stay with their server: a signed cookie says which one that is.

use std::collections::HashMap;
use std::fmt::{self, Write};
use std::time::Duration;

use aws_lc_rs::{constant_time, hmac};
use balance::ServerId;

use crate::server::Server;

/// How clients are kept with their servers.
#[derive(Clone, PartialEq, Eq)]
pub struct StickyOptions {
    /// The cookie's name, a token.
    pub cookie: String,
    /// How long a client keeps it; none: as long as its browser runs.
    pub ttl: Option<Duration>,
    /// What signs it.
    pub secret: String,
}

/// The secret is nobody's business.
impl fmt::Debug for StickyOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StickyOptions").field("cookie", &self.cookie).field("ttl", &self.ttl).finish_non_exhaustive()
    }
}

/// Hexadecimal digits of a value that find the server, and of those that prove it.
const MARK: usize = 16;
const PROOF: usize = 32;

/// The cookies of an upstream's servers. There is one value for each server, so all are made beforehand, and a request costs
/// one look-up and one comparison.
pub(crate) struct Sticky {
    servers: Vec<Cookie>,
    by_mark: HashMap<Box<[u8]>, ServerId>,
}

struct Cookie {
    value: String,
    /// The Set-Cookie field's value.
    plain: String,
    /// The same for a client that came over TLS.
    secure: String,
}

impl Sticky {
    /// `upstream` is its name: a cookie of one upstream says nothing to another.
    pub(crate) fn new(options: &StickyOptions, upstream: &str, servers: &[Server]) -> Sticky {
        let key = hmac::Key::new(hmac::HMAC_SHA256, options.secret.as_bytes());
        let cookie = |server: &Server| {
            // The server's address stays inside: a value tells it to nobody who lacks the secret.
            let tag = hmac::sign(&key, format!("sticky\0{upstream}\0{}", server.text()).as_bytes());
            let value = hexadecimal(&tag.as_ref()[..(MARK + PROOF) / 2]);
            let age = options.ttl.map(|ttl| format!("; Max-Age={}", ttl.as_secs().max(1))).unwrap_or_default();
            let plain = format!("{}={value}; Path=/{age}; HttpOnly; SameSite=Lax", options.cookie);
            Cookie { value, secure: format!("{plain}; Secure"), plain }
        };
        let servers: Vec<Cookie> = servers.iter().map(cookie).collect();
        // Of a server that is listed twice the first place counts.
        let marks = servers.iter().enumerate().rev();
        let by_mark = marks.map(|(i, c)| (c.value.as_bytes()[..MARK].into(), ServerId(i as u32))).collect();
        Sticky { servers, by_mark }
    }

    /// The server that a client's cookie names; none when nobody here has made it.
    pub(crate) fn server_of(&self, value: &[u8]) -> Option<ServerId> {
        let server = *self.by_mark.get(value.get(..MARK)?)?;
        let whole = self.servers[server.index()].value.as_bytes();
        constant_time::verify_slices_are_equal(value, whole).ok().map(|()| server)
    }

    /// What Set-Cookie says for `server`.
    pub(crate) fn line(&self, server: ServerId, secure: bool) -> &str {
        let cookie = &self.servers[server.index()];
        if secure { &cookie.secure } else { &cookie.plain }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use net::Address;

    use super::*;
    use crate::Target;

    fn sticky(secret: &str, upstream: &str, servers: &[u16]) -> Sticky {
        let servers: Vec<Server> = servers
            .iter()
            .map(|port| Server::new(Target::Fixed(Address::Tcp(([127, 0, 0, 1], *port).into())), None, None))
            .collect();
        let ttl = Some(Duration::from_secs(3600));
        Sticky::new(&StickyOptions { cookie: "tg".into(), ttl, secret: secret.into() }, upstream, &servers)
    }

    fn value(sticky: &Sticky, server: u32) -> String {
        let line = sticky.line(ServerId(server), false);
        let value = line.strip_prefix("tg=").and_then(|rest| rest.split_once(';')).expect("a cookie").0;
        value.to_owned()
    }

    #[test]
    fn a_cookie_names_its_server_wherever_that_stands_in_the_list() {
        let one = sticky("secret", "api", &[1, 2, 3]);
        assert!((0..3).all(|i| one.server_of(value(&one, i).as_bytes()) == Some(ServerId(i))));
        let other = sticky("secret", "api", &[3, 1]);
        let places = [0, 1, 2].map(|i| other.server_of(value(&one, i).as_bytes()));
        assert_eq!(places, [Some(ServerId(1)), None, Some(ServerId(0))]);
    }

    #[test]
    fn what_was_not_made_here_names_nobody() {
        let one = sticky("secret", "api", &[1, 2]);
        for other in [sticky("Secret", "api", &[1, 2]), sticky("secret", "web", &[1, 2])] {
            assert_eq!(one.server_of(value(&other, 0).as_bytes()), None);
        }
        let good = value(&one, 0);
        let cut: Vec<&[u8]> = (0..good.len()).map(|n| &good.as_bytes()[..n]).collect();
        assert!(cut.into_iter().all(|value| one.server_of(value).is_none()));
        for at in 0..good.len() {
            let mut changed = good.clone().into_bytes();
            changed[at] ^= 1;
            assert_eq!(one.server_of(&changed), None, "digit {at}");
        }
        assert_eq!(one.server_of(format!("{good}0").as_bytes()), None);
    }

    #[test]
    fn its_attributes() {
        let one = sticky("secret", "api", &[1]);
        let value = value(&one, 0);
        assert!(!value.contains("7f000001") && value.len() == MARK + PROOF);
        let plain = format!("tg={value}; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax");
        assert_eq!(one.line(ServerId(0), false), plain);
        assert_eq!(one.line(ServerId(0), true), format!("{plain}; Secure"));
    }
}
