//! The fields that a server is sent.

use message::{Fields, HeadWriter, Known, KnownSet, Method, RequestHead, TargetForm, Version};

use crate::PSEUDONYM;
use crate::client::{ClientInfo, Scheme};
use crate::filter::{CONTENT_LENGTH, Filter, HOP_BY_HOP, TooManyOptions, XForwarded, says_length};
use crate::rules::{FieldRules, is_token_byte};
use crate::told::{carried_len_max, tell_one_by_one};

/// Which Host a server is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HostPolicy {
    /// The one the client asked for; the upstream's for a client that named none (HTTP/1.0).
    #[default]
    Client,
    /// The upstream's own.
    Upstream,
    /// This one.
    Name(Box<[u8]>),
}

/// What a route wants of its requests.
#[derive(Clone, Copy, Debug)]
pub struct RequestOptions<'a> {
    /// Which Host is sent.
    pub host: &'a HostPolicy,
    /// The upstream's name, with its port where that is not the default one.
    pub upstream: &'a [u8],
    /// The operator's rules.
    pub rules: &'a FieldRules,
    /// Whether trailers are relayed to the client: its `TE: trailers` is then sent on.
    pub trailers: bool,
    /// Whether the body is sent in chunks, so that trailers can follow it: Trailer is then sent on.
    pub chunked: bool,
    /// Whether a switch of protocols that the client asks for is relayed.
    pub upgrade: bool,
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Sent {
    /// The options that Connection has to name, since it is the encoder that writes it.
    pub connection: Option<&'static str>,
    /// Whether the server is asked to switch protocols, so that it may answer 101. False though the options allow it
    /// when the client does not ask, or only for what cannot be relayed.
    pub upgrade: bool,
}

/// Writes the fields of `head` as a server is to have them, all but framing and Connection. They take at most
/// [`request_len_max`] bytes; look at [`HeadWriter::overflowed`] afterwards, since with what is added here a head may pass
/// 64 KiB (431).
///
/// # Errors
/// Connection names too many fields; what was written is not to be used then.
pub fn request(
    head: &RequestHead,
    options: &RequestOptions<'_>,
    client: &ClientInfo<'_>,
    out: &mut HeadWriter<'_>,
) -> Result<Sent, TooManyOptions> {
    let fields = &head.fields;
    let rules = options.rules;
    let mut stays = STAYS;
    if keeps_host(head, options) {
        stays = stays.without(HOST);
    } else if !rules.taken_out().contains(Known::Host) {
        out.push(Known::Host, b"Host", host(head, options));
    }
    // RFC 9110 §6.6.2: what announces trailers goes where they can follow.
    if options.chunked {
        stays = stays.without(TRAILER);
    }
    if says_length(&head.fields, head.body) {
        stays = stays.without(CONTENT_LENGTH);
    }
    let hops_left = max_forwards(head);
    if hops_left.is_some() {
        stays = stays.with(MAX_FORWARDS);
    }
    let x_forwarded = if client.trusted { XForwarded::Passes } else { XForwarded::Stays };
    Filter { known: stays, rules, x_forwarded }.copy(fields, out)?;
    if let Some(hops) = hops_left
        && !rules.taken_out().contains(Known::MaxForwards)
    {
        out.push(Known::MaxForwards, b"Max-Forwards", itoa::Buffer::new().format(hops.saturating_sub(1)).as_bytes());
    }
    tell_of_client(head, rules, client, out);
    let sent = write_te_and_upgrade(head, options, out);
    rules.write_request_lines(client, out);
    Ok(sent)
}

/// The most bytes that [`request`] writes, and the line that [`Sent::connection`] asks for.
pub fn request_len_max(head: &RequestHead, options: &RequestOptions<'_>, client: &ClientInfo<'_>) -> usize {
    let asked = usize::from(head.authority.len);
    let named = if let HostPolicy::Name(name) = options.host { name.len() } else { 0 };
    let host = "Host: \r\n".len() + asked + options.upstream.len() + named;
    let told = TOLD_LEN + 2 * client.address.node().len() + 2 * asked + carried_len_max(&head.fields, client);
    received_len_max(&head.fields, options.upgrade) + host + told + OTHERS_LEN + options.rules.lines_len()
}

/// The five lines that tell of the client, less its address and the authority it asked.
const TOLD_LEN: usize = "X-Forwarded-For: \r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: \r\n\
    Forwarded: for=;host=\"\";proto=https\r\nVia: 1.1 \r\n"
    .len()
    + PSEUDONYM.len();

/// The lines that are written anew and may be longer than the received ones.
const OTHERS_LEN: usize =
    "Max-Forwards: 18446744073709551615\r\nTE: trailers\r\nUpgrade: \r\nConnection: upgrade, te\r\n".len();

/// The most bytes that received lines take when they are laid out anew, or joined into one list.
#[inline]
pub(crate) fn received_len_max(fields: &Fields, upgrade: bool) -> usize {
    // A line gains at most a space and a line feed; a value that becomes an item of a list gains a comma and a space, and
    // loses more. Only the list of protocols is taken apart, and gains a space for each of its commas.
    let bytes = fields.bytes_len();
    bytes + 2 * fields.len() + if upgrade { bytes } else { 0 }
}

/// How many further hops an OPTIONS request may take (RFC 9110 §7.6.2): at 0 it is for us to answer. `None` for
/// other methods, and when there is no such field, or no number in it.
#[inline]
pub fn max_forwards(head: &RequestHead) -> Option<u64> {
    if head.method != Method::Options {
        return None;
    }
    let value = head.fields.first(Known::MaxForwards)?;
    let digits = std::str::from_utf8(value).ok().filter(|v| v.bytes().all(|b| b.is_ascii_digit()))?;
    digits.parse().ok()
}

const HOST: KnownSet = KnownSet::of(&[Known::Host]);
const TRAILER: KnownSet = KnownSet::of(&[Known::Trailer]);
const TE: KnownSet = KnownSet::of(&[Known::Te]);
const MAX_FORWARDS: KnownSet = KnownSet::of(&[Known::MaxForwards]);

const VIA: KnownSet = KnownSet::of(&[Known::Via]);

/// What tells a server who asked, and by which way.
const TOLD: KnownSet =
    VIA.with(KnownSet::of(&[Known::Forwarded, Known::XForwardedFor, Known::XForwardedHost, Known::XForwardedProto]));

/// What is not copied: it concerns this connection only, or is written anew. An expectation is answered here.
const STAYS: KnownSet = HOP_BY_HOP.with(TOLD).with(KnownSet::of(&[Known::Expect, Known::Host]));

/// Whether the client's own Host line is what the server is to have: it is then copied with the lines around it.
fn keeps_host(head: &RequestHead, options: &RequestOptions<'_>) -> bool {
    *options.host == HostPolicy::Client
        && !matches!(head.form, TargetForm::Absolute | TargetForm::Authority)
        && head.fields.lines().iter().any(|line| line.known == Known::Host && line.value == head.authority)
}

fn host<'a>(head: &'a RequestHead, options: &RequestOptions<'a>) -> &'a [u8] {
    match options.host {
        HostPolicy::Client if !head.authority.is_empty() => head.authority_bytes(),
        HostPolicy::Client | HostPolicy::Upstream => options.upstream,
        HostPolicy::Name(name) => name,
    }
}

/// Via, X-Forwarded-* and Forwarded. An untrusted client's own have been left behind.
#[inline(always)]
fn tell_of_client(head: &RequestHead, rules: &FieldRules, client: &ClientInfo<'_>, out: &mut HeadWriter<'_>) {
    let asked = head.authority.of(head.fields.bytes());
    let form = form_of(asked);
    let appends = if client.trusted { TOLD } else { VIA };
    if form == Form::Unfit || rules.taken_out().meets(TOLD) || head.fields.has_any(appends) {
        tell_one_by_one(head, rules, form, client, out);
    } else {
        tell_at_once(head.version, asked, form == Form::Quoted, client, out);
    }
}

/// The common case: all five fields, nothing to append to. What does not vary between requests is written in a few
/// pieces whose length is known when compiling.
// A function of its own has the registers it needs.
#[inline(never)]
fn tell_at_once(version: Version, asked: &[u8], quoted: bool, client: &ClientInfo<'_>, out: &mut HeadWriter<'_>) {
    let (address, scheme) = (client.address, client.scheme);
    out.push_pieces(TOLD, |out| {
        out.put(b"X-Forwarded-For: ")?;
        out.put_slice(address.address())?;
        match scheme {
            Scheme::Http => out.put(b"\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: ")?,
            Scheme::Https => out.put(b"\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: ")?,
        }
        out.put_slice(asked)?;
        out.put(b"\r\nForwarded: for=")?;
        out.put_slice(address.node())?;
        match quoted {
            true => out.put(b";host=\"")?,
            false => out.put(b";host=")?,
        }
        out.put_slice(asked)?;
        match (quoted, scheme) {
            (true, Scheme::Http) => out.put(b"\";proto=http\r\nVia: 1.")?,
            (true, Scheme::Https) => out.put(b"\";proto=https\r\nVia: 1.")?,
            (false, Scheme::Http) => out.put(b";proto=http\r\nVia: 1.")?,
            (false, Scheme::Https) => out.put(b";proto=https\r\nVia: 1.")?,
        }
        match version {
            Version::Http10 => out.put(b"0 tollgate\r\n"),
            Version::Http11 => out.put(b"1 tollgate\r\n"),
        }
    });
}

/// How an authority stands in Forwarded (RFC 7239 §4).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As it is: it is a token.
    Token,
    /// In quotes: it has a port, or is an IPv6 address.
    Quoted,
    /// Not at all: there is none, or one that could end the element.
    Unfit,
}

fn form_of(authority: &[u8]) -> Form {
    let oddity = |worst: u8, b: &u8| worst | ODDITY[usize::from(*b)];
    // Eight at a time: the loop would cost as much as its work. The last eight may overlap others.
    let worst = match authority.last_chunk::<8>() {
        Some(last) => {
            let (eights, _) = authority.as_chunks::<8>();
            eights.iter().fold(last.iter().fold(0, oddity), |worst, eight| eight.iter().fold(worst, oddity))
        }
        None => authority.iter().fold(0, oddity),
    };
    match worst {
        _ if authority.is_empty() => Form::Unfit,
        0 => Form::Token,
        1 => Form::Quoted,
        _ => Form::Unfit,
    }
}

/// 0 for the bytes of a token, 1 for those that an authority may have besides, 2 for all others.
const ODDITY: [u8; 256] = {
    let mut table = [2; 256];
    let mut b = 0;
    while b < 256 {
        if is_token_byte(b as u8) {
            table[b] = 0;
        } else if matches!(b as u8, b':' | b'[' | b']' | b'(' | b')' | b'=') {
            table[b] = 1;
        }
        b += 1;
    }
    table
};

/// The two hop-by-hop fields that can be meant for the server too. Connection has to name them (RFC 9110 §10.1.4, §7.8).
fn write_te_and_upgrade(head: &RequestHead, options: &RequestOptions<'_>, out: &mut HeadWriter<'_>) -> Sent {
    let upgrade = options.upgrade && head.upgrade && write_upgrade(&head.fields, out);
    let te = options.trailers && head.fields.has_any(TE) && head.fields.has_token(Known::Te, b"trailers");
    if te {
        out.push(Known::Te, b"TE", b"trailers");
    }
    let connection = match (upgrade, te) {
        (false, false) => None,
        (true, false) => Some("upgrade"),
        (false, true) => Some("te"),
        (true, true) => Some("upgrade, te"),
    };
    Sent { connection, upgrade }
}

/// Writes the protocols the sender names, less `h2c`: HTTP/2 behind our back would carry requests that nobody checks.
pub(crate) fn write_upgrade(fields: &Fields, out: &mut HeadWriter<'_>) -> bool {
    let protocols = fields
        .all(Known::Upgrade)
        .flat_map(|value| value.split(|b| *b == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|protocol| !protocol.is_empty() && !protocol.eq_ignore_ascii_case(b"h2c"));
    if protocols.clone().next().is_none() {
        return false;
    }
    out.push_list(Known::Upgrade, b"Upgrade", protocols, &[]);
    true
}
