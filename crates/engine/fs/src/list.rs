//! What is in a directory.

use std::collections::BinaryHeap;

use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{Dir, FileType};

use crate::error::Error;
use crate::meta::{Kind, Meta};
use crate::root::{Reach, Root};

/// What a directory holds.
#[derive(Debug)]
pub struct Listed {
    /// The names, in the order that [`Root::list`] cuts by.
    pub entries: Vec<Listing>,
    /// How many more there are; `None` where there are more than were read, so that nobody knows.
    pub left_out: Option<usize>,
}

/// A name in a directory.
#[derive(Debug)]
pub struct Listing {
    /// The name, without slash.
    pub name: Box<[u8]>,
    /// What it leads to: of a link, what the link leads to.
    pub meta: Meta,
}

/// How much of a directory is listed.
#[derive(Clone, Copy, Debug)]
pub struct ListLimits {
    /// Names that are given back, the first in order. The memory that listing takes is bounded by them.
    pub entries: usize,
    /// Names that are read; the order holds among these only. The time that listing takes is bounded by them.
    pub names: usize,
}

/// A name among the first; what was asked about it already. Orders by its place in the list.
struct Kept {
    key: (bool, Box<[u8]>, Box<[u8]>),
    meta: Option<Meta>,
}

impl Root {
    /// What is in the directory at `path`, with what each name leads to: files and directories that can be reached. Directories
    /// come first, then names without regard to the case of ASCII letters; of more than `limits` the first in this order.
    ///
    /// Names for which `wanted` is false, pipes, devices, sockets and links that lead nowhere are left out. Blocks, with up to two
    /// system calls for each name given back and for each link: for a thread that may wait.
    pub fn list(&self, path: &[u8], limits: ListLimits, wanted: impl Fn(&[u8]) -> bool) -> Result<Listed, Error> {
        let dir = self.open_directory(path)?;
        let mut first = BinaryHeap::new();
        let mut left_out = Some(0);
        let mut read = 0;
        for entry in Dir::read_from(&dir)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            if read == limits.names {
                left_out = None;
                break;
            }
            read += 1;
            if !wanted(name) {
                continue;
            }
            let (is_directory, meta) = match entry.file_type() {
                FileType::Directory => (true, None),
                FileType::RegularFile => (false, None),
                // What it leads to decides on its place.
                FileType::Symlink | FileType::Unknown => match self.look_at_entry(dir.as_fd(), path, name) {
                    Some(meta) => (meta.kind == Kind::Directory, Some(meta)),
                    None => continue,
                },
                _ => continue,
            };
            first.push(Kept { key: (!is_directory, name.to_ascii_lowercase().into(), name.into()), meta });
            if first.len() > limits.entries {
                first.pop();
                left_out = left_out.map(|n| n + 1);
            }
        }
        let entry = |Kept { key: (_, _, name), meta }| {
            let meta = meta.or_else(|| self.look_at_entry(dir.as_fd(), path, &name))?;
            Some(Listing { name, meta })
        };
        Ok(Listed { entries: first.into_sorted_vec().into_iter().filter_map(entry).collect(), left_out })
    }

    /// What a name in a directory leads to; `None` where it is nothing that can be served.
    fn look_at_entry(&self, dir: BorrowedFd<'_>, path: &[u8], name: &[u8]) -> Option<Meta> {
        let meta = Meta::of_name(dir, name).ok()?;
        let meta = match meta.kind {
            // From the root, since the link may lead up to it.
            Kind::Link if path.is_empty() => self.stat(name, Reach::Disk).ok()?,
            Kind::Link => self.stat(&[path, b"/", name].concat(), Reach::Disk).ok()?,
            _ => meta,
        };
        matches!(meta.kind, Kind::File | Kind::Directory).then_some(meta)
    }
}

impl Ord for Kept {
    fn cmp(&self, other: &Kept) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

impl PartialOrd for Kept {
    fn partial_cmp(&self, other: &Kept) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Kept {
    fn eq(&self, other: &Kept) -> bool {
        self.key == other.key
    }
}

impl Eq for Kept {}
