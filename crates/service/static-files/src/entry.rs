//! A file ready to be sent.

use std::cell::Cell;
use std::fs::File;
use std::rc::Rc;

use clock::Tick;
use content_coding::{Coding, Codings, SIZE_MIN, is_compressible};
use fs::{Meta, Place};
use message::{BodyLength, FieldRef, Fields, FieldsBuilder, Known, ResponseHead};
use serve::Whole;

use crate::load::{Loaded, LoadedContent, Siblings};
use crate::mime::content_type;
use crate::options::Options;
use crate::stream::STREAM_MAX;
use crate::validators::Validators;

/// After so long what a cache holds is compared with the file again, so that an edit shows within a second.
const CHECK_AFTER_MS: u32 = 1000;

/// Whether something checked at `checked` is due again. The distance is taken without sign, so that it holds for all
/// of a tick's range: an entry can lie unused for weeks.
pub(crate) fn is_due(checked: Tick, now: Tick) -> bool {
    now.0.wrapping_sub(checked.0) >= CHECK_AFTER_MS
}

/// When something was checked that is due at `at`.
pub(crate) fn checked_to_be_due(at: Tick) -> Tick {
    Tick(at.0.wrapping_sub(CHECK_AFTER_MS))
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
    /// Where changes of the file are told of, if they are.
    pub(crate) covered: Cell<Option<Place>>,
    /// How often it was taken for current since then because nothing was told.
    pub(crate) vouched: Cell<u8>,
    pub(crate) validators: Validators,
    pub(crate) whole: Rc<ResponseHead>,
    pub(crate) not_modified: Rc<ResponseHead>,
    pub(crate) content: Content,
    /// Whether what a client gets depends on the codings that it accepts.
    pub(crate) varies: bool,
    /// Which siblings it has, as far as that was looked for.
    pub(crate) siblings: Cell<Siblings>,
    /// The codings that it is worth compressing in, as far as that is known.
    pub(crate) shrinks: Cell<Codings>,
    /// The codings that it is being compressed in.
    pub(crate) under_way: Cell<Codings>,
    /// The codings of which it is known that what comes of them is too large to be kept.
    pub(crate) too_large: Cell<Codings>,
}

/// Where the bytes of a file come from.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// From memory, as the answer to a request for all of it; no descriptor is held.
    Memory(Whole),
    /// From the open file.
    File(Rc<File>),
}

/// In what form an entry holds a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As it is.
    Identity,
    /// As a sibling holds it, in this coding.
    Sibling(Coding),
    /// As it was compressed here, in this coding.
    Compressed(Coding),
}

/// How the heads of a file are rendered.
pub(crate) struct Rendering<'a> {
    /// The names that were looked for.
    pub(crate) names: &'a [Box<[u8]>],
    /// The route's.
    pub(crate) options: &'a Options,
    /// The codings in which the route compresses.
    pub(crate) compress: Codings,
    /// What was loaded.
    pub(crate) form: Form,
}

impl Entry {
    /// Renders the heads for what was loaded. `now` is in seconds since 1970. Allocates.
    pub(crate) fn new(loaded: Loaded, how: &Rendering<'_>, checked: Tick, now: u64) -> Entry {
        // What is not just what the file holds was compressed, or had something put to its end.
        let validators = match &loaded.content {
            LoadedContent::Bytes(bytes) if bytes.len() as u64 != loaded.meta.size => {
                Validators::of(&loaded.meta, now).weakened(bytes.len() as u64)
            }
            _ => match how.form {
                Form::Sibling(coding) => Validators::of_sibling(&loaded.meta, now, coding.suffix()),
                Form::Identity | Form::Compressed(_) => Validators::of(&loaded.meta, now),
            },
        };
        let kind = content_type(how.content_name(&loaded));
        let shrinks = shrinks(how.compress, kind.media_type, loaded.meta.size);
        let varies = how.form != Form::Identity || !shrinks.is_empty() || !loaded.siblings.there.is_empty();
        let cache_control = how.options.cache_control_of(kind.media_type);
        let not_modified = validator_lines(&validators, cache_control, varies).finish();
        let mut lines = validator_lines(&validators, cache_control, varies);
        let charset: &[u8] = if kind.utf8 { b"; charset=utf-8" } else { b"" };
        lines.push_parts(Known::ContentType, b"Content-Type", &[kind.media_type.as_bytes(), charset]);
        if let Form::Sibling(coding) | Form::Compressed(coding) = how.form {
            lines.push_known(Known::ContentEncoding, b"Content-Encoding", coding.token().as_bytes());
        }
        if !matches!(how.form, Form::Compressed(_)) {
            lines.push_known(Known::AcceptRanges, b"Accept-Ranges", b"bytes");
        }
        lines.push(b"X-Content-Type-Options", b"nosniff");
        let fields = lines.finish();
        let (whole, content) = match loaded.content {
            LoadedContent::Bytes(bytes) => {
                let answer = Whole::new(200, fields.kept_copy(), bytes.into());
                (Rc::clone(answer.head()), Content::Memory(answer))
            }
            LoadedContent::File(file) => {
                (kept_head(200, &fields, BodyLength::Known(loaded.meta.size)), Content::File(Rc::new(file)))
            }
        };
        Entry {
            meta: loaded.meta,
            name: loaded.name,
            settled: loaded.settled,
            checked: Cell::new(checked),
            covered: Cell::default(),
            vouched: Cell::default(),
            validators,
            whole,
            not_modified: kept_head(304, &not_modified, BodyLength::None),
            content,
            varies,
            siblings: Cell::new(loaded.siblings),
            shrinks: Cell::new(shrinks),
            under_way: Cell::default(),
            too_large: Cell::default(),
        }
    }

    /// The form of `identity` that was compressed here in `coding`; as current as that is.
    pub(crate) fn compressed(identity: &Entry, coding: Coding, bytes: Box<[u8]>) -> Entry {
        let validators = identity.validators.weakened(bytes.len() as u64);
        let answer = Whole::new(200, identity.compressed_fields(coding).kept_copy(), bytes.into());
        let not_modified = with_tag(identity.not_modified.fields.iter(), validators.etag()).finish();
        Entry {
            meta: identity.meta,
            name: identity.name,
            settled: true,
            checked: identity.checked.clone(),
            covered: Cell::default(),
            vouched: Cell::default(),
            validators,
            whole: Rc::clone(answer.head()),
            not_modified: kept_head(304, &not_modified, BodyLength::None),
            content: Content::Memory(answer),
            varies: true,
            siblings: Cell::default(),
            shrinks: Cell::new(Codings::NONE),
            under_way: Cell::default(),
            too_large: Cell::default(),
        }
    }

    /// The fields of the 200 of what is compressed here: those of the file as it is, but for its tag and its parts.
    pub(crate) fn compressed_fields(&self, coding: Coding) -> Fields {
        let lines = self.whole.fields.iter().filter(|line| line.known != Known::AcceptRanges);
        let mut fields = with_tag(lines, self.validators.weakened(0).etag());
        fields.push_known(Known::ContentEncoding, b"Content-Encoding", coding.token().as_bytes());
        fields.finish()
    }

    /// Bytes of content held in memory.
    pub(crate) fn content_bytes(&self) -> usize {
        match &self.content {
            Content::Memory(answer) => answer.body().len(),
            Content::File(_) => 0,
        }
    }

    /// Whether an unchanged `meta` means that what is sent is current. Content that was read within the resolution of the file's
    /// stamps is read again whatever they say.
    pub(crate) fn is_believed(&self) -> bool {
        self.settled || self.holds_descriptor()
    }

    /// Whether a descriptor is held.
    pub(crate) fn holds_descriptor(&self) -> bool {
        matches!(self.content, Content::File(_))
    }
}

impl Rendering<'_> {
    /// The name that says what the content is: of a sibling, that of the file beside it.
    fn content_name<'n>(&'n self, loaded: &Loaded) -> &'n [u8] {
        let name = &self.names[loaded.name];
        match self.form {
            Form::Sibling(coding) => name.strip_suffix(coding.suffix().as_bytes()).unwrap_or(name),
            _ => name,
        }
    }
}

/// Those of the codings in which a route compresses that are worth it for a file of that type and size.
pub(crate) fn shrinks(compress: Codings, media_type: &str, size: u64) -> Codings {
    let fits = (SIZE_MIN..=STREAM_MAX).contains(&size);
    if fits && is_compressible(media_type) { compress } else { Codings::NONE }
}

/// The lines that a 304 has in common with the 200 (RFC 9110 §15.4.5).
fn validator_lines(validators: &Validators, cache_control: Option<&str>, varies: bool) -> FieldsBuilder {
    let mut lines = FieldsBuilder::new();
    lines.push_known(Known::Etag, b"ETag", validators.etag());
    if let Some(modified) = validators.modified() {
        lines.push_known(Known::LastModified, b"Last-Modified", modified.as_bytes());
    }
    if let Some(value) = cache_control {
        lines.push_known(Known::CacheControl, b"Cache-Control", value.as_bytes());
    }
    if varies {
        lines.push_known(Known::Vary, b"Vary", b"Accept-Encoding");
    }
    lines
}

/// These lines, with another entity tag.
pub(crate) fn with_tag<'l>(lines: impl Iterator<Item = FieldRef<'l>>, etag: &[u8]) -> FieldsBuilder {
    let mut fields = FieldsBuilder::new();
    for line in lines {
        let value = if line.known == Known::Etag { etag } else { line.value };
        fields.push_known(line.known, line.name, value);
    }
    fields
}

/// A head that is kept for long, in memory of its own size.
pub(crate) fn kept_head(status: u16, fields: &Fields, body: BodyLength) -> Rc<ResponseHead> {
    Rc::new(ResponseHead::new(status, fields.kept_copy(), body))
}
