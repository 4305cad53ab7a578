//! How a route serves files.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use content_coding::Coding;

use crate::path::relative;

/// How a route serves files beneath a root.
#[derive(Clone, Debug)]
pub struct Options {
    /// What is taken off the front of a request's path before it is looked up; empty for nothing. A request whose path
    /// does not begin with it gets 404.
    pub prefix: String,
    /// Names tried in order when a directory is asked for; none: a directory gets 404.
    pub index: Vec<String>,
    /// The URL path, within the root, of a file that is served with 200 where there is none otherwise: for applications
    /// that route in the browser.
    pub fallback: Option<String>,
    /// The value of Cache-Control on 200, 206 and 304; absent: no such field.
    pub cache_control: Option<String>,
    /// The same for HTML pages, where theirs is another: of an application the pages name the other files, which have new names when they
    /// change.
    pub page_cache_control: Option<String>,
    /// Whether names that start with a dot are served.
    pub hidden: bool,
    /// Whether a directory without an index file is answered with a list of what is in it.
    pub listing: bool,
    /// The codings of which a sibling (`page.html.br`) is sent in the place of a file, to clients that accept it; what comes
    /// first is preferred where a client is indifferent.
    pub precompressed: Vec<Coding>,
    /// The codings in which files are compressed as they are asked for, where that gains anything and no sibling is there.
    pub compress: Vec<Coding>,
    /// What is put to the end of each HTML page at that time, of a listing too; also has the directories of all that is asked for watched, whatever is
    /// cached. For live reload.
    pub page_suffix: Option<Rc<RefCell<Arc<str>>>>,
}

impl Default for Options {
    /// `index.html`, and nothing else.
    fn default() -> Options {
        Options {
            prefix: String::new(),
            index: vec![String::from("index.html")],
            fallback: None,
            cache_control: None,
            page_cache_control: None,
            hidden: false,
            listing: false,
            precompressed: Vec::new(),
            compress: Vec::new(),
            page_suffix: None,
        }
    }
}

/// Which option makes no sense, in words for whoever wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadOption {
    /// The prefix is no path.
    #[error("prefix must be empty or start with '/'")]
    Prefix,
    /// An index name is no name of a file in a directory.
    #[error("an index file is a plain name, without '/', '\\' or NUL, and neither '.' nor '..'")]
    Index,
    /// The fallback is no path of a file.
    #[error("fallback must be the path of a file, starting with '/'")]
    Fallback,
    /// The value cannot stand in a field.
    #[error("cache_control must be visible characters and spaces, not empty, at most 1,024 bytes")]
    CacheControl,
}

/// A Cache-Control longer than this is a mistake, and the heads that hold it must stay small.
const CACHE_CONTROL_MAX: usize = 1024;

impl Options {
    /// The Cache-Control of files of this type.
    pub(crate) fn cache_control_of(&self, media_type: &str) -> Option<&str> {
        let of_page = self.page_cache_control.as_deref().filter(|_| media_type == "text/html");
        of_page.or(self.cache_control.as_deref())
    }

    /// Whether every option makes sense; for the configuration to ask before anything is built.
    pub fn check(&self) -> Result<(), BadOption> {
        if !self.prefix.is_empty() && !self.prefix.starts_with('/') {
            return Err(BadOption::Prefix);
        }
        let plain = |name: &String| !matches!(name.as_str(), "" | "." | "..") && !name.contains(['/', '\\', '\0']);
        if !self.index.iter().all(plain) {
            return Err(BadOption::Index);
        }
        if self.fallback.is_some() && self.fallback_name().is_none() {
            return Err(BadOption::Fallback);
        }
        let sendable = |value: &String| {
            !value.trim().is_empty()
                && value.len() <= CACHE_CONTROL_MAX
                && value.bytes().all(|b| b == b' ' || b.is_ascii_graphic())
        };
        if !self.cache_control.iter().chain(&self.page_cache_control).all(sendable) {
            return Err(BadOption::CacheControl);
        }
        Ok(())
    }

    /// The name of the fallback beneath the root. It may be hidden: whoever writes the configuration says so.
    pub(crate) fn fallback_name(&self) -> Option<Box<[u8]>> {
        let path = self.fallback.as_deref().filter(|p| p.starts_with('/'))?;
        let name = relative(path.as_bytes(), true).filter(|r| !r.directory)?;
        Some(name.bytes.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_checked() {
        let base = Options::default;
        assert_eq!(base().check(), Ok(()));
        let full = Options {
            prefix: "/x".into(),
            index: vec!["index.html".into(), ".hidden".into()],
            fallback: Some("/app/.shell.html".into()),
            cache_control: Some("public, max-age=3600".into()),
            hidden: true,
            ..base()
        };
        assert_eq!(full.check(), Ok(()));
        assert_eq!(&*full.fallback_name().unwrap(), b"app/.shell.html");
        assert_eq!(Options { prefix: "x".into(), ..base() }.check(), Err(BadOption::Prefix));
        for name in ["", ".", "..", "a/b", "a\\b", "a\0"] {
            assert_eq!(Options { index: vec![name.into()], ..base() }.check(), Err(BadOption::Index), "{name:?}");
        }
        for path in ["", "/", "x", "/a/", "/../x", "/a%2fb"] {
            assert_eq!(Options { fallback: Some(path.into()), ..base() }.check(), Err(BadOption::Fallback), "{path:?}");
        }
        for value in ["", " ", "a\r\nb", "\u{e9}", &"a".repeat(1025)] {
            let options = Options { cache_control: Some(value.into()), ..base() };
            assert_eq!(options.check(), Err(BadOption::CacheControl), "{value:?}");
        }
    }
}
