//! From the path of a URL to the name of a file.
//!
//! This is translation, not protection: that nothing outside of the root is reached is the kernel's work (`fs::Root`).

/// The longest path the kernel takes, without the NUL. A longer one names no file.
const PATH_MAX: usize = 4095;

/// The one hidden name that is meant for the public (RFC 8615), at the top of the root only.
pub(crate) const WELL_KNOWN: &[u8] = b".well-known";

/// What a URL path names beneath the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relative {
    /// The path relative to the root, decoded, without slashes at either end or side by side; empty for the root itself.
    pub bytes: Vec<u8>,
    /// Whether the URL ended with a slash, and so names a directory.
    pub directory: bool,
}

impl Relative {
    /// The path of `name` within this directory.
    pub fn join(&self, name: &[u8]) -> Box<[u8]> {
        if self.bytes.is_empty() {
            return name.into();
        }
        [&self.bytes, &b"/"[..], name].concat().into()
    }
}

/// What is left of `path` behind a route's `prefix`: empty, or starting with a slash. `None` when the path lies elsewhere.
/// A slash at the end of the prefix makes no difference.
pub fn behind_prefix<'p>(path: &'p [u8], prefix: &[u8]) -> Option<&'p [u8]> {
    let prefix = prefix.strip_suffix(b"/").unwrap_or(prefix);
    let rest = path.strip_prefix(prefix)?;
    (rest.is_empty() || rest.starts_with(b"/")).then_some(rest)
}

/// Translates a URL path: empty, or starting with a slash; dot segments already removed. `None` when no file can have
/// that name or none is to be shown under it, which the client cannot tell from "not found".
///
/// Refused are: a broken percent-encoding, an encoded slash, a backslash or a NUL (encoded or not), names that start with a
/// dot unless `hidden` allows them (`/.well-known/` is always allowed), `.` and `..`, and what is too long.
/// Several slashes side by side count as one, as they do for the kernel. Costs one allocation.
pub fn relative(path: &[u8], hidden: bool) -> Option<Relative> {
    let mut bytes = Vec::with_capacity(path.len().min(PATH_MAX));
    for segment in path.split(|b| *b == b'/').filter(|s| !s.is_empty()) {
        if !bytes.is_empty() {
            bytes.push(b'/');
        }
        let start = bytes.len();
        if start >= PATH_MAX {
            return None;
        }
        decode(segment, &mut bytes)?;
        let name = &bytes[start..];
        let well_known = start == 0 && name == WELL_KNOWN;
        if matches!(name, b"." | b"..") || (name.starts_with(b".") && !hidden && !well_known) {
            return None;
        }
    }
    Some(Relative { bytes, directory: path.ends_with(b"/") })
}

/// Whether a URL can name what has this `name` in `directory` (relative to the root): false for what [`relative`] refuses
/// however it is encoded. Hidden names are not its matter.
pub(crate) fn has_url(directory: &[u8], name: &[u8]) -> bool {
    !name.contains(&b'\\') && directory.len() + 1 + name.len() <= PATH_MAX
}

/// Decodes one segment to the end of `out`.
fn decode(segment: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut rest = segment.iter();
    while let Some(&byte) = rest.next() {
        let byte = match byte {
            b'%' => hex(*rest.next()?)? << 4 | hex(*rest.next()?)?,
            plain => plain,
        };
        // A decoded slash would be a different path; a backslash is one to some clients and scripts behind them.
        if matches!(byte, 0 | b'/' | b'\\') || out.len() == PATH_MAX {
            return None;
        }
        out.push(byte);
    }
    Some(())
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|d| d as u8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn named(path: &str) -> Option<(String, bool)> {
        relative(path.as_bytes(), false).map(|r| (String::from_utf8(r.bytes).unwrap(), r.directory))
    }

    #[test]
    fn paths_become_names() {
        for (path, name, directory) in [
            ("", "", false),
            ("/", "", true),
            ("/a", "a", false),
            ("/a/", "a", true),
            ("/a/b.html", "a/b.html", false),
            ("//a///b", "a/b", false),
            ("/sp%20ace/%C3%a9%25", "sp ace/é%", false),
            ("/.well-known/acme-challenge/x", ".well-known/acme-challenge/x", false),
            ("/a..b/c...", "a..b/c...", false),
        ] {
            assert_eq!(named(path), Some((name.to_string(), directory)), "{path}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for path in [
            "/a%2fb",
            "/a%2Fb",
            "/a%5cb",
            "/a\\b",
            "/a%00",
            "/a\0",
            "/%",
            "/%2",
            "/%zz",
            "/%+1",
            "/.git/config",
            "/a/.env",
            "/%2egit",
            "/.",
            "/..",
            "/a/..",
            "/%2e%2e/x",
            "/.well-known/.env",
            "/x/.well-known/y",
            "/.well-knownx",
        ] {
            assert_eq!(named(path), None, "{path}");
        }
        assert_eq!(named(&format!("/{}", "a".repeat(PATH_MAX))).unwrap().0.len(), PATH_MAX);
        assert_eq!(named(&format!("/{}", "a".repeat(PATH_MAX + 1))), None);
        assert_eq!(named(&"/%61".repeat(PATH_MAX)), None);
    }

    #[test]
    fn hidden_names_are_shown_when_allowed_but_dots_never() {
        assert_eq!(relative(b"/.git/config", true).unwrap().bytes, b".git/config");
        for path in ["/.", "/..", "/a/%2e%2e/b", "/%2e"] {
            assert_eq!(relative(path.as_bytes(), true), None, "{path}");
        }
    }

    #[test]
    fn prefixes_end_at_a_segment() {
        assert_eq!(behind_prefix(b"/x/a", b""), Some(&b"/x/a"[..]));
        assert_eq!(behind_prefix(b"/x/a", b"/"), Some(&b"/x/a"[..]));
        assert_eq!(behind_prefix(b"/x/a", b"/x"), Some(&b"/a"[..]));
        assert_eq!(behind_prefix(b"/x/a", b"/x/"), Some(&b"/a"[..]));
        assert_eq!(behind_prefix(b"/x", b"/x/"), Some(&b""[..]));
        assert_eq!(behind_prefix(b"/xa", b"/x"), None);
        assert_eq!(behind_prefix(b"/y", b"/x"), None);
    }

    #[test]
    fn names_are_joined() {
        assert_eq!(&*relative(b"/", false).unwrap().join(b"i"), b"i");
        assert_eq!(&*relative(b"/a/b/", false).unwrap().join(b"i"), b"a/b/i");
    }

    proptest! {
        #[test]
        fn every_name_stays_beneath(path in "(/(\\PC|%[0-9a-fA-F]{2}|\\.|/|[\\x00-\\xff]){0,40})?", hidden: bool) {
            if let Some(found) = relative(path.as_bytes(), hidden) {
                prop_assert!(!found.bytes.starts_with(b"/") && !found.bytes.ends_with(b"/"));
                prop_assert!(!found.bytes.contains(&0) && found.bytes.len() <= PATH_MAX);
                for (i, name) in found.bytes.split(|b| *b == b'/').enumerate() {
                    prop_assert!(!name.is_empty() || found.bytes.is_empty());
                    prop_assert!(name != b"." && name != b"..");
                    prop_assert!(hidden || !name.starts_with(b".") || (i == 0 && name == WELL_KNOWN));
                }
            }
        }

        #[test]
        fn encoding_a_name_and_decoding_it_gives_the_name(name in proptest::collection::vec(1u8.., 1..60)) {
            let usable = !name.iter().any(|b| matches!(b, b'/' | b'\\')) && name[0] != b'.';
            let encoded: String = name.iter().map(|b| format!("/%{b:02x}")).collect::<String>().replace('/', "");
            let found = relative(format!("/{encoded}").as_bytes(), false).map(|r| r.bytes);
            prop_assert!(found.is_none() || has_url(b"", &name));
            prop_assert!(found.is_some() || name.contains(&b'/') || name[0] == b'.' || !has_url(b"", &name));
            prop_assert_eq!(found, usable.then_some(name));
        }
    }
}
