//! The fields that a client is sent.

use message::{
    BodyLength, Fields, FieldsBuilder, HeadWriter, Known, KnownSet, ResponseHead, Version, passes_for_framing,
};

use crate::PSEUDONYM;
use crate::filter::{CONTENT_LENGTH, Filter, HOP_BY_HOP, TooManyOptions, XForwarded, is_x_forwarded, says_length};
use crate::request::{received_len_max, write_upgrade};
use crate::rules::{FieldRules, is_spelling_of};
use crate::told::{append, via};

/// What a route wants of its answers.
#[derive(Clone, Copy, Debug)]
pub struct ResponseOptions<'a> {
    /// The operator's rules.
    pub rules: &'a FieldRules,
    /// Whether trailers are relayed to this client: Trailer is then sent on with a body that can have some.
    pub trailers: bool,
    /// Whether the client asked to switch protocols and the server was asked to ([`crate::Sent::upgrade`]).
    pub upgrade: bool,
}

/// Writes the fields of `head` as a client is to have them, all but framing and Connection. Date and Server pass;
/// Upgrade only in a 101 that was asked for, and in a 426 (see [`tells_upgrade`]). Also for interim answers. They take at most [`response_len_max`] bytes; look
/// at [`HeadWriter::overflowed`] afterwards (502).
///
/// # Errors
/// Connection names too many fields; what was written is not to be used then.
#[inline(always)]
pub fn response(
    head: &ResponseHead,
    options: &ResponseOptions<'_>,
    out: &mut HeadWriter<'_>,
) -> Result<(), TooManyOptions> {
    let mut stays = STAYS;
    if options.trailers && head.body == BodyLength::Streamed {
        stays = stays.without(TRAILER);
    }
    if head.plain_length || says_length(&head.fields, head.body) {
        stays = stays.without(CONTENT_LENGTH);
    }
    let rules = options.rules;
    Filter { known: stays, rules, x_forwarded: XForwarded::Ordinary }.copy(&head.fields, out)?;
    if !rules.taken_out().contains(Known::Via) {
        tell_way(head, out);
    }
    if tells_upgrade(head, options) && !write_upgrade(&head.fields, out) && head.status == 426 {
        write_upgrade_whole(&head.fields, out);
    }
    // A 101 is the last head that there is, and no news of another.
    if !head.is_interim() || head.status == 101 {
        rules.write_lines(out);
    }
    Ok(())
}

/// The most bytes that [`response`] writes.
#[inline]
pub fn response_len_max(head: &ResponseHead, options: &ResponseOptions<'_>) -> usize {
    const VIA_LEN: usize = "Via: 1.1 \r\n".len() + PSEUDONYM.len();
    received_len_max(&head.fields, tells_upgrade(head, options)) + VIA_LEN + options.rules.lines_len()
}

/// Whether Upgrade passes. A 426 has to say what the client is to switch to (RFC 9110 §15.5.22), and when it does, the switch is
/// relayed. In any other answer the field offers what the server would do on the connection to us (§7.8): a client that took the
/// offer up would ask us, who ask nobody for `h2c`.
#[inline]
fn tells_upgrade(head: &ResponseHead, options: &ResponseOptions<'_>) -> bool {
    match head.status {
        101 => options.upgrade,
        426 => true,
        _ => false,
    }
}

/// A 426 that offers only what is not relayed names it all the same: without the field it would break a rule (RFC 9110 §15.5.22), and nobody
/// would learn what the server wants.
#[cold]
fn write_upgrade_whole(fields: &Fields, out: &mut HeadWriter<'_>) {
    let protocols = fields.all(Known::Upgrade).filter(|value| !value.is_empty());
    if protocols.clone().next().is_some() {
        out.push_list(Known::Upgrade, b"Upgrade", protocols, &[]);
    }
}

/// Via. Most servers are no proxies and send none to append to.
fn tell_way(head: &ResponseHead, out: &mut HeadWriter<'_>) {
    if head.fields.has_any(VIA) {
        append(&head.fields, Known::Via, b"Via", true, &via(head.version), out);
        return;
    }
    match head.version {
        Version::Http10 => out.push_pieces(VIA, |out| out.put(b"Via: 1.0 tollgate\r\n")),
        Version::Http11 => out.push_pieces(VIA, |out| out.put(b"Via: 1.1 tollgate\r\n")),
    }
}

const VIA: KnownSet = KnownSet::of(&[Known::Via]);

const TRAILER: KnownSet = KnownSet::of(&[Known::Trailer]);

const STAYS: KnownSet = HOP_BY_HOP.with(VIA);

/// The length that an answer *without* a body declares for the one it would have (to HEAD, or 304): give it to
/// the encoder as the body's length, so that the client learns it. `None` for every other answer.
// RFC 9110 §8.6: neither a 1xx nor a 204 has a length to declare.
pub fn declared_length(head: &ResponseHead) -> Option<u64> {
    if head.body != BodyLength::None || head.is_interim() || head.status == 204 {
        return None;
    }
    head.declared_length()
}

/// Writes the trailers that may be sent on, in either direction. Left behind are those that RFC 9110 §6.5.1 forbids, and
/// all that would undo, in a recipient that merges trailers into the head, what the head was rewritten to.
pub fn trailers(fields: &Fields, rules: &FieldRules, out: &mut FieldsBuilder) {
    for line in fields.iter() {
        let passes = match line.known {
            Known::Other => !is_forbidden_other(line.name),
            known => ALLOWED.contains(known),
        };
        if passes && !rules.takes_out(line.known, line.name) {
            out.push_known(line.known, line.name, line.value);
        }
    }
}

/// The known fields that only describe what was sent; all others frame, route, authenticate or modify a message.
const ALLOWED: KnownSet = KnownSet::of(&[
    Known::Accept,
    Known::AcceptRanges,
    Known::Etag,
    Known::LastModified,
    Known::Server,
    Known::UserAgent,
]);

fn is_forbidden_other(name: &[u8]) -> bool {
    const FORBIDDEN: [&[u8]; 12] = [
        b"age",
        b"expires",
        b"http2-settings",
        b"pragma",
        b"proxy-authentication-info",
        b"authentication-info",
        b"set-cookie2",
        b"strict-transport-security",
        b"warning",
        b"www-authenticate",
        b"x-real-ip",
        b"clear-site-data",
    ];
    is_x_forwarded(name) || passes_for_framing(name) || FORBIDDEN.iter().any(|f| is_spelling_of(f, name))
}
