//! Learning what a server answers, and checking every later answer against it.

use std::io;

/// What a server answers to the bench's request, learned from its first answer. Sans-IO.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Length of the head with its empty line, in bytes.
    pub head: usize,
    /// The body.
    pub body: Vec<u8>,
}

/// How every good answer starts.
const GOOD: &[u8] = b"HTTP/1.1 200";

impl Answer {
    /// Reads a whole answer at the start of `bytes`; `None` while it is not complete. An answer that is not a 200
    /// with a Content-Length is an error.
    pub fn learn(bytes: &[u8]) -> io::Result<Option<Answer>> {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
        let head = end + 4;
        let text = String::from_utf8_lossy(&bytes[..end]);
        if !bytes.starts_with(GOOD) {
            return Err(io::Error::other(format!("not a 200: {}", text.lines().next().unwrap_or_default())));
        }
        let length = text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        let length = length.ok_or_else(|| io::Error::other(format!("no Content-Length in the answer: {text}")))?;
        Ok(bytes.get(head..head + length).map(|body| Answer { head, body: body.to_vec() }))
    }

    /// The answer of a server that gives back what it is sent: no head, and `message`.
    pub fn exactly(message: &[u8]) -> Answer {
        Answer { head: 0, body: message.to_vec() }
    }

    /// Length of the whole answer in bytes.
    pub fn size(&self) -> usize {
        self.head + self.body.len()
    }

    /// Checks a piece of a stream of such answers, `at` bytes into the stream: the status and the end of each head
    /// that the piece holds whole, and every byte of every body.
    pub fn check(&self, at: usize, piece: &[u8]) -> io::Result<()> {
        let mut at = at % self.size();
        let mut piece = piece;
        while !piece.is_empty() {
            let take = piece.len().min(self.size() - at);
            let (this, rest) = piece.split_at(take);
            self.check_one(at, this)?;
            (at, piece) = (0, rest);
        }
        Ok(())
    }

    /// Checks a piece of one answer, `at` bytes into it.
    fn check_one(&self, at: usize, piece: &[u8]) -> io::Result<()> {
        if at == 0 && self.head > 0 {
            let shown = piece.len().min(GOOD.len());
            same(&piece[..shown], &GOOD[..shown], "status")?;
        }
        let end = at + piece.len();
        if at + 4 <= self.head && end >= self.head {
            same(&piece[self.head - 4 - at..self.head - at], b"\r\n\r\n", "end of the head")?;
        }
        if end > self.head {
            let from = self.head.max(at);
            same(&piece[from - at..], &self.body[from - self.head..end - self.head], "body")?;
        }
        Ok(())
    }
}

fn same(got: &[u8], wanted: &[u8], what: &str) -> io::Result<()> {
    if got == wanted {
        return Ok(());
    }
    let shown = String::from_utf8_lossy(&got[..got.len().min(40)]).into_owned();
    Err(io::Error::other(format!("an answer differs from the first one in its {what}: {shown:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::canned_answer;

    fn learned() -> (Vec<u8>, Answer) {
        let bytes = canned_answer(100);
        let answer = Answer::learn(&bytes).expect("a good answer").expect("a whole one");
        (bytes, answer)
    }

    #[test]
    fn an_answer_is_learned_once_it_is_whole() {
        let (bytes, answer) = learned();
        assert_eq!(answer.size(), bytes.len());
        for cut in 0..bytes.len() {
            assert_eq!(Answer::learn(&bytes[..cut]).expect("no error"), None, "cut at {cut}");
        }
        assert!(Answer::learn(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").is_err());
        assert!(Answer::learn(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
    }

    #[test]
    fn good_streams_pass_however_they_are_cut() {
        let (bytes, answer) = learned();
        let stream = bytes.repeat(3);
        for cut in 0..=stream.len() {
            answer.check(0, &stream[..cut]).expect("first piece");
            answer.check(cut, &stream[cut..]).expect("second piece");
        }
    }

    #[test]
    fn an_echo_is_the_message_and_nothing_else() {
        let answer = Answer::exactly(b"message");
        answer.check(0, b"messagemessage").expect("two of them");
        answer.check(3, b"sagemes").expect("a part");
        assert!(answer.check(0, b"massage").is_err());
    }

    #[test]
    fn a_wrong_byte_is_seen() {
        let (bytes, answer) = learned();
        for wrong in [9, answer.head - 2, answer.head, bytes.len() - 1] {
            let mut stream = bytes.repeat(2);
            stream[bytes.len() + wrong] = b'#';
            assert!(answer.check(0, &stream).is_err(), "byte {wrong}");
        }
    }
}
