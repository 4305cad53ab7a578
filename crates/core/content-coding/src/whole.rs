//! Compressing what is in memory.

use std::cell::RefCell;
use std::io::Write;

use libdeflater::{CompressionLvl, Compressor};

use crate::Coding;
use crate::deflate::{CONTENT_MAX, Parser, deflate};

/// libdeflate's level, for what our own compressor does not take: level 3 takes nearly twice as long for a tenth less, level 6 three times for a quarter
/// less.
const GZIP_LEVEL: i32 = 1;

/// From level 5 on, the tables alone take longer to prepare than a small file to compress.
const BROTLI_QUALITY: u32 = 4;

/// Higher levels take three times as long and gain nothing on files of this kind.
const ZSTD_LEVEL: i32 = 3;

/// Compresses all of it, or gives `None` where the result would not be smaller by at least a
/// twentieth: decoding it costs the client more than that then.
///
/// Costs up to two milliseconds per 100 KiB, and memory of about the content's size besides some hundred KiB of tables.
pub fn compress(coding: Coding, content: &[u8]) -> Option<Vec<u8>> {
    let worth_it = content.len() - content.len() / 20;
    let compressed = match coding {
        Coding::Gzip => gzip(content, worth_it),
        Coding::Brotli => brotli(content),
        Coding::Zstd => zstd(content),
    }?;
    (compressed.len() < worth_it).then_some(compressed)
}

/// What each thread that compresses keeps, made when it is needed first.
#[derive(Default)]
struct Gzip {
    /// For what is small.
    parser: Option<Parser>,
    /// For what is larger. The tables are some hundred KiB, which the allocator would fetch from the system and give back each time.
    compressor: Option<Compressor>,
    /// Room for what comes out.
    out: Vec<u8>,
}

/// So much room is kept.
const ROOM_MAX: usize = 64 << 10;

thread_local! {
    static GZIP: RefCell<Gzip> = RefCell::default();
}

/// The whole content at once is what makes both compressors so much faster than zlib.
fn gzip(content: &[u8], room: usize) -> Option<Vec<u8>> {
    GZIP.with_borrow_mut(|kept| {
        kept.out.resize(room.max(kept.out.len()), 0);
        let out = &mut kept.out[..room];
        let made = match content.len() <= CONTENT_MAX {
            true => gzip_small(kept.parser.get_or_insert_with(Parser::new), content, out),
            false => {
                let level = CompressionLvl::new(GZIP_LEVEL).unwrap_or_default();
                let compressor = kept.compressor.get_or_insert_with(|| Compressor::new(level));
                compressor.gzip_compress(content, out).ok()
            }
        };
        let made = made.map(|len| kept.out[..len].to_vec());
        kept.out.truncate(ROOM_MAX);
        kept.out.shrink_to(ROOM_MAX);
        made
    })
}

/// A DEFLATE stream between what gzip has before and behind it (RFC 1952 §2.3): no name and no time, made in the quickest way, on an unknown system;
/// the checksum and the length of the content.
fn gzip_small(parser: &mut Parser, content: &[u8], out: &mut [u8]) -> Option<usize> {
    const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];
    let (head, rest) = out.split_first_chunk_mut()?;
    *head = HEAD;
    let len = deflate(parser, content, rest)?;
    let tail = rest.get_mut(len..)?.first_chunk_mut::<8>()?;
    tail[..4].copy_from_slice(&libdeflater::crc32(content).to_le_bytes());
    tail[4..].copy_from_slice(&(content.len() as u32).to_le_bytes());
    Some(HEAD.len() + len + tail.len())
}

fn brotli(content: &[u8]) -> Option<Vec<u8>> {
    // The window is no larger than the content needs: its size in memory follows from it.
    let window = content.len().max(1).next_power_of_two().trailing_zeros().clamp(16, 22);
    let mut writer =
        ::brotli::CompressorWriter::new(Vec::with_capacity(content.len() / 3), 4 << 10, BROTLI_QUALITY, window);
    writer.write_all(content).ok()?;
    Some(writer.into_inner())
}

fn zstd(content: &[u8]) -> Option<Vec<u8>> {
    ::zstd::bulk::compress(content, ZSTD_LEVEL).ok()
}
