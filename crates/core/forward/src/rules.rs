//! What the operator sets, adds and removes.

use std::fmt;

use message::{FieldsBuilder, HeadWriter, Known, KnownSet, passes_for_framing};

use crate::client::{CertificatePart, ClientCertificate, ClientInfo};

/// The compiled `request_headers` or `response_headers` of a route. Empty rules cost nothing.
#[derive(Clone, Debug, Default)]
pub struct FieldRules {
    /// The known names that are set or removed, and the other ones in lower case.
    known: KnownSet,
    others: Vec<Box<[u8]>>,
    /// What is set, then what is added.
    set: Vec<Line>,
    added: Vec<Line>,
    /// What is said of the client's certificate.
    certificate: Vec<PartLine>,
    /// Names of which the client's own are taken out in every spelling.
    kept_out: Vec<Box<[u8]>>,
    /// Bytes of these lines.
    lines_len: usize,
}

/// What a line takes besides its name and value: a colon, a space, CR and LF.
const LINE_EXTRA: usize = 4;

#[derive(Clone, Debug)]
struct PartLine {
    known: Known,
    name: Box<[u8]>,
    part: CertificatePart,
}

#[derive(Clone, Debug)]
struct Line {
    known: Known,
    name: Box<[u8]>,
    value: Box<[u8]>,
}

/// Which messages rules are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Requests on their way to a server.
    Request,
    /// Answers on their way to a client.
    Response,
}

/// A rule that cannot be kept, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    /// The field's name as it was given.
    pub name: String,
    /// What is wrong with the rule.
    pub problem: RuleProblem,
}

/// What is wrong with a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleProblem {
    /// The name is no token (RFC 9110 §5.1).
    BadName,
    /// The value holds a control character, or white space at an end (RFC 9110 §5.5).
    BadValue,
    /// The field belongs to the connection or to the framing of the message.
    NotYours,
    /// A request has exactly one Host: it can be set, neither added nor removed.
    OneHost,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match self.problem {
            RuleProblem::BadName => write!(f, "{name:?} is no field name"),
            RuleProblem::BadValue => {
                write!(f, "the value of {name:?} holds a control character, or white space at an end")
            }
            RuleProblem::NotYours => write!(f, "{name:?} is decided by the connection and cannot be changed"),
            RuleProblem::OneHost => write!(f, "a request has exactly one {name:?}: set it, or use the route's `host`"),
        }
    }
}

impl std::error::Error for RuleError {}

/// Fields that no rule may touch: the encoder or the other end decides them.
const NOT_YOURS: KnownSet = KnownSet::of(&[
    Known::Connection,
    Known::ContentLength,
    Known::KeepAlive,
    Known::ProxyConnection,
    Known::Te,
    Known::Trailer,
    Known::TransferEncoding,
    Known::Upgrade,
]);

impl FieldRules {
    /// Rules that change nothing.
    pub const fn none() -> FieldRules {
        FieldRules {
            known: KnownSet::of(&[]),
            others: Vec::new(),
            set: Vec::new(),
            added: Vec::new(),
            certificate: Vec::new(),
            kept_out: Vec::new(),
            lines_len: 0,
        }
    }

    /// Whether they change nothing.
    pub fn is_none(&self) -> bool {
        self.known == KnownSet::of(&[])
            && self.others.is_empty()
            && self.set.is_empty()
            && self.added.is_empty()
            && self.certificate.is_empty()
            && self.kept_out.is_empty()
    }

    /// Replaces every such field, ours too, by one with `value`. Stands above a removal of the same name.
    pub fn set(&mut self, side: Side, name: &str, value: &str) -> Result<(), RuleError> {
        let line = Line::checked(side, name, value)?;
        self.take_out(line.known, &line.name);
        self.lines_len += line.len();
        self.set.push(line);
        Ok(())
    }

    /// Replaces every such field of a request by one with a part of the client's certificate, or takes it out where there is no
    /// such part. The client's own are taken out in every spelling: a server that turns fields into variables cannot tell a
    /// hyphen from an underscore.
    pub fn set_certificate(&mut self, name: &str, part: CertificatePart) -> Result<(), RuleError> {
        let known = checked_name(Side::Request, name)?;
        if known == Known::Host {
            return Err(error(name, RuleProblem::OneHost));
        }
        self.take_out(known, name.as_bytes());
        self.keep_out(name)?;
        self.lines_len += name.len() + LINE_EXTRA + ClientCertificate::PART_MAX;
        self.certificate.push(PartLine { known, name: name.as_bytes().into(), part });
        Ok(())
    }

    /// Takes out every such field of the client, in every spelling; what rules set of that name stays.
    pub fn keep_out(&mut self, name: &str) -> Result<(), RuleError> {
        let known = checked_name(Side::Request, name)?;
        if known != Known::Other {
            self.known.insert(known);
        }
        self.kept_out.push(name.as_bytes().into());
        Ok(())
    }

    /// Whether anything is said of the client's certificate.
    #[inline]
    pub fn wants_certificate(&self) -> bool {
        !self.certificate.is_empty()
    }

    /// Adds a field beside those of the same name.
    pub fn add(&mut self, side: Side, name: &str, value: &str) -> Result<(), RuleError> {
        let line = Line::checked(side, name, value)?;
        if side == Side::Request && line.known == Known::Host {
            return Err(error(name, RuleProblem::OneHost));
        }
        self.lines_len += line.len();
        self.added.push(line);
        Ok(())
    }

    /// Removes every such field, ours too.
    pub fn remove(&mut self, side: Side, name: &str) -> Result<(), RuleError> {
        let known = checked_name(side, name)?;
        if side == Side::Request && known == Known::Host {
            return Err(error(name, RuleProblem::OneHost));
        }
        self.take_out(known, name.as_bytes());
        Ok(())
    }

    /// Writes what is set and added, but for the fields in `but`. For answers made here; [`crate::request`] and [`crate::response`] do it
    /// themselves.
    pub fn write_but(&self, but: KnownSet, out: &mut FieldsBuilder) {
        for line in self.set.iter().chain(&self.added).filter(|line| !but.contains(line.known)) {
            out.push_known(line.known, &line.name, &line.value);
        }
    }

    /// Writes what is set and added, straight into a head.
    #[inline]
    pub(crate) fn write_lines(&self, out: &mut HeadWriter<'_>) {
        if self.lines_len > 0 {
            self.set.iter().chain(&self.added).for_each(|line| out.push(line.known, &line.name, &line.value));
        }
    }

    /// The same for a request, with what is said of its client.
    #[inline]
    pub(crate) fn write_request_lines(&self, client: &ClientInfo<'_>, out: &mut HeadWriter<'_>) {
        if self.lines_len > 0 {
            self.write_lines(out);
            for line in &self.certificate {
                if let Some(value) = ClientCertificate::part(client.certificate.as_ref(), line.part) {
                    out.push(line.known, &line.name, value);
                }
            }
        }
    }

    /// How many bytes that takes.
    #[inline]
    pub(crate) fn lines_len(&self) -> usize {
        self.lines_len
    }

    /// Whether a field of that name is taken out: removed, or replaced by one that [`FieldRules::write_but`] writes.
    pub fn takes_out(&self, known: Known, name: &[u8]) -> bool {
        self.known.contains(known) || (known == Known::Other && self.takes_out_other(name))
    }

    pub(crate) fn taken_out(&self) -> KnownSet {
        self.known
    }

    pub(crate) fn takes_out_others(&self) -> bool {
        !self.others.is_empty() || !self.kept_out.is_empty()
    }

    pub(crate) fn takes_out_other(&self, name: &[u8]) -> bool {
        self.others.iter().any(|other| other.eq_ignore_ascii_case(name))
            || self.kept_out.iter().any(|kept_out| is_spelling_of(kept_out, name))
    }

    fn take_out(&mut self, known: Known, name: &[u8]) {
        if known != Known::Other {
            self.known.insert(known);
        } else if !self.takes_out_other(name) {
            self.others.push(name.to_ascii_lowercase().into());
        }
    }
}

impl Line {
    fn len(&self) -> usize {
        self.name.len() + self.value.len() + LINE_EXTRA
    }

    fn checked(side: Side, name: &str, value: &str) -> Result<Line, RuleError> {
        let known = checked_name(side, name)?;
        let blank_end = value.starts_with([' ', '\t']) || value.ends_with([' ', '\t']);
        if blank_end || value.bytes().any(|b| b != b'\t' && b.is_ascii_control()) {
            return Err(error(name, RuleProblem::BadValue));
        }
        Ok(Line { known, name: name.as_bytes().into(), value: value.as_bytes().into() })
    }
}

fn checked_name(side: Side, name: &str) -> Result<Known, RuleError> {
    if name.is_empty() || !name.bytes().all(is_token_byte) {
        return Err(error(name, RuleProblem::BadName));
    }
    let known = Known::of(name.as_bytes());
    // Expect is a matter between us and the client: we answer it.
    if NOT_YOURS.contains(known)
        || passes_for_framing(name.as_bytes())
        || (side == Side::Request && known == Known::Expect)
    {
        return Err(error(name, RuleProblem::NotYours));
    }
    Ok(known)
}

/// Whether two names are one to a server that makes variables of them (CGI and its kin).
pub(crate) fn is_spelling_of(name: &[u8], other: &[u8]) -> bool {
    let plain = |b: &u8| if *b == b'_' { b'-' } else { b.to_ascii_lowercase() };
    name.len() == other.len() && name.iter().map(plain).eq(other.iter().map(plain))
}

fn error(name: &str, problem: RuleProblem) -> RuleError {
    RuleError { name: name.to_owned(), problem }
}

/// RFC 9110 §5.6.2.
pub(crate) const fn is_token_byte(b: u8) -> bool {
    matches!(b, b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-'
        | b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
}
