//! Runs bytes through a decoder and writes down all that comes out, so that two runs can be compared.
//!
//! The fuzz targets use this file too.

use std::fmt::Write;

use buf::{Class, ReadBuf};
use http1::{BodyEvent, Limits, RequestDecoder, ResponseDecoder};
use message::{Fields, Method, RequestHead, ResponseHead};

/// Something that came out of a decoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A head, in words.
    Head(String),
    /// Content, however many pieces it came in.
    Data(Vec<u8>),
    /// Trailers, in words.
    Trailers(String),
    /// The end of a body that was announced.
    End,
    /// The sentence of a refusal, and its status where it has one.
    Refused(String, u16),
    /// The end of the input.
    EndOfInput(String),
}

/// Runs `pieces` through the decoder of a server and ends the input then.
pub fn server<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, class: Class, limits: &Limits) -> Vec<Seen> {
    let mut input = ReadBuf::new(class);
    let mut decoder = RequestDecoder::new();
    let mut seen = Vec::new();
    for piece in pieces {
        let mut left = piece;
        while !left.is_empty() {
            let taken = input.fill_from(left);
            assert!(taken > 0, "the decoder waits for bytes that cannot come: the buffer is full");
            left = &left[taken..];
            if !receive(&mut decoder, &mut input, limits, &mut seen) {
                return seen;
            }
        }
    }
    let clean = decoder.end_of_input(&input);
    assert_eq!(clean, decoder.body_done() && !decoder.head_begun(&input));
    seen.push(Seen::EndOfInput(if clean { "clean" } else { "inside a request" }.into()));
    seen
}

/// Takes out all that is there. False after a refusal.
fn receive(decoder: &mut RequestDecoder, input: &mut ReadBuf, limits: &Limits, seen: &mut Vec<Seen>) -> bool {
    loop {
        let refusal = if decoder.body_done() {
            match decoder.head(input, limits) {
                Ok(None) => return true,
                Ok(Some(head)) => {
                    check_fields(&head.fields, limits);
                    seen.push(Seen::Head(request_in_words(&head)));
                    continue;
                }
                Err(reject) => reject,
            }
        } else {
            match decoder.body(input, limits) {
                Ok(BodyEvent::More) => return true,
                Ok(event) => {
                    note(event, limits, seen);
                    continue;
                }
                Err(reject) => reject,
            }
        };
        let again = decoder.head(input, limits).expect_err("a refusal is final");
        assert_eq!(again, refusal);
        assert!(matches!(refusal.status(), 400 | 414 | 417 | 431 | 501 | 505));
        seen.push(Seen::Refused(refusal.sentence().into(), refusal.status()));
        return false;
    }
}

/// Runs `pieces` through the decoder of a client that asked with `method`, and ends the input then.
pub fn client<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    method: Method,
    class: Class,
    limits: &Limits,
) -> Vec<Seen> {
    let mut input = ReadBuf::new(class);
    let mut decoder = ResponseDecoder::new(method);
    let mut seen = Vec::new();
    let mut head = true;
    for piece in pieces {
        let mut left = piece;
        while !left.is_empty() && !decoder.body_done() {
            let taken = input.fill_from(left);
            assert!(taken > 0, "the decoder waits for bytes that cannot come: the buffer is full");
            left = &left[taken..];
            if !take_answer(&mut decoder, &mut input, limits, &mut head, &mut seen) {
                return seen;
            }
        }
    }
    if decoder.body_done() {
        seen.push(Seen::EndOfInput(format!("complete, keep alive: {}", decoder.keep_alive())));
        return seen;
    }
    match decoder.end_of_input() {
        Ok(()) => {
            assert!(matches!(decoder.body(&mut input, limits), Ok(BodyEvent::End)));
            assert!(decoder.body_done() && !decoder.keep_alive());
            seen.push(Seen::EndOfInput("ends the body".into()));
        }
        Err(garbage) => {
            assert!(garbage.is_early_end());
            seen.push(Seen::EndOfInput(garbage.sentence().into()));
        }
    }
    seen
}

/// Takes out all that is there. False after garbage.
fn take_answer(
    decoder: &mut ResponseDecoder,
    input: &mut ReadBuf,
    limits: &Limits,
    before_head: &mut bool,
    seen: &mut Vec<Seen>,
) -> bool {
    loop {
        let garbage = if *before_head {
            match decoder.head(input, limits) {
                Ok(None) => return true,
                Ok(Some(head)) => {
                    check_fields(&head.fields, limits);
                    *before_head = head.is_interim() && head.status != 101;
                    seen.push(Seen::Head(response_in_words(&head)));
                    continue;
                }
                Err(garbage) => garbage,
            }
        } else if decoder.body_done() {
            return true;
        } else {
            match decoder.body(input, limits) {
                Ok(BodyEvent::More) => return true,
                Ok(event) => {
                    note(event, limits, seen);
                    continue;
                }
                Err(garbage) => garbage,
            }
        };
        assert!(!garbage.is_early_end());
        seen.push(Seen::Refused(garbage.sentence().into(), 0));
        return false;
    }
}

fn note(event: BodyEvent, limits: &Limits, seen: &mut Vec<Seen>) {
    match event {
        BodyEvent::More => {}
        BodyEvent::Data(bytes) => {
            assert!(!bytes.is_empty());
            match seen.last_mut() {
                Some(Seen::Data(all)) => all.extend_from_slice(&bytes),
                _ => seen.push(Seen::Data(bytes.to_vec())),
            }
        }
        BodyEvent::Trailers(fields) => {
            assert!(!fields.is_empty());
            check_fields(&fields, limits);
            seen.push(Seen::Trailers(fields_in_words(&fields)));
        }
        BodyEvent::End => seen.push(Seen::End),
    }
}

/// What holds for the fields of everything that was let through.
fn check_fields(fields: &Fields, limits: &Limits) {
    assert!(fields.len() <= limits.headers);
    assert!(fields.bytes().len() <= limits.header_bytes);
    assert!(fields.bytes().ends_with(b"\r\n\r\n"));
    for field in fields.iter() {
        assert!(!field.name.is_empty());
        assert!(field.name.iter().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b)));
        assert!(field.value.iter().all(|b| *b == b'\t' || *b >= b' ' && *b != 0x7f));
        assert_eq!(field.value.trim_ascii(), field.value);
    }
}

fn fields_in_words(fields: &Fields) -> String {
    fields.iter().fold(String::new(), |mut words, f| {
        let _ = write!(words, "[{} {}={}]", f.known as u8, f.name.escape_ascii(), f.value.escape_ascii());
        words
    })
}

fn request_in_words(head: &RequestHead) -> String {
    let target = head.target_bytes();
    assert!(target.iter().all(|b| b.is_ascii_graphic() && *b != b'#'));
    format!(
        "{:?} {} {:?} {:?} {} authority={} path={} query={:?} body={:?} keep={} continue={} upgrade={} {}",
        head.method,
        head.method_bytes().escape_ascii(),
        head.version,
        head.form,
        target.escape_ascii(),
        head.authority_bytes().escape_ascii(),
        head.path_bytes().escape_ascii(),
        head.query_bytes().map(|q| q.escape_ascii().to_string()),
        head.body,
        head.keep_alive,
        head.expect_continue,
        head.upgrade,
        fields_in_words(&head.fields),
    )
}

fn response_in_words(head: &ResponseHead) -> String {
    assert!((100..600).contains(&head.status));
    let fields = fields_in_words(&head.fields);
    format!("{:?} {} body={:?} keep={} {fields}", head.version, head.status, head.body, head.keep_alive)
}
