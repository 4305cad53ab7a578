//! Compressing what is in memory.

use std::io::Write;

use libdeflater::{CompressionLvl, Compressor};

use crate::Coding;

/// Up to this size there is time for a good result; beyond it the levels are lower, so that one file does not hold a thread for
/// long.
const SMALL: usize = 128 << 10;

/// Compresses all of it, at a level that suits the size, or gives `None` where the result would not be smaller by at least a
/// twentieth: decoding it costs the client more than that then.
///
/// Costs a few milliseconds per 100 KiB, and memory of about the content's size besides some hundred KiB of tables.
pub fn compress(coding: Coding, content: &[u8]) -> Option<Vec<u8>> {
    let worth_it = content.len() - content.len() / 20;
    let compressed = match coding {
        Coding::Gzip => gzip(content, worth_it),
        Coding::Brotli => brotli(content),
        Coding::Zstd => zstd(content),
    }?;
    (compressed.len() < worth_it).then_some(compressed)
}

/// libdeflate takes the whole content at once, which is what makes it twice as fast as zlib for the same size.
fn gzip(content: &[u8], room: usize) -> Option<Vec<u8>> {
    let level = if content.len() <= SMALL { 6 } else { 4 };
    let mut compressor = Compressor::new(CompressionLvl::new(level).unwrap_or_default());
    let mut out = vec![0; room];
    let len = compressor.gzip_compress(content, &mut out).ok()?;
    out.truncate(len);
    Some(out)
}

fn brotli(content: &[u8]) -> Option<Vec<u8>> {
    let quality = if content.len() <= SMALL { 5 } else { 4 };
    // The window is no larger than the content needs: its size in memory follows from it.
    let window = content.len().max(1).next_power_of_two().trailing_zeros().clamp(16, 22);
    let mut writer = ::brotli::CompressorWriter::new(Vec::with_capacity(content.len() / 3), 4 << 10, quality, window);
    writer.write_all(content).ok()?;
    Some(writer.into_inner())
}

fn zstd(content: &[u8]) -> Option<Vec<u8>> {
    let level = if content.len() <= SMALL { 6 } else { 3 };
    ::zstd::bulk::compress(content, level).ok()
}
