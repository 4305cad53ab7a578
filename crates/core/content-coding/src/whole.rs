//! Compressing what is in memory.

use std::cell::RefCell;
use std::io::Write;

use libdeflater::{CompressionLvl, Compressor};

use crate::Coding;

/// libdeflate's level: of 50 KiB of JSON it makes a tenth less than zlib at level 1, in a little more than half of its time. Level 3 takes
/// nearly twice as long for a tenth less, level 6 three times for a quarter less.
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

/// What each thread that compresses keeps: the tables are some hundred KiB, which the allocator would fetch from the system and give
/// back each time.
struct Gzip {
    compressor: Compressor,
    /// Room for what comes out.
    out: Vec<u8>,
}

/// So much room is kept.
const ROOM_MAX: usize = 64 << 10;

thread_local! {
    static GZIP: RefCell<Gzip> = RefCell::new(Gzip {
        compressor: Compressor::new(CompressionLvl::new(GZIP_LEVEL).unwrap_or_default()),
        out: Vec::new(),
    });
}

/// libdeflate takes the whole content at once, which is what makes it twice as fast as zlib for the same size.
fn gzip(content: &[u8], room: usize) -> Option<Vec<u8>> {
    GZIP.with_borrow_mut(|Gzip { compressor, out }| {
        out.resize(room.max(out.len()), 0);
        let made = compressor.gzip_compress(content, &mut out[..room]).ok().map(|len| out[..len].to_vec());
        out.truncate(ROOM_MAX);
        out.shrink_to(ROOM_MAX);
        made
    })
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
