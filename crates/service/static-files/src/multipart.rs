//! Several parts of a file as one answer: `multipart/byteranges` (RFC 9110 §14.6, RFC 2046 §5.1.1).

use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::rc::Rc;
use std::sync::OnceLock;

use message::{BodyLength, Fields, FieldsBuilder, Known, ResponseHead};

use crate::range::Part;
use crate::validators::Validators;

/// All of the answer but the bytes of the file.
pub(crate) struct Multipart {
    /// The 206, with the length of everything.
    pub(crate) head: ResponseHead,
    /// What stands before, between and behind the parts.
    pub(crate) text: Rc<[u8]>,
    /// Where in `text` the head of each part lies.
    pub(crate) heads: Vec<Range<usize>>,
    /// Where in `text` lies what follows the last part.
    pub(crate) end: Range<usize>,
}

impl Multipart {
    /// The answer with these parts of a file whose 200 has the fields `whole`. Allocates.
    pub(crate) fn of(whole: &Fields, file: &Validators, parts: &[Part]) -> Multipart {
        let boundary = boundary(file.etag());
        let mut text = Vec::new();
        let mut heads = Vec::with_capacity(parts.len());
        let content_type = whole.first(Known::ContentType);
        for part in parts {
            let start = text.len();
            write_part_head(&mut text, &boundary, content_type, *part, file.size());
            heads.push(start..text.len());
        }
        let end = text.len();
        text.extend_from_slice(b"\r\n--");
        text.extend_from_slice(&boundary);
        text.extend_from_slice(b"--\r\n");
        let length = text.len() as u64 + parts.iter().map(|p| p.len()).sum::<u64>();
        let head = head(whole, &boundary, length);
        Multipart { head, end: end..text.len(), text: text.into(), heads }
    }
}

/// What separates the parts: letters that the file cannot hold on purpose, since they follow from a secret of this process and
/// from the file's size and time of modification, which are settled only once it is written.
fn boundary(etag: &[u8]) -> [u8; 32] {
    static SECRETS: OnceLock<[RandomState; 2]> = OnceLock::new();
    let secrets = SECRETS.get_or_init(|| [RandomState::new(), RandomState::new()]);
    let mut letters = [0; 32];
    for (half, secret) in letters.chunks_mut(16).zip(secrets) {
        let mut rest = secret.hash_one(etag);
        for letter in half {
            *letter = b"0123456789abcdef"[(rest & 15) as usize];
            rest >>= 4;
        }
    }
    letters
}

fn write_part_head(text: &mut Vec<u8>, boundary: &[u8], content_type: Option<&[u8]>, part: Part, size: u64) {
    let (mut a, mut b, mut c) = (itoa::Buffer::new(), itoa::Buffer::new(), itoa::Buffer::new());
    // The first boundary needs no line before it, and nobody minds the empty one (RFC 2046: a preamble is ignored).
    let pieces = [b"\r\n--", boundary, b"\r\n"];
    pieces.iter().for_each(|p| text.extend_from_slice(p));
    if let Some(value) = content_type {
        [b"Content-Type: ", value, b"\r\n"].iter().for_each(|p| text.extend_from_slice(p));
    }
    let (first, last, size) = (a.format(part.first), b.format(part.last), c.format(size));
    let range = ["Content-Range: bytes ", first, "-", last, "/", size, "\r\n\r\n"];
    range.iter().for_each(|p| text.extend_from_slice(p.as_bytes()));
}

/// The head of the 200, with the type of the whole in the place of the file's, which the parts say.
fn head(whole: &Fields, boundary: &[u8], length: u64) -> ResponseHead {
    let mut fields = FieldsBuilder::new();
    for line in whole.iter().filter(|l| l.known != Known::ContentType) {
        fields.push_known(line.known, line.name, line.value);
    }
    fields.push_parts(Known::ContentType, b"Content-Type", &[b"multipart/byteranges; boundary=", boundary]);
    ResponseHead::new(206, fields.finish(), BodyLength::Known(length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validators::tests::meta;

    #[test]
    fn parts_are_framed() {
        let mut whole = FieldsBuilder::new();
        whole.push(b"ETag", b"\"x\"");
        whole.push(b"Content-Type", b"text/plain");
        let file = Validators::of(&meta(1000, 1, 0), 10);
        let parts = [Part { first: 0, last: 1 }, Part { first: 990, last: 999 }];
        let made = Multipart::of(&whole.finish(), &file, &parts);
        let text = std::str::from_utf8(&made.text).unwrap();
        let boundary = String::from_utf8(boundary(file.etag()).to_vec()).unwrap();
        let first = format!("\r\n--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/1000\r\n\r\n");
        assert_eq!(text[made.heads[0].clone()], first);
        assert!(text[made.heads[1].clone()].ends_with("Content-Range: bytes 990-999/1000\r\n\r\n"));
        assert_eq!(text[made.end.clone()], format!("\r\n--{boundary}--\r\n"));
        assert_eq!(made.head.status, 206);
        assert_eq!(made.head.body, BodyLength::Known(text.len() as u64 + 12));
        let kind = format!("multipart/byteranges; boundary={boundary}");
        assert_eq!(made.head.fields.first(Known::ContentType), Some(kind.as_bytes()));
        assert_eq!(made.head.fields.all(Known::ContentType).count(), 1);
        assert_eq!(made.head.fields.first(Known::Etag), Some(&b"\"x\""[..]));
        assert!(made.head.fields.first(Known::ContentRange).is_none());
    }

    #[test]
    fn each_version_of_a_file_has_its_own_boundary() {
        assert_eq!(boundary(b"\"a\""), boundary(b"\"a\""));
        assert_ne!(boundary(b"\"a\""), boundary(b"\"b\""));
    }
}
