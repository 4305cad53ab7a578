//! Reading files that are sent over TLS, without ever waiting for a disk.

use std::io::{self, IoSliceMut};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use buf::{Buf, Class, FileRange, Shared};
use rustix::io::{Errno, ReadWriteFlags};

/// The beginning of a range.
pub(crate) enum Piece {
    /// Its bytes; at least one.
    Bytes(Shared),
    /// It is not in memory.
    Cold,
}

/// Reads at most `most` bytes of the range (up to 64 KiB) into a leased buffer. With `check`, what is not in the page cache
/// is not waited for.
///
/// # Errors
/// `UnexpectedEof` when the file has become shorter than the range, and the system's.
pub(crate) fn read(range: &FileRange, check: bool, most: usize) -> io::Result<Piece> {
    let want = most.min(Class::K64.bytes()).min(usize::try_from(range.len).unwrap_or(most));
    let mut buf = Buf::lease(Class::for_bytes(want));
    let bytes = &mut buf.as_mut()[..want];
    let resident = rustix::io::retry_on_intr(|| {
        let slices = &mut [IoSliceMut::new(bytes)];
        rustix::io::preadv2(range.file.as_fd(), slices, range.offset, ReadWriteFlags::NOWAIT)
    });
    let n = match resident {
        Err(Errno::AGAIN) if check => return Ok(Piece::Cold),
        // Asked not to check, or a file system that cannot tell.
        Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS) => range.file.read_at(bytes, range.offset)?,
        other => other?,
    };
    match n {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        n => Ok(Piece::Bytes(buf.freeze(n))),
    }
}
