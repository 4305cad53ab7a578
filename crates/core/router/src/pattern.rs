//! The patterns of a rule, parsed from the text a user wrote.

use std::fmt;
use std::net::Ipv6Addr;

use message::Method;
use regex::bytes::{Regex, RegexBuilder};

use crate::normalise::{Scratch, normalise};

/// What is wrong with a pattern, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternError {
    /// What is wrong, as half a sentence about the pattern: "must begin with `/`".
    pub message: String,
    /// What to write instead, where that is known.
    pub hint: Option<String>,
}

impl PatternError {
    fn new(message: impl Into<String>) -> PatternError {
        PatternError { message: message.into(), hint: None }
    }

    fn hint(mut self, hint: impl Into<String>) -> PatternError {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for PatternError {}

/// A host a rule is for, in lower case. Hosts are compared without case, port and trailing dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// This host only; an IPv6 address keeps its brackets.
    Exact(Box<str>),
    /// One or more labels in front of this domain: `*.example.com` holds `example.com` and matches `a.example.com` and
    /// `b.a.example.com`, but not `example.com` itself.
    Under(Box<str>),
}

/// Longer host names do not exist (RFC 1035 §2.3.4), so a longer one in a request matches no pattern.
pub(crate) const HOST_BYTES_MAX: usize = 255;

impl HostPattern {
    /// Parses `example.com`, `*.example.com`, `192.0.2.1` or `[2001:db8::1]`.
    pub fn parse(text: &str) -> Result<HostPattern, PatternError> {
        if text == "*" {
            return Err(PatternError::new("is no host by itself").hint("leave `hosts` out to match every host"));
        }
        if text.starts_with('[') {
            return parse_ipv6(text);
        }
        if text.parse::<Ipv6Addr>().is_ok() {
            return Err(PatternError::new("an IPv6 address needs brackets").hint(format!("write `[{text}]`")));
        }
        let (name, wildcard) = match text.strip_prefix("*.") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let name = check_name(name)?;
        Ok(if wildcard { HostPattern::Under(name) } else { HostPattern::Exact(name) })
    }

    /// Whether every host that `other` matches is matched by this pattern too.
    pub fn covers(&self, other: &HostPattern) -> bool {
        let under = |domain: &str, name: &str| name.strip_suffix(domain).is_some_and(|front| front.ends_with('.'));
        match (self, other) {
            (HostPattern::Exact(a), HostPattern::Exact(b)) => a == b,
            (HostPattern::Exact(_), HostPattern::Under(_)) => false,
            (HostPattern::Under(a), HostPattern::Exact(b)) => under(a, b),
            (HostPattern::Under(a), HostPattern::Under(b)) => a == b || under(a, b),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostPattern::Exact(host) => f.write_str(host),
            HostPattern::Under(domain) => write!(f, "*.{domain}"),
        }
    }
}

fn parse_ipv6(text: &str) -> Result<HostPattern, PatternError> {
    let inner = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    match inner.and_then(|t| t.parse::<Ipv6Addr>().ok()) {
        Some(_) => Ok(HostPattern::Exact(text.to_ascii_lowercase().into())),
        None => {
            Err(PatternError::new("is not an IPv6 address in brackets").hint("such as `[2001:db8::1]`, without a port"))
        }
    }
}

fn check_name(name: &str) -> Result<Box<str>, PatternError> {
    let lower = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    if !lower.is_ascii() {
        return Err(PatternError::new("is not ASCII").hint("write an international name in its `xn--` form"));
    }
    if let Some((host, port)) = lower.rsplit_once(':')
        && port.bytes().all(|b| b.is_ascii_digit())
    {
        return Err(PatternError::new("has a port, but hosts are compared without").hint(format!("write `{host}`")));
    }
    if lower.contains('*') {
        return Err(PatternError::new("has a `*` that does not stand for whole labels in front")
            .hint("`*.example.com` matches every name below example.com"));
    }
    if let Some(odd) = lower.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))) {
        return Err(PatternError::new(format!("holds `{}`, which is not part of a host name", odd.escape_default()))
            .hint("write the name alone, such as `example.com`"));
    }
    if lower.len() > HOST_BYTES_MAX || lower.split('.').any(|label| label.is_empty() || label.len() > 63) {
        return Err(PatternError::new("is not a host name: a label is empty or too long"));
    }
    Ok(lower.into())
}

/// The paths a rule is for. All are compared with the normalised path.
#[derive(Clone, Debug)]
pub enum PathPattern {
    /// `/exact`: this path only.
    Exact(Box<str>),
    /// `/prefix/*`, held without its `/*` (empty for `/*`): matches `/prefix` and `/prefix/...`, not `/prefixes`.
    Prefix(Box<str>),
    /// `~regex`, unanchored, over bytes: `.` is any byte but a line feed, classes such as `\d` are ASCII.
    Regex(Regex),
}

/// What one pattern may compile to, so that a file cannot ask for unbounded memory.
const REGEX_BYTES_MAX: usize = 1 << 20;

impl PathPattern {
    /// Matches every path: `/*`.
    pub fn any() -> PathPattern {
        PathPattern::Prefix("".into())
    }

    /// Parses `/exact`, `/prefix/*` or `~regex`. Exact paths and prefixes must be in normal form, else nothing could
    /// match them; the hint then says what the normal form is.
    pub fn parse(text: &str) -> Result<PathPattern, PatternError> {
        if let Some(expression) = text.strip_prefix('~') {
            return regex(expression, "write `/*` to match every path").map(PathPattern::Regex);
        }
        if !text.starts_with('/') {
            let error = PatternError::new("must begin with `/`, or with `~` for a regular expression");
            return Err(if text.is_empty() { error } else { error.hint(format!("write `/{text}`")) });
        }
        match text.strip_suffix("/*") {
            Some(prefix) => {
                check_path(prefix, "/*")?;
                Ok(PathPattern::Prefix(prefix.into()))
            }
            None => {
                check_path(text, "")?;
                Ok(PathPattern::Exact(text.into()))
            }
        }
    }

    /// Whether every path that `other` matches is matched by this pattern too. May say no where that is hard to tell
    /// (regular expressions are compared by their text).
    pub fn covers(&self, other: &PathPattern) -> bool {
        let below =
            |prefix: &str, path: &str| path.strip_prefix(prefix).is_some_and(|t| t.is_empty() || t.starts_with('/'));
        match (self, other) {
            (PathPattern::Exact(a), PathPattern::Exact(b)) => a == b,
            (PathPattern::Prefix(a), PathPattern::Exact(b) | PathPattern::Prefix(b)) => below(a, b),
            (PathPattern::Prefix(a), PathPattern::Regex(_)) => a.is_empty(),
            (PathPattern::Regex(a), PathPattern::Regex(b)) => a.as_str() == b.as_str(),
            (PathPattern::Regex(a), PathPattern::Exact(b)) => a.is_match(b.as_bytes()),
            (PathPattern::Exact(_), _) | (PathPattern::Regex(_), PathPattern::Prefix(_)) => false,
        }
    }
}

impl PartialEq for PathPattern {
    fn eq(&self, other: &PathPattern) -> bool {
        match (self, other) {
            (PathPattern::Exact(a), PathPattern::Exact(b)) | (PathPattern::Prefix(a), PathPattern::Prefix(b)) => a == b,
            (PathPattern::Regex(a), PathPattern::Regex(b)) => a.as_str() == b.as_str(),
            _ => false,
        }
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PathPattern::Exact(path) => f.write_str(path),
            PathPattern::Prefix(prefix) => write!(f, "{prefix}/*"),
            PathPattern::Regex(regex) => write!(f, "~{}", regex.as_str()),
        }
    }
}

/// Compiles what stands behind a `~`; `instead_of_none` is what to write where nothing does.
pub(crate) fn regex(expression: &str, instead_of_none: &str) -> Result<Regex, PatternError> {
    if expression.is_empty() {
        return Err(PatternError::new("has no regular expression behind its `~`").hint(instead_of_none));
    }
    let built = RegexBuilder::new(expression).unicode(false).size_limit(REGEX_BYTES_MAX).build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => {
            PatternError::new("is a regular expression that compiles to more than 1 MiB")
                .hint("write smaller repetition counts")
        }
        // The message draws the expression with a caret of its own; its last line says what is wrong.
        other => {
            let text = other.to_string();
            let reason = text.lines().last().unwrap_or_default();
            PatternError::new(format!(
                "is not a regular expression: {}",
                reason.trim().strip_prefix("error: ").unwrap_or(reason)
            ))
        }
    })
}

/// Checks an exact path, or the part of a prefix pattern before its `suffix`.
fn check_path(path: &str, suffix: &str) -> Result<(), PatternError> {
    if path.contains('*') {
        return Err(PatternError::new("has a `*` that does not stand at the end behind a `/`")
            .hint("a prefix is written `/prefix/*`; for anything else use a regular expression, `~...`"));
    }
    if path.contains(['?', '#']) {
        return Err(PatternError::new("holds a `?` or `#`, but only the path is compared"));
    }
    if let Some(odd) = path.chars().find(|c| !c.is_ascii_graphic()) {
        let mut encoded = String::new();
        odd.encode_utf8(&mut [0; 4]).bytes().for_each(|b| encoded.push_str(&format!("%{b:02X}")));
        return Err(PatternError::new(format!("holds `{}`, which no request can send as it is", odd.escape_default()))
            .hint(format!("write it as `{encoded}`")));
    }
    if path.is_empty() {
        return Ok(());
    }
    let mut scratch = Scratch::new();
    match normalise(path.as_bytes(), &mut scratch) {
        Err(bad) => Err(PatternError::new(format!("can never match: {bad}"))),
        Ok(normal) if *normal != *path.as_bytes() => {
            Err(PatternError::new("can never match: it is not in normal form")
                .hint(format!("write `{}{suffix}`", String::from_utf8_lossy(&normal))))
        }
        Ok(_) => Ok(()),
    }
}

/// A request method. Methods are case-sensitive (RFC 9110 §9.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodToken(Box<str>);

impl MethodToken {
    /// Parses a token (RFC 9110 §5.6.2). A standard method in lower case is refused, since it would never match.
    pub fn parse(text: &str) -> Result<MethodToken, PatternError> {
        let is_tchar = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if text.is_empty() || !text.bytes().all(is_tchar) {
            return Err(PatternError::new("is not a method").hint("such as `GET` or `POST`"));
        }
        let upper = text.to_ascii_uppercase();
        if Method::of(text.as_bytes()) == Method::Other && Method::of(upper.as_bytes()) != Method::Other {
            return Err(PatternError::new("never matches: methods are case-sensitive").hint(format!("write `{upper}`")));
        }
        Ok(MethodToken(text.into()))
    }

    /// The token.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MethodToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
