//! What can be wrong with a message, and whom to tell.

use std::error::Error;
use std::fmt;

/// What is wrong with the framing of a message, whichever side sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The first line exceeds its limit.
    FirstLineTooLong,
    /// The head, or the trailer section, exceeds its limit.
    FieldsTooLarge,
    /// There are more field lines than the limit allows.
    TooManyFields,
    /// The first line is no request line and no status line.
    FirstLine,
    /// A line does not end in CRLF, or holds a CR or LF elsewhere.
    LineEnding,
    /// A field line is malformed: white space before the colon, a folded line, a control character.
    FieldLine,
    /// Content-Length is repeated, or is no plain decimal number of 64 bits.
    ContentLength,
    /// Transfer-Encoding is repeated, malformed, out of place, or does not end in `chunked`.
    TransferEncoding,
    /// A name would be Content-Length or Transfer-Encoding, but for what stands in the place of the hyphen.
    FramingName,
    /// Content-Length and Transfer-Encoding are both there.
    BothLengths,
    /// A chunk does not begin with a plain hexadecimal size, or its line is malformed.
    ChunkLine,
    /// A chunk's data is not followed by CRLF.
    ChunkEnd,
    /// Far more bytes were spent on chunk lines than on data.
    ChunkOverhead,
}

impl Fault {
    /// The fault in a sentence about "the message".
    pub fn sentence(self) -> &'static str {
        match self {
            Fault::FirstLineTooLong => "The first line is longer than this server accepts.",
            Fault::FieldsTooLarge => "The header fields are larger than this server accepts.",
            Fault::TooManyFields => "There are more header fields than this server accepts.",
            Fault::FirstLine => "The first line is not valid HTTP/1.1.",
            Fault::LineEnding => "A line does not end in CRLF.",
            Fault::FieldLine => "A header field line is malformed.",
            Fault::ContentLength => "Content-Length is repeated or is not a plain number.",
            Fault::TransferEncoding => "Transfer-Encoding is repeated, malformed, or does not end in chunked.",
            Fault::FramingName => "A field is named almost like Content-Length or Transfer-Encoding.",
            Fault::BothLengths => "Content-Length and Transfer-Encoding are both present.",
            Fault::ChunkLine => "A chunk does not begin with a valid size.",
            Fault::ChunkEnd => "A chunk is longer than its size says.",
            Fault::ChunkOverhead => "The chunks of the body carry too much besides data.",
        }
    }
}

/// Why a request is refused. The connection must be closed after the answer: where the next request would begin
/// is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reject {
    /// The framing is broken or exceeds a limit: 400, 414 or 431.
    Fault(Fault),
    /// The request target is malformed, or of a form its method does not have: 400.
    Target,
    /// An HTTP version other than 1.0 and 1.1: 505.
    Version,
    /// HTTP/1.1 without Host: 400.
    HostMissing,
    /// Host is there more than once: 400.
    HostRepeated,
    /// Host is no host with an optional port: 400.
    HostInvalid,
    /// A transfer coding besides `chunked`: 501.
    UnknownCoding,
    /// Expect asks for something other than 100-continue: 417.
    Expectation,
}

impl Reject {
    /// The status to answer with.
    pub fn status(self) -> u16 {
        match self {
            Reject::Fault(Fault::FirstLineTooLong) => 414,
            Reject::Fault(Fault::FieldsTooLarge | Fault::TooManyFields) => 431,
            Reject::Version => 505,
            Reject::UnknownCoding => 501,
            Reject::Expectation => 417,
            _ => 400,
        }
    }

    /// What is wrong, for the one who sent the request.
    pub fn sentence(self) -> &'static str {
        match self {
            Reject::Fault(Fault::FirstLineTooLong) => "The request line is longer than this server accepts.",
            Reject::Fault(Fault::FirstLine) => "The request line is not valid HTTP/1.1.",
            Reject::Fault(fault) => fault.sentence(),
            Reject::Target => "The request target is not valid.",
            Reject::Version => "This server speaks HTTP/1.0 and HTTP/1.1 here.",
            Reject::HostMissing => "The Host field is missing.",
            Reject::HostRepeated => "The Host field is there more than once.",
            Reject::HostInvalid => "The Host field does not name a host.",
            Reject::UnknownCoding => "The only transfer coding this server knows is chunked.",
            Reject::Expectation => "The only expectation this server meets is 100-continue.",
        }
    }
}

/// Why the answer of an upstream cannot be used. The connection to it must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Garbage {
    /// The connection ended before a byte of the answer: what a kept connection that went stale looks like.
    Closed,
    /// The connection ended inside the answer.
    Truncated,
    /// The framing is broken or exceeds a limit.
    Fault(Fault),
    /// The status is not between 100 and 599.
    Status,
    /// More interim answers than anybody needs.
    TooManyInterim,
}

impl Garbage {
    /// Whether the connection ended early, in contrast to bytes that make no sense.
    pub fn is_early_end(self) -> bool {
        matches!(self, Garbage::Closed | Garbage::Truncated)
    }

    /// What is wrong, for the operator.
    pub fn sentence(self) -> &'static str {
        match self {
            Garbage::Closed => "The upstream closed the connection without an answer.",
            Garbage::Truncated => "The upstream closed the connection in the middle of its answer.",
            Garbage::Fault(Fault::FirstLineTooLong) => "The upstream's status line is too long.",
            Garbage::Fault(Fault::FieldsTooLarge) => "The upstream's header fields are larger than accepted.",
            Garbage::Fault(Fault::TooManyFields) => "The upstream sent more header fields than accepted.",
            Garbage::Fault(Fault::FirstLine) => "The upstream's status line is not valid HTTP/1.1.",
            Garbage::Fault(fault) => fault.sentence(),
            Garbage::Status => "The upstream's status code is not between 100 and 599.",
            Garbage::TooManyInterim => "The upstream sent too many interim responses.",
        }
    }
}

/// The body that was handed to an encoder is not as long as its head says. The connection must be aborted, so that
/// the peer sees a message cut short rather than a wrong one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyMismatch {
    /// More bytes than declared; none of the piece was sent.
    TooLong,
    /// Fewer bytes than declared.
    TooShort,
}

impl BodyMismatch {
    /// What is wrong, for the operator.
    pub fn sentence(self) -> &'static str {
        match self {
            BodyMismatch::TooLong => "The body is longer than its declared length.",
            BodyMismatch::TooShort => "The body is shorter than its declared length.",
        }
    }
}

impl From<Fault> for Reject {
    fn from(fault: Fault) -> Reject {
        Reject::Fault(fault)
    }
}

impl From<Fault> for Garbage {
    fn from(fault: Fault) -> Garbage {
        Garbage::Fault(fault)
    }
}

macro_rules! displayed {
    ($($name:ty),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.sentence())
            }
        }

        impl Error for $name {}
    )*};
}

displayed!(Fault, Reject, Garbage, BodyMismatch);
