//! The chunked transfer coding (RFC 9112 §7.1), read strictly.

use buf::ReadBuf;

use crate::body::{BodyEvent, data};
use crate::error::Fault;
use crate::limits::Limits;
use crate::scan::Scan;
use crate::trailers;

/// Hexadecimal digits of a size. Sixteen fit into 64 bits, so nothing can overflow; leading zeros count.
const DIGITS_MAX: u8 = 16;

/// Bytes of one chunk line. Extensions mean nothing to anybody but a signing scheme or two, of less than 200 bytes.
const LINE_MAX: u32 = 4096;

/// What a chunk's line may take for nothing: the size and both CRLF, and a little more.
const LINE_FREE: u64 = 16;

/// Bytes that all lines together may take beyond [`LINE_FREE`] each and twice their data. Without this bound a body
/// of tiny chunks with long extensions costs its reader a thousand times what it delivers.
const OVERHEAD_MAX: u64 = 16 << 10;

/// ```text
///  ┌───────────────────────────────────────────────── DataLf ◀─ DataCr ◀─┐
///  ▼                                                                     │
/// Size ──digit──▶ Digits ─┬──CR──▶ SizeLf ──LF, size > 0──▶ Data ────────┘
///                         ├──space──▶ Space ──;──▶ Extension ──CR──▶ SizeLf
///                         └──;──▶ Extension       SizeLf ──LF, size 0──▶ Trailers
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first digit.
    Size,
    /// Behind at least one digit.
    Digits,
    /// In white space that only a `;` may follow.
    Space,
    /// In the extensions, which are passed over.
    Extension,
    /// Before the LF of the line.
    SizeLf,
    /// In the data.
    Data,
    /// Before the CRLF behind the data.
    DataCr,
    DataLf,
    /// Behind the last chunk.
    Trailers,
}

/// The machine. It takes framing bytes out of the input one by one as they come, so they never have to be looked at
/// twice, and data in pieces as large as the input has them.
#[derive(Debug)]
pub(crate) struct Chunked {
    state: State,
    digits: u8,
    /// Bytes of the line so far.
    line: u32,
    /// The size read so far, then what is left of the data.
    left: u64,
    /// What lines took beyond what they may.
    overhead: u64,
    trailers: Scan,
}

impl Chunked {
    pub(crate) fn new() -> Chunked {
        Chunked { state: State::Size, digits: 0, line: 0, left: 0, overhead: 0, trailers: Scan::of_trailers() }
    }

    /// The next event. `Trailers` and `End` are the last: the caller forgets the machine then.
    pub(crate) fn next(&mut self, input: &mut ReadBuf, limits: &Limits) -> Result<BodyEvent, Fault> {
        if !matches!(self.state, State::Data | State::Trailers) {
            self.framing(input)?;
        }
        match self.state {
            State::Data => {
                let n = usize::try_from(self.left).unwrap_or(usize::MAX).min(input.len());
                self.left -= n as u64;
                if self.left == 0 {
                    self.state = State::DataCr;
                }
                Ok(data(input, n))
            }
            State::Trailers => trailers::read(&mut self.trailers, input, limits),
            _ => Ok(BodyEvent::More),
        }
    }

    /// Takes framing bytes until data or trailers begin, or the input ends.
    fn framing(&mut self, input: &mut ReadBuf) -> Result<(), Fault> {
        let mut used = 0;
        for b in input.filled() {
            used += 1;
            self.state = self.step(*b)?;
            if matches!(self.state, State::Data | State::Trailers) {
                break;
            }
        }
        input.consume(used);
        Ok(())
    }

    fn step(&mut self, b: u8) -> Result<State, Fault> {
        match (self.state, b) {
            (State::DataCr, b'\r') => return Ok(State::DataLf),
            (State::DataLf, b'\n') => return Ok(State::Size),
            (State::DataCr | State::DataLf, _) => return Err(Fault::ChunkEnd),
            _ => self.line += 1,
        }
        if self.line > LINE_MAX {
            return Err(Fault::ChunkOverhead);
        }
        match (self.state, b) {
            (State::Size | State::Digits, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => self.digit(b),
            (State::Digits | State::Extension, b'\r') => Ok(State::SizeLf),
            // RFC 9110 §5.6.3: white space around the semicolon is wrong but must be read.
            (State::Digits | State::Space, b' ' | b'\t') => Ok(State::Space),
            (State::Digits | State::Space, b';') => Ok(State::Extension),
            (State::Extension, b'\t' | b' '..=b'~' | 0x80..) => Ok(State::Extension),
            (State::SizeLf, b'\n') => self.end_of_line(),
            _ => Err(Fault::ChunkLine),
        }
    }

    fn digit(&mut self, b: u8) -> Result<State, Fault> {
        if self.digits == DIGITS_MAX {
            return Err(Fault::ChunkLine);
        }
        self.digits += 1;
        let value = if b.is_ascii_digit() { b - b'0' } else { (b | 0x20) - b'a' + 10 };
        self.left = self.left << 4 | u64::from(value);
        Ok(State::Digits)
    }

    fn end_of_line(&mut self) -> Result<State, Fault> {
        let free = self.left.saturating_mul(2).saturating_add(LINE_FREE);
        self.overhead = (self.overhead + u64::from(self.line)).saturating_sub(free);
        if self.overhead > OVERHEAD_MAX {
            return Err(Fault::ChunkOverhead);
        }
        (self.digits, self.line) = (0, 0);
        Ok(if self.left > 0 { State::Data } else { State::Trailers })
    }
}
