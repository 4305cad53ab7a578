//! Reading what is in memory already.

use std::io::{self, IoSliceMut};

use rustix::fd::AsFd;
use rustix::io::{Errno, ReadWriteFlags, preadv2, retry_on_intr};

/// Reads at `offset` what the page cache holds, and never waits for a disk. The position of the file is not used.
///
/// Gives how many bytes were read: fewer than asked for at the end of the file or where the next page is not in memory, 0
/// only at the end. [`io::ErrorKind::WouldBlock`] when nothing can be read at once, which is also the answer where the
/// file system cannot tell (FUSE, many network file systems): read on a thread that may wait then.
pub fn read_resident(file: impl AsFd, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    let file = file.as_fd();
    // To the kernel -1 means "the file's own position"; no file reaches so far.
    if offset > i64::MAX as u64 {
        return Ok(0);
    }
    let read = || preadv2(file, &mut [IoSliceMut::new(buf)], offset, ReadWriteFlags::NOWAIT);
    match retry_on_intr(read) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Err(Errno::AGAIN.into()),
        other => Ok(other?),
    }
}
