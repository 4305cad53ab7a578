//! The request target that a server is sent.

use std::fmt;

use message::{RequestHead, TargetForm};

/// A route's `strip_prefix` and `add_prefix`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathRewrite {
    /// Both without a slash at the end; empty for none.
    strip: Box<[u8]>,
    add: Box<[u8]>,
}

/// A prefix that is no path: it does not begin with `/`, or holds what no path holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadPrefix;

impl fmt::Display for BadPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a path that begins with `/`, without `?`, `#`, spaces or control characters")
    }
}

impl std::error::Error for BadPrefix {}

impl PathRewrite {
    /// Takes `strip` off the front of paths and puts `add` there instead; either may be empty. A slash at their
    /// end makes no difference.
    pub fn new(strip: &str, add: &str) -> Result<PathRewrite, BadPrefix> {
        Ok(PathRewrite { strip: checked(strip)?, add: checked(add)? })
    }

    /// Whether every path stays as it is.
    pub fn is_none(&self) -> bool {
        self.strip.is_empty() && self.add.is_empty()
    }

    /// What is left of `path`, empty or beginning with `/`. Whole segments are taken off or nothing.
    fn stripped<'a>(&self, path: &'a [u8]) -> &'a [u8] {
        match path.strip_prefix(&*self.strip) {
            Some(rest) if rest.is_empty() || rest[0] == b'/' => rest,
            _ => path,
        }
    }
}

/// The target for the server: `path` (the normalised one) under `rewrite`, at least `/`, and the query byte for byte.
/// Absolute-form targets become origin-form; `*` and `host:port` stay what they are.
///
/// Borrows from the head wherever the bytes stand there in one piece: without a rewrite, and where only a prefix is
/// taken off. Otherwise the target is put together in `scratch`, which is emptied first; keep one per worker.
pub fn target<'a>(head: &'a RequestHead, path: &[u8], rewrite: &PathRewrite, scratch: &'a mut Vec<u8>) -> &'a [u8] {
    if matches!(head.form, TargetForm::Asterisk | TargetForm::Authority) {
        return head.target_bytes();
    }
    let rest = rewrite.stripped(path);
    if rewrite.add.is_empty() && !rest.is_empty() && !head.path.is_empty() && path == head.path_bytes() {
        let end = head.query.unwrap_or(head.path).range().end;
        let start = head.path.range().end - rest.len();
        return &head.fields.bytes()[start..end];
    }
    scratch.clear();
    scratch.extend_from_slice(&rewrite.add);
    scratch.extend_from_slice(if rest.is_empty() { b"/" } else { rest });
    if let Some(query) = head.query_bytes() {
        scratch.push(b'?');
        scratch.extend_from_slice(query);
    }
    scratch
}

fn checked(prefix: &str) -> Result<Box<[u8]>, BadPrefix> {
    let path = prefix.trim_end_matches('/');
    let is_path_byte = |b: u8| b.is_ascii_graphic() && !matches!(b, b'?' | b'#');
    if !prefix.is_empty() && !prefix.starts_with('/') || !path.bytes().all(is_path_byte) {
        return Err(BadPrefix);
    }
    Ok(path.as_bytes().into())
}
