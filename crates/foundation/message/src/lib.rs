//! HTTP semantics (RFC 9110): method, version, status, the field table, heads and body lengths.
//!
//! A field is a pair of spans over one buffer; there is no map and no string per field. The table's memory is
//! recycled per thread, so a steady request allocates nothing for its message. This crate knows no wire
//! format: an HTTP/1 machine points the spans into what it received, any other fills a [`FieldsBuilder`].

mod builder;
mod fields;
mod head;
mod names;
mod status;
mod writer;

pub use builder::FieldsBuilder;
pub use fields::{Field, FieldLines, FieldRef, Fields, Span};
pub use head::{BodyLength, Method, RequestHead, ResponseHead, TargetForm, Version};
pub use names::{Known, KnownSet, passes_for_framing};
pub use status::reason_phrase;
pub use writer::{HeadWriter, Pieces};
