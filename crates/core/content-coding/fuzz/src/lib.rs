//! What the target fuzzes: our DEFLATE compressor, by its source. The crate itself would bring the other compressors into the
//! instrumented build.
#![allow(dead_code, unreachable_pub, missing_docs)]

#[path = "../../src/deflate/mod.rs"]
mod deflate;

/// The most that is compressed.
pub const CONTENT_MAX: usize = deflate::CONTENT_MAX;

/// Compresses `content`, if it and eight bytes fit `out`, and gives the length.
pub fn compress(content: &[u8], out: &mut [u8]) -> Option<usize> {
    deflate::deflate(&mut deflate::Parser::new(), content, out)
}
