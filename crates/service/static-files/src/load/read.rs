//! Reading a file.

use std::fs::File;
use std::os::unix::fs::FileExt;

use fs::{Error, Meta, Reach};

/// A file that keeps changing while it is read is served from its descriptor after so many tries.
const READ_TRIES: usize = 3;

/// What came of reading a file.
pub(super) struct Read {
    pub(super) meta: Meta,
    /// All of it; `None` where it is to be sent from its descriptor.
    pub(super) content: Option<Box<[u8]>>,
    pub(super) settled: bool,
    pub(super) cacheable: bool,
}

/// Reads a small file whole, so that the bytes are those of one moment; leaves a larger one to be sent from its descriptor.
pub(super) fn load(
    file: &File,
    mut meta: Meta,
    content_max: u64,
    reach: Reach,
    mut look_again: impl FnMut(&File) -> Result<Meta, Error>,
) -> Result<Read, Error> {
    let mut cacheable = true;
    for _ in 0..READ_TRIES {
        if meta.size > content_max {
            break;
        }
        // Asked before the reading: what was settled before it is still the same file if `meta` is the same after it.
        let settled = meta.is_settled();
        let content = read_whole(file, meta.size as usize, reach)?;
        let after = look_again(file)?;
        if content.is_some() && after == meta {
            return Ok(Read { meta, content, settled, cacheable: true });
        }
        cacheable = false;
        meta = after;
    }
    let settled = meta.is_settled();
    let cacheable = cacheable || meta.size > content_max;
    Ok(Read { meta, content: None, settled, cacheable })
}

/// The first `size` bytes; `None` when the file ends before.
fn read_whole(file: &File, size: usize, reach: Reach) -> Result<Option<Box<[u8]>>, Error> {
    let mut bytes = vec![0; size];
    let mut len = 0;
    while len < size {
        let room = &mut bytes[len..];
        let read = match reach {
            Reach::Cached => fs::read_resident(file, room, len as u64),
            Reach::Disk => file.read_at(room, len as u64),
        };
        match read {
            Ok(0) => return Ok(None),
            Ok(n) => len += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock && reach == Reach::Cached => {
                return Err(Error::WouldBlock);
            }
            Err(e) => return Err(e.into()),
        }
    }
    Ok(Some(bytes.into()))
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "the tests prepare files")]
mod tests {
    use std::io::Write;

    use super::*;

    const MAX: u64 = 100;

    fn file(content: &str) -> (File, Meta) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content.as_bytes()).unwrap();
        let meta = Meta::of(&file).unwrap();
        (file, meta)
    }

    fn text(read: &Read) -> Option<&str> {
        read.content.as_deref().map(|bytes| std::str::from_utf8(bytes).unwrap())
    }

    #[test]
    fn small_files_are_read_and_large_ones_are_not() {
        let (small, meta) = file(&"x".repeat(100));
        let read = load(&small, meta, MAX, Reach::Disk, |f| Meta::of(f)).unwrap();
        assert_eq!((read.meta, read.cacheable), (meta, true));
        assert_eq!(text(&read), Some(&*"x".repeat(100)));
        let (large, meta) = file(&"x".repeat(101));
        let read = load(&large, meta, MAX, Reach::Disk, |_| panic!("nothing was read")).unwrap();
        assert_eq!((read.meta, read.cacheable, text(&read)), (meta, true, None));
    }

    #[test]
    fn what_changed_while_it_was_read_is_read_again() {
        let (changed, meta) = file("changed");
        for size in [3, 7, 50] {
            let before = Meta { size, inode: meta.inode + 1, ..meta };
            let read = load(&changed, before, MAX, Reach::Disk, |f| Meta::of(f)).unwrap();
            assert_eq!((read.meta, read.cacheable), (meta, true));
            assert_eq!(text(&read), Some("changed"));
        }
    }

    #[test]
    fn what_keeps_changing_is_sent_and_not_kept() {
        let (changing, meta) = file("changing");
        let mut looks = 0;
        let look = |f: &File| {
            looks += 1;
            Meta::of(f).map(|m| Meta { inode: m.inode + looks, ..m })
        };
        let read = load(&changing, meta, MAX, Reach::Disk, look).unwrap();
        assert_eq!((read.cacheable, text(&read)), (false, None));
        assert_eq!((looks, read.meta.inode), (READ_TRIES as u64, meta.inode + looks));
    }

    #[test]
    fn what_grew_too_large_meanwhile_is_sent_from_its_descriptor() {
        let (grown, meta) = file(&"x".repeat(200));
        let before = Meta { size: 10, ..meta };
        let read = load(&grown, before, MAX, Reach::Disk, |f| Meta::of(f)).unwrap();
        assert_eq!((read.meta, read.cacheable, text(&read)), (meta, true, None));
    }
}
