//! Compressing what comes piece by piece.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::Coding;

/// Quality and window (in bits) for streams: 1 MiB of window is what a client has to keep, and a fast quality keeps up with a
/// network.
const BROTLI: (u32, u32) = (4, 20);
const ZSTD_LEVEL: i32 = 3;
/// zstd's window in bits; browsers refuse more than 8 MiB (RFC 9659).
const ZSTD_WINDOW: u32 = 20;
const GZIP_LEVEL: u32 = 4;

/// A compressor for content that comes in pieces, in memory that does not grow with it: at most some MiB.
///
/// Call [`Encoder::push`] for each piece and send what it gives, if that is anything; [`Encoder::finish`] gives the rest. How the
/// content is cut does not change what comes out when it is decoded. Can cross threads.
pub struct Encoder(Inner);

enum Inner {
    Brotli(Box<::brotli::CompressorWriter<Vec<u8>>>),
    Zstd(::zstd::stream::write::Encoder<'static, Vec<u8>>),
    Gzip(GzEncoder<Vec<u8>>),
}

impl Encoder {
    /// A compressor for one content.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn new(coding: Coding) -> io::Result<Encoder> {
        Ok(Encoder(match coding {
            Coding::Brotli => {
                let (quality, window) = BROTLI;
                Inner::Brotli(Box::new(::brotli::CompressorWriter::new(Vec::new(), 16 << 10, quality, window)))
            }
            Coding::Zstd => {
                let mut encoder = ::zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
                encoder.window_log(ZSTD_WINDOW)?;
                Inner::Zstd(encoder)
            }
            Coding::Gzip => Inner::Gzip(GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL))),
        }))
    }

    /// Takes a piece of the content and gives what is ready to be sent, which may be nothing.
    ///
    /// # Errors
    /// What the compressor says; the content cannot be completed then.
    pub fn push(&mut self, piece: &[u8]) -> io::Result<Vec<u8>> {
        match &mut self.0 {
            Inner::Brotli(writer) => {
                writer.write_all(piece)?;
                Ok(std::mem::take(writer.get_mut()))
            }
            Inner::Zstd(encoder) => {
                encoder.write_all(piece)?;
                Ok(std::mem::take(encoder.get_mut()))
            }
            Inner::Gzip(encoder) => {
                encoder.write_all(piece)?;
                Ok(std::mem::take(encoder.get_mut()))
            }
        }
    }

    /// Ends the content and gives the rest.
    ///
    /// # Errors
    /// As [`Encoder::push`].
    pub fn finish(self) -> io::Result<Vec<u8>> {
        match self.0 {
            Inner::Brotli(writer) => Ok(writer.into_inner()),
            Inner::Zstd(encoder) => encoder.finish(),
            Inner::Gzip(encoder) => encoder.finish(),
        }
    }
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Inner::Brotli(_) => "Encoder(br)",
            Inner::Zstd(_) => "Encoder(zstd)",
            Inner::Gzip(_) => "Encoder(gzip)",
        })
    }
}
