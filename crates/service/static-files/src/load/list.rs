//! What is in a directory, as it is sent.

use content_coding::{Coding, SIZE_MIN, compress};
use fs::{Error, ListLimits, Root};

use super::Found;
use crate::listing::{self, Form, Item, NAMES_MAX, NAMES_READ_MAX};
use crate::path::{WELL_KNOWN, has_url};

/// A directory to be listed.
#[derive(Debug)]
pub(crate) struct ListingWork {
    /// Its path relative to the root.
    pub(crate) directory: Box<[u8]>,
    /// Whether names that start with a dot are shown.
    pub(crate) hidden: bool,
    /// How it is asked for.
    pub(crate) asked: listing::Asked,
    /// The coding that it is to be sent in, if it is long enough to gain by it.
    pub(crate) coding: Option<Coding>,
}

/// What is in a directory, as it is sent.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) form: Form,
    pub(crate) coding: Option<Coding>,
    /// Whether something was put to its end.
    pub(crate) has_suffix: bool,
    pub(crate) bytes: Box<[u8]>,
}

impl ListingWork {
    /// Lists it. Blocks.
    pub(super) fn list(&self, root: &Root, page_suffix: Option<&str>) -> Result<Found, Error> {
        let at_top = self.directory.is_empty();
        let is_hidden = |name: &[u8]| !self.hidden && name.starts_with(b".") && !(at_top && name == WELL_KNOWN);
        let shown = |name: &[u8]| !is_hidden(name) && has_url(&self.directory, name);
        let listed = root.list(&self.directory, ListLimits { entries: NAMES_MAX, names: NAMES_READ_MAX }, shown)?;
        let item = |e: fs::Listing| Item {
            name: e.name,
            is_folder: e.meta.kind == fs::Kind::Directory,
            size: e.meta.size,
            modified: e.meta.modified.secs,
        };
        let items = listed.entries.into_iter().map(item).collect();
        let suffix = page_suffix.filter(|_| self.asked.form == Form::Html);
        let text = listing::render(&self.asked, items, listed.left_out) + suffix.unwrap_or_default();
        let coding = self.coding.filter(|_| text.len() as u64 >= SIZE_MIN);
        let compressed = coding.and_then(|coding| Some((coding, compress(coding, text.as_bytes())?)));
        let (coding, bytes) = compressed.map_or((None, text.into_bytes()), |(coding, bytes)| (Some(coding), bytes));
        Ok(Found::Listing(Listed { form: self.asked.form, coding, has_suffix: suffix.is_some(), bytes: bytes.into() }))
    }
}
