//! Which lines of a head pass.

use std::fmt;

use message::{BodyLength, Fields, HeadWriter, Known, KnownSet};

use crate::rules::FieldRules;

/// Fields that concern one connection only, whichever way they go (RFC 9110 §7.6.1), and the framing, which the
/// encoder writes anew (but see [`says_length`]). Proxy-Authorization and Proxy-Authenticate are between a client and its own proxy.
pub(crate) const HOP_BY_HOP: KnownSet = KnownSet::of(&[
    Known::Connection,
    Known::ContentLength,
    Known::KeepAlive,
    Known::ProxyAuthenticate,
    Known::ProxyAuthorization,
    Known::ProxyConnection,
    Known::Te,
    Known::Trailer,
    Known::TransferEncoding,
    Known::Upgrade,
]);

const CONNECTION: KnownSet = KnownSet::of(&[Known::Connection]);

pub(crate) const CONTENT_LENGTH: KnownSet = KnownSet::of(&[Known::ContentLength]);

const OTHER: KnownSet = KnownSet::of(&[Known::Other]);

/// Whether the Content-Length there is says the length of the body the way the encoder would: one line, the very digits. It
/// may then pass with its neighbours. Any other could mean another length to another reader, and stays behind.
#[inline]
pub(crate) fn says_length(fields: &Fields, body: BodyLength) -> bool {
    let BodyLength::Known(length) = body else { return false };
    if !fields.has_any(CONTENT_LENGTH) {
        return false;
    }
    let mut said = None;
    for line in fields.lines() {
        if line.known == Known::ContentLength && said.replace(line.value).is_some() {
            return false;
        }
    }
    said.is_some_and(|value| is_decimal_of(value.of(fields.bytes()), length))
}

fn is_decimal_of(text: &[u8], number: u64) -> bool {
    // Shorter than what could overflow, and no zeros before it.
    if text.is_empty() || text.len() > 19 || (text[0] == b'0' && text.len() > 1) {
        return false;
    }
    let mut said = 0;
    for digit in text {
        let value = digit.wrapping_sub(b'0');
        if value > 9 {
            return false;
        }
        said = said * 10 + u64::from(value);
    }
    said == number
}

/// How many fields Connection may name besides the well-known ones. Each of them is looked for in every line, so
/// there has to be a limit; real messages name two or three.
pub const NOMINATED_MAX: usize = 32;

/// Connection names more than [`NOMINATED_MAX`] fields. Broken, or an attempt to make the proxy work: 400 for a
/// client, 502 for a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyOptions;

impl fmt::Display for TooManyOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection names more than {NOMINATED_MAX} fields")
    }
}

impl std::error::Error for TooManyOptions {}

/// Decides line by line.
#[derive(Clone, Copy)]
pub(crate) struct Filter<'a> {
    /// These stay behind.
    pub(crate) known: KnownSet,
    /// So do those the operator takes out.
    pub(crate) rules: &'a FieldRules,
    /// What becomes of X-Forwarded-*, known or not.
    pub(crate) x_forwarded: XForwarded,
}

/// What becomes of X-Forwarded-*.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum XForwarded {
    /// In a request of an untrusted client: none passes.
    Stays,
    /// In a request of a trusted one: not even Connection removes them. Whoever stands behind a trusted proxy could have
    /// us forget where the request came from, if that proxy passes on what Connection names. But one that is spelled with an
    /// underscore is no proxy's: it came from a client, past a proxy that knows the other spelling only, and stays.
    Passes,
    /// In a response: like any other field.
    Ordinary,
}

impl Filter<'_> {
    /// Copies the lines that pass, less what Connection names.
    // Always: most heads need no more than this.
    #[inline(always)]
    pub(crate) fn copy(mut self, fields: &Fields, out: &mut HeadWriter<'_>) -> Result<(), TooManyOptions> {
        self.known = self.known.with(self.rules.taken_out());
        // Connection is among those that stay.
        let looked_at = if self.looks_at_others() { self.known.with(OTHER) } else { self.known };
        if !fields.has_any(looked_at) && out.copy_canonical(fields) {
            return Ok(());
        }
        self.copy_some(fields, out)
    }

    /// Whether a name that is not known may have to stay, though Connection does not name it.
    #[inline]
    fn looks_at_others(&self) -> bool {
        self.x_forwarded != XForwarded::Ordinary || self.rules.takes_out_others()
    }

    #[inline(never)]
    fn copy_some(mut self, fields: &Fields, out: &mut HeadWriter<'_>) -> Result<(), TooManyOptions> {
        if !fields.has_any(CONNECTION) {
            self.copy_passing(fields, &[], out);
            return Ok(());
        }
        match self.nominate_known(fields) {
            0 => self.copy_passing(fields, &[], out),
            1..=NOMINATED_MAX => self.copy_without_nominated(fields, out),
            _ => return Err(TooManyOptions),
        }
        Ok(())
    }

    /// Keeps back the known fields that Connection names, and counts the others.
    fn nominate_known(&mut self, fields: &Fields) -> usize {
        let mut others = 0;
        let is_response = self.x_forwarded == XForwarded::Ordinary;
        for value in fields.all(Known::Connection) {
            // Nearly all there is; none names a field that could pass.
            if matches!(value, b"keep-alive" | b"close" | b"Keep-Alive") {
                continue;
            }
            for option in options(value) {
                match Known::of(option) {
                    Known::Other => others += usize::from(self.is_nominated(option)),
                    // A request has to have one, whatever its sender thinks.
                    Known::Host if !is_response => {}
                    known => self.known.insert(known),
                }
            }
        }
        others
    }

    #[cold]
    fn copy_without_nominated(&self, fields: &Fields, out: &mut HeadWriter<'_>) {
        let mut names = [&[][..]; NOMINATED_MAX];
        let all = fields.all(Known::Connection).flat_map(options);
        let nominated = all.filter(|o| Known::of(o) == Known::Other && self.is_nominated(o));
        let count = names.iter_mut().zip(nominated).map(|(name, option)| *name = option).count();
        self.copy_passing(fields, &names[..count], out);
    }

    fn copy_passing(&self, fields: &Fields, nominated: &[&[u8]], out: &mut HeadWriter<'_>) {
        let stays = self.known;
        let bytes = fields.bytes();
        let no_others = !fields.has_any(OTHER);
        if no_others || (!self.looks_at_others() && nominated.is_empty()) {
            out.copy_where(fields, |line| !stays.contains(line.known));
        } else if self.rules.takes_out_others() || !nominated.is_empty() {
            out.copy_where(fields, |line| {
                !stays.contains(line.known)
                    && (line.known != Known::Other || self.passes_other(line.name.of(bytes), nominated))
            });
        } else {
            out.copy_where(fields, |line| {
                !stays.contains(line.known) && (line.known != Known::Other || !self.is_unwanted(line.name.of(bytes)))
            });
        }
    }

    fn passes_other(&self, name: &[u8], nominated: &[&[u8]]) -> bool {
        let stays = self.is_unwanted(name)
            || self.rules.takes_out_other(name)
            || nominated.iter().any(|n| n.eq_ignore_ascii_case(name));
        !stays
    }

    /// Whether a field tells of a client what is not believed.
    #[inline]
    fn is_unwanted(&self, name: &[u8]) -> bool {
        match self.x_forwarded {
            XForwarded::Stays => is_x_forwarded(name),
            XForwarded::Passes => is_x_forwarded(name) && name[..X_FORWARDED.len()].contains(&b'_'),
            XForwarded::Ordinary => false,
        }
    }

    /// Whether an option that is no well-known name names a field that stays behind. `close` is no field.
    fn is_nominated(&self, option: &[u8]) -> bool {
        let kept = self.x_forwarded == XForwarded::Passes && is_x_forwarded(option);
        !option.is_empty() && !option.eq_ignore_ascii_case(b"close") && !kept
    }
}

/// What one Connection line lists.
fn options(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|b| *b == b',').map(<[u8]>::trim_ascii)
}

/// What the names of the family begin with.
const X_FORWARDED: &[u8] = b"x-forwarded-";

/// Whether a name is of the X-Forwarded-* family. Underscores count as hyphens: a server that turns fields into
/// variables (CGI and its kin) cannot tell them apart, and would take the client's word for ours.
#[inline]
pub(crate) fn is_x_forwarded(name: &[u8]) -> bool {
    matches!(name, [b'x' | b'X', b'-' | b'_', b'f' | b'F', ..]) && has_x_forwarded_prefix(name)
}

#[cold]
fn has_x_forwarded_prefix(name: &[u8]) -> bool {
    let same = |(b, prefix): (&u8, &u8)| b.eq_ignore_ascii_case(prefix) || (*prefix == b'-' && *b == b'_');
    name.len() > X_FORWARDED.len() && name.iter().zip(X_FORWARDED).all(same)
}
