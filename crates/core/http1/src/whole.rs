//! Answers that are sent many times.

use std::rc::Rc;

use message::{BodyLength, Fields, HeadWriter, ResponseHead};

use crate::encode::{OWN_LINES_MAX, built_lines, put_content_length};
use crate::own_lines::{DATE, STATUS_LINE_MAX, put_status_line};

/// A whole answer, head and body, that is sent many times, as a cache does: what is the same each time is written once.
/// [`ResponseEncoder::whole`](crate::ResponseEncoder::whole) sends it.
#[derive(Clone, Debug)]
pub struct Whole {
    head: Rc<ResponseHead>,
    body: Rc<[u8]>,
    /// The head for HTTP/1.1 on a connection that stays, up to the value of Date; none where it is not of the plain kind.
    lines: Option<Box<[u8]>>,
}

impl Whole {
    /// The answer of this status, fields and body. The fields are built with a `FieldsBuilder` and hold neither framing
    /// nor Connection. Allocates.
    pub fn new(status: u16, fields: Fields, body: Rc<[u8]>) -> Whole {
        let head = ResponseHead::new(status, fields, BodyLength::Known(body.len() as u64));
        let lines = lines_of(&head, body.len() as u64);
        Whole { head: Rc::new(head), body, lines }
    }

    /// The head.
    #[inline]
    pub fn head(&self) -> &Rc<ResponseHead> {
        &self.head
    }

    /// The body.
    #[inline]
    pub fn body(&self) -> &Rc<[u8]> {
        &self.body
    }

    #[inline]
    pub(crate) fn lines(&self) -> Option<&[u8]> {
        self.lines.as_deref()
    }
}

fn lines_of(head: &ResponseHead, length: u64) -> Option<Box<[u8]>> {
    let fields = built_lines(&head.fields);
    if matches!(head.status, ..200 | 204 | 304) || head.fields.has_any(DATE) {
        return None;
    }
    let mut memory = vec![0; STATUS_LINE_MAX + fields.len() + OWN_LINES_MAX];
    let mut lines = HeadWriter::over(&mut memory);
    put_status_line(&mut lines, head.status);
    lines.put_slice(fields);
    put_content_length(&mut lines, length);
    lines.put(b"Date: ");
    let len = lines.len();
    memory.truncate(len);
    Some(memory.into())
}
