//! What a server is told of the client, where there is something to go on from: what proxies before us told.
//!
//! X-Forwarded-For and Forwarded tell of the same hops. Where a trusted proxy sends only one of them, the other is written from it
//! (RFC 7239 §7.4): a server that reads the other, or both, learns of the same client.

use client_address::{Node, hops, listed, schemes};
use message::{Fields, HeadWriter, Known, KnownSet, RequestHead, Version};

use crate::PSEUDONYM;
use crate::client::{ClientInfo, Scheme};
use crate::request::Form;
use crate::rules::FieldRules;

/// Via, X-Forwarded-* and Forwarded, as far as the rules do not take them out. `form`: of the authority that was asked.
#[cold]
pub(crate) fn tell_one_by_one(
    head: &RequestHead,
    rules: &FieldRules,
    form: Form,
    client: &ClientInfo<'_>,
    out: &mut HeadWriter<'_>,
) {
    let fields = &head.fields;
    let passes = |known: Known| !rules.taken_out().contains(known);
    let adds = adds_hop(fields, client);
    if passes(Known::XForwardedFor) {
        list_addresses(fields, client, adds, out);
    }
    // Of these there is one, the client's: servers look for a single scheme and a single host.
    if passes(Known::XForwardedProto) {
        out.push(Known::XForwardedProto, b"X-Forwarded-Proto", client.asked.as_str().as_bytes());
    }
    if passes(Known::XForwardedHost) {
        let says_host = client.trusted && fields.all(Known::XForwardedHost).any(|value| !value.is_empty());
        if says_host || form != Form::Unfit {
            let asked: &[&[u8]] = if says_host { &[] } else { &[head.authority_bytes()] };
            append(fields, Known::XForwardedHost, b"X-Forwarded-Host", says_host, asked, out);
        }
    }
    if passes(Known::Forwarded) {
        list_hops(head, form, client, adds, out);
    }
    if passes(Known::Via) {
        append(fields, Known::Via, b"Via", true, &via(head.version), out);
    }
}

/// Whether whoever connected is a hop of its own in the lists. A trusted proxy without an address (behind a Unix socket) that has told of
/// its client is not: as an `unknown` it would hide that client from the next proxy, which cannot know that it was trusted here.
fn adds_hop(fields: &Fields, client: &ClientInfo<'_>) -> bool {
    let goes_on = client.trusted && client.address.is_unknown();
    !goes_on || (listed(fields).next().is_none() && hops(fields).next().is_none())
}

/// The most bytes that are written into one of the lists from what stands in another.
pub(crate) fn carried_len_max(fields: &Fields, client: &ClientInfo<'_>) -> usize {
    if !client.trusted || !fields.has_any(LISTS) {
        return 0;
    }
    let commas = |value: &[u8]| value.iter().filter(|b| **b == b',').count();
    let elements = |known| fields.all(known).map(|value| 1 + commas(value)).sum::<usize>();
    fields.bytes_len()
        + elements(Known::XForwardedFor) * "for=\"[]\";proto=https, unknown".len()
        + elements(Known::Forwarded) * "unknown, ".len()
}

const LISTS: KnownSet = KnownSet::of(&[Known::XForwardedFor, Known::Forwarded]);

fn list_addresses(fields: &Fields, client: &ClientInfo<'_>, adds: bool, out: &mut HeadWriter<'_>) {
    const NAME: &[u8] = b"X-Forwarded-For";
    let ours: &[&[u8]] = if adds { &[client.address.address()] } else { &[] };
    if client.trusted && listed(fields).next().is_none() {
        let addresses = hops(fields).map(|hop| hop.node.listed());
        return out.push_list(Known::XForwardedFor, NAME, addresses, ours);
    }
    append(fields, Known::XForwardedFor, NAME, client.trusted, ours, out);
}

fn list_hops(head: &RequestHead, form: Form, client: &ClientInfo<'_>, adds: bool, out: &mut HeadWriter<'_>) {
    const NAME: &[u8] = b"Forwarded";
    let (node, scheme) = (client.address.node(), client.scheme.as_str().as_bytes());
    let asked = head.authority_bytes();
    let whole: [&[u8]; 8];
    let element: &[&[u8]] = match form {
        _ if !adds => &[],
        Form::Unfit => &[b"for=", node, b";proto=", scheme],
        Form::Token | Form::Quoted => {
            let quote: &[u8] = if form == Form::Quoted { b"\"" } else { b"" };
            whole = [b"for=", node, b";host=", quote, asked, quote, b";proto=", scheme];
            &whole
        }
    };
    let fields = &head.fields;
    if client.trusted && hops(fields).next().is_none() && listed(fields).next().is_some() {
        out.push_with(Known::Forwarded, NAME, |out| {
            carry_addresses(fields, out);
            if adds {
                out.put(b", ");
            }
            element.iter().for_each(|part| out.put_slice(part));
        });
        return;
    }
    append(fields, Known::Forwarded, NAME, client.trusted, element, out);
}

/// Writes what X-Forwarded-For lists as elements of Forwarded, with the schemes where it is plain whose they are: there are as many,
/// or a single one, which is the first client's.
fn carry_addresses(fields: &Fields, out: &mut HeadWriter<'_>) {
    let mut schemes = schemes(fields);
    let count = schemes.clone().count();
    let is_aligned = count == listed(fields).count();
    for (i, node) in listed(fields).enumerate() {
        let told = if is_aligned || (i == 0 && count == 1) { schemes.next().flatten() } else { None };
        if i > 0 {
            out.put(b", ");
        }
        put_hop(&node, told, out);
    }
}

fn put_hop(node: &Node<'_>, over_tls: Option<bool>, out: &mut HeadWriter<'_>) {
    out.put(b"for=");
    node.paired().iter().for_each(|part| out.put_slice(part));
    if let Some(tls) = over_tls {
        out.put(b";proto=");
        out.put_slice(scheme(tls).as_bytes());
    }
}

fn scheme(over_tls: bool) -> &'static str {
    if over_tls { Scheme::Https.as_str() } else { Scheme::Http.as_str() }
}

/// Writes a list that grows by one element with each hop. What earlier hops wrote is joined into one line, since
/// many readers look at one line only.
pub(crate) fn append(
    fields: &Fields,
    known: Known,
    name: &[u8],
    believed: bool,
    element: &[&[u8]],
    out: &mut HeadWriter<'_>,
) {
    if believed && fields.has_any(KnownSet::of(&[known])) {
        let earlier = fields.all(known).filter(|value| !value.is_empty());
        out.push_list(known, name, earlier, element);
    } else {
        out.push_parts(known, name, element);
    }
}

/// Our element of Via: the version the message was received in, and our name.
pub(crate) fn via(version: Version) -> [&'static [u8]; 2] {
    let version: &[u8] = match version {
        Version::Http10 => b"1.0 ",
        Version::Http11 => b"1.1 ",
    };
    [version, PSEUDONYM.as_bytes()]
}
