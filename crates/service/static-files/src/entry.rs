//! A file ready to be sent.

use std::cell::Cell;
use std::fs::File;
use std::rc::Rc;

use clock::Tick;
use fs::Meta;
use message::{BodyLength, Fields, FieldsBuilder, Known, ResponseHead};

use crate::load::{Loaded, LoadedContent};
use crate::mime::content_type;
use crate::validators::Validators;

/// After so long what a cache holds is compared with the file again, so that an edit shows within a second.
pub(crate) const CHECK_AFTER_MS: u32 = 1000;

/// Whether something checked at `checked` is due again. The distance is taken without sign, so that it holds for all
/// of a tick's range: an entry can lie unused for weeks.
pub(crate) fn is_due(checked: Tick, now: Tick) -> bool {
    now.0.wrapping_sub(checked.0) >= CHECK_AFTER_MS
}

/// A file ready to be sent: its bytes or its descriptor, and the heads of the usual answers, rendered.
#[derive(Debug)]
pub(crate) struct Entry {
    /// What was known about the file when it was opened.
    pub(crate) meta: Meta,
    /// Which of the names that the path stands for it is.
    pub(crate) name: usize,
    /// Whether an unchanged `meta` means unchanged content.
    pub(crate) settled: bool,
    /// When it was last known to be current.
    pub(crate) checked: Cell<Tick>,
    pub(crate) validators: Validators,
    pub(crate) whole: Rc<ResponseHead>,
    pub(crate) not_modified: Rc<ResponseHead>,
    pub(crate) content: Content,
}

/// Where the bytes of a file come from.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// From memory; no descriptor is held.
    Memory(Rc<[u8]>),
    /// From the open file.
    File(Rc<File>),
}

impl Entry {
    /// Renders the heads for what was loaded. `now` is in seconds since 1970. Allocates.
    pub(crate) fn new(
        loaded: Loaded,
        names: &[Box<[u8]>],
        cache_control: Option<&str>,
        checked: Tick,
        now: u64,
    ) -> Entry {
        let validators = Validators::of(&loaded.meta, now);
        let not_modified = validator_lines(&validators, cache_control).finish();
        let mut lines = validator_lines(&validators, cache_control);
        let kind = content_type(&names[loaded.name]);
        let charset: &[u8] = if kind.utf8 { b"; charset=utf-8" } else { b"" };
        lines.push_parts(Known::ContentType, b"Content-Type", &[kind.media_type.as_bytes(), charset]);
        lines.push_known(Known::AcceptRanges, b"Accept-Ranges", b"bytes");
        lines.push(b"X-Content-Type-Options", b"nosniff");
        Entry {
            meta: loaded.meta,
            name: loaded.name,
            settled: loaded.settled,
            checked: Cell::new(checked),
            validators,
            whole: kept_head(200, &lines.finish(), BodyLength::Known(loaded.meta.size)),
            not_modified: kept_head(304, &not_modified, BodyLength::None),
            content: match loaded.content {
                LoadedContent::Bytes(bytes) => Content::Memory(bytes.into()),
                LoadedContent::File(file) => Content::File(Rc::new(file)),
            },
        }
    }

    /// Bytes of content held in memory.
    pub(crate) fn content_bytes(&self) -> usize {
        match &self.content {
            Content::Memory(bytes) => bytes.len(),
            Content::File(_) => 0,
        }
    }

    /// Whether a descriptor is held.
    pub(crate) fn holds_descriptor(&self) -> bool {
        matches!(self.content, Content::File(_))
    }
}

/// The lines that a 304 has in common with the 200 (RFC 9110 §15.4.5).
fn validator_lines(validators: &Validators, cache_control: Option<&str>) -> FieldsBuilder {
    let mut lines = FieldsBuilder::new();
    lines.push_known(Known::Etag, b"ETag", validators.etag());
    if let Some(modified) = validators.modified() {
        lines.push_known(Known::LastModified, b"Last-Modified", modified.as_bytes());
    }
    if let Some(value) = cache_control {
        lines.push_known(Known::CacheControl, b"Cache-Control", value.as_bytes());
    }
    lines
}

/// A head that is kept for long, in memory of its own size.
pub(crate) fn kept_head(status: u16, fields: &Fields, body: BodyLength) -> Rc<ResponseHead> {
    Rc::new(ResponseHead::new(status, fields.kept_copy(), body))
}
