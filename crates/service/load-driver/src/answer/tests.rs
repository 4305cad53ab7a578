use std::sync::{Arc, OnceLock};

use buf::Class;

use super::*;

const PLAIN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const DATED: &str =
    "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nServer: x\r\nContent-Length: 5\r\n\r\nhello";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";
const UNTIL_CLOSE: &str = "HTTP/1.1 200 OK\r\n\r\nhello";

/// What reads the answers to one request.
struct Reader {
    request: Request,
    template: Template,
    reading: Reading,
    input: ReadBuf,
    verify: Verify,
}

impl Reader {
    fn new(method: Method, verify: Verify) -> Reader {
        let request = Request {
            url: "http://test/".into(),
            method,
            bytes: Arc::from(&b""[..]),
            head_len: 0,
            expected: Arc::new(OnceLock::new()),
            expected_status: None,
            target: 0,
        };
        Reader {
            request,
            template: Template::default(),
            reading: Reading::default(),
            input: ReadBuf::new(Class::K16),
            verify,
        }
    }

    fn next(&mut self) -> Result<Option<Answer>, ErrorKind> {
        self.reading.next(&mut self.input, &self.request, &mut self.template, self.verify)
    }

    /// All answers in `bytes`, given in pieces of `piece` bytes.
    fn read(&mut self, bytes: &str, piece: usize) -> Result<Vec<Answer>, ErrorKind> {
        let mut answers = Vec::new();
        for part in bytes.as_bytes().chunks(piece) {
            assert_eq!(self.input.fill_from(part), part.len());
            while let Some(answer) = self.next()? {
                answers.push(answer);
            }
        }
        Ok(answers)
    }

    fn one(&mut self, bytes: &str) -> Answer {
        let answers = self.read(bytes, usize::MAX).unwrap();
        assert_eq!(answers.len(), 1, "{bytes}");
        assert!(self.input.is_empty());
        answers[0]
    }

    fn end(&mut self) -> Result<Option<Answer>, ErrorKind> {
        self.reading.end_of_input();
        self.next()
    }
}

fn right(status: u16) -> Answer {
    Answer { status, keep_alive: true, mismatch: None }
}

fn get() -> Reader {
    Reader::new(Method::Get, Verify::All)
}

#[test]
fn the_same_answers_in_any_pieces_are_right() {
    for text in [PLAIN, DATED, CHUNKED] {
        for piece in 1..=text.len() {
            let mut reader = get();
            let answers = reader.read(&text.repeat(5), piece).unwrap();
            assert_eq!(answers, [right(200); 5], "{text} in pieces of {piece}");
            assert!(reader.input.is_empty());
        }
    }
}

#[test]
fn another_framing_of_the_same_content_is_right_and_other_content_is_not() {
    let mut reader = get();
    assert_eq!(reader.one(PLAIN), right(200));
    assert_eq!(reader.one(CHUNKED), right(200));
    assert_eq!(reader.one(&PLAIN.replace("hello", "hallo")).mismatch, Some(ErrorKind::Body));
    assert_eq!(reader.one(&PLAIN.replace("5\r\n\r\nhello", "4\r\n\r\nhell")).mismatch, Some(ErrorKind::Length));
    assert_eq!(reader.one(&PLAIN.replace("200 OK", "201 Created")).mismatch, Some(ErrorKind::Status));
    assert_eq!(reader.one(&PLAIN.replace("200 OK", "503 Away")).mismatch, Some(ErrorKind::FailureStatus));
    assert_eq!(reader.one(PLAIN), right(200));
}

#[test]
fn only_what_is_asked_for_is_compared() {
    let other = &PLAIN.replace("5\r\n\r\nhello", "4\r\n\r\nhull");
    for (verify, mismatch) in [
        (Verify::All, Some(ErrorKind::Length)),
        (Verify::Length, Some(ErrorKind::Length)),
        (Verify::Status, None),
        (Verify::Nothing, None),
    ] {
        let mut reader = Reader::new(Method::Get, verify);
        reader.one(PLAIN);
        assert_eq!(reader.one(other).mismatch, mismatch, "{verify:?}");
    }
    let mut reader = Reader::new(Method::Get, Verify::Nothing);
    reader.request.expected_status = Some(404);
    assert_eq!(reader.one(PLAIN).mismatch, Some(ErrorKind::Status));
    assert_eq!(reader.one(&PLAIN.replace("200 OK", "404 Not Found")), right(404));
}

#[test]
fn a_new_date_is_as_good_and_a_strange_one_is_judged_by_the_decoder() {
    let mut reader = get();
    let later = DATED.replace("08:49:37", "08:49:38");
    for text in [DATED, &later, &later, DATED] {
        assert_eq!(reader.one(text), right(200));
        assert_eq!(reader.template.matches(text.as_bytes()), Match::Whole(text.len(), right(200)));
    }
    assert_eq!(reader.template.matches(&later.as_bytes()[..30]), Match::Beginning);
    // As long as a date, and an end of line in it: a smuggled field.
    let smuggled = DATED.replace("Sun, 06 Nov 1994 08:49:37 GMT", "x\r\nTransfer-Encoding: chunked");
    assert_eq!(smuggled.len(), DATED.len());
    assert_eq!(reader.template.matches(smuggled.as_bytes()), Match::No);
    assert!(reader.read(&smuggled, usize::MAX).is_err());
}

#[test]
fn a_failure_is_a_failure_each_time() {
    let mut reader = get();
    for _ in 0..3 {
        let answer = reader.one(&PLAIN.replace("200 OK", "404 Not Found"));
        assert_eq!((answer.status, answer.mismatch), (404, Some(ErrorKind::FailureStatus)));
    }
}

#[test]
fn interim_answers_are_passed_over_and_a_head_has_no_body() {
    let mut reader = get();
    assert_eq!(reader.one(&format!("HTTP/1.1 100 Continue\r\n\r\n{PLAIN}")), right(200));
    let mut reader = Reader::new(Method::Head, Verify::All);
    assert_eq!(reader.one("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), right(200));
}

#[test]
fn closing_is_told_apart_by_where_it_comes() {
    assert_eq!(get().end(), Err(ErrorKind::Closed));
    for cut in 1..PLAIN.len() {
        let mut reader = get();
        assert!(reader.read(&PLAIN[..cut], usize::MAX).unwrap().is_empty());
        assert_eq!(reader.end(), Err(ErrorKind::Truncated), "cut at {cut}");
        // The same when the answer is known, and its beginning waits unread.
        let mut reader = get();
        reader.one(PLAIN);
        assert!(reader.read(&PLAIN[..cut], usize::MAX).unwrap().is_empty());
        assert_eq!(reader.end(), Err(ErrorKind::Truncated), "known, cut at {cut}");
    }
    let mut reader = get();
    assert!(reader.read(UNTIL_CLOSE, usize::MAX).unwrap().is_empty());
    assert_eq!(reader.end(), Ok(Some(Answer { keep_alive: false, ..right(200) })));
}

#[test]
fn garbage_is_garbage() {
    for text in ["SSH-2.0-x\r\n", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "HTTP/1.1 999 X\r\n\r\n", "\r\n\r\n"]
    {
        assert_eq!(get().read(text, usize::MAX), Err(ErrorKind::Garbage), "{text:?}");
    }
    let bad_chunk = CHUNKED.replace("\r\n3\r\n", "\r\nz\r\n");
    assert_eq!(get().read(&bad_chunk, usize::MAX), Err(ErrorKind::Garbage));
}

#[test]
fn a_long_answer_is_digested_and_not_kept() {
    let body = "x".repeat(40_000);
    let long = format!("HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n{body}");
    let mut reader = get();
    assert_eq!(reader.read(&long.repeat(2), 1000).unwrap(), [right(200); 2]);
    assert_eq!(reader.template.matches(b"H"), Match::No);
    let changed = format!("{}y", &long[..long.len() - 1]);
    let answers = reader.read(&changed, 1000).unwrap();
    assert_eq!(answers[0].mismatch, Some(ErrorKind::Body));
}
