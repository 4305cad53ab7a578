//! What trusted proxies tell of the client.

use std::fmt;
use std::net::IpAddr;

use message::{Fields, Known, KnownSet};

use crate::hops::{Hop, hops, listed, quotes_end, schemes};
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

const TELL: KnownSet = KnownSet::of(&[Known::XForwardedFor, Known::XForwardedProto, Known::Forwarded]);

/// What a trusted proxy tells of the client of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Its address; `None`: a trusted proxy did not know whom it was asked by, or said so in a way that is no address.
    pub client: Option<IpAddr>,
    /// Whether it asked over TLS; `None` where nobody says so.
    pub over_tls: Option<bool>,
}

/// The client of a request that came from a trusted proxy, `peer` itself (none: through a Unix socket).
///
/// Each proxy appends the address of whom it was asked by, so X-Forwarded-For and Forwarded are walked from the right: the first
/// address that is not one of `trusted` is the client, since what stands to its left is its own word. Where all are trusted, the
/// leftmost is.
///
/// How it asked is what X-Forwarded-Proto says at the same place from the right, since each proxy appends to that one too, or else
/// `proto=` of the client's element of Forwarded. Most proxies pass on or set a single scheme: it is the client's, whatever the
/// number of addresses. Of a shorter list the leftmost that there is counts, and so it does where all are trusted.
///
/// # Errors
/// Both X-Forwarded-For and Forwarded are there and disagree, or Forwarded cannot be read for certain.
pub fn told(fields: &Fields, peer: Option<IpAddr>, trusted: &Networks) -> Result<Told, Unbelievable> {
    if !fields.has_any(TELL) {
        return Ok(Told { client: peer, over_tls: None });
    }
    let mut by_list = Walk::new(trusted);
    listed(fields).for_each(|node| by_list.step(Hop { node, over_tls: None }));
    if !fields.all(Known::Forwarded).all(quotes_end) {
        return Err(Unbelievable::OpenQuote);
    }
    let mut by_pairs = Walk::new(trusted);
    hops(fields).for_each(|hop| by_pairs.step(hop));
    let (listed, paired) = (by_list.place, by_pairs.place);
    if let (Some(listed), Some(paired)) = (listed, paired)
        && listed.client != paired.client
    {
        return Err(Unbelievable::Disagreement);
    }
    let said = paired.and_then(|place| place.over_tls);
    let place = listed.or(paired);
    Ok(Told { client: place.map_or(peer, |place| place.client), over_tls: scheme_at(place, fields).or(said) })
}

/// What X-Forwarded-Proto says at this place of the other lists (none: nobody but the peer is spoken of, and that one is trusted).
fn scheme_at(place: Option<Place>, fields: &Fields) -> Option<bool> {
    let schemes = schemes(fields);
    let last = schemes.clone().count().checked_sub(1)?;
    let behind = place.filter(|place| !place.is_trusted).map_or(last, |place| place.behind.min(last));
    schemes.clone().nth(last - behind)?
}

/// Where a list tells of the client, and what.
#[derive(Clone, Copy)]
struct Place {
    client: Option<IpAddr>,
    over_tls: Option<bool>,
    /// All elements tell of trusted proxies: this is the leftmost.
    is_trusted: bool,
    /// How many elements stand to its right.
    behind: usize,
}

/// A walk over the elements from the left that comes to what one from the right would: no list is kept.
struct Walk<'n> {
    trusted: &'n Networks,
    /// What the leftmost element says, or the rightmost that names no trusted proxy.
    place: Option<Place>,
}

impl<'n> Walk<'n> {
    fn new(trusted: &'n Networks) -> Walk<'n> {
        Walk { trusted, place: None }
    }

    fn step(&mut self, hop: Hop<'_>) {
        let Hop { node, over_tls } = hop;
        let client = node.ip();
        let is_trusted = client.is_some_and(|address| self.trusted.contains(address));
        match &mut self.place {
            Some(place) if is_trusted => place.behind += 1,
            place => *place = Some(Place { client, over_tls, is_trusted, behind: 0 }),
        }
    }
}
