//! What is known about a file.

use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fd::AsFd;
use rustix::fs::{AtFlags, FileType, Stat, statat};

use crate::error::Error;

/// Kernels stamp files with a clock that moves every 1 to 10 ms, so two changes closer together than that
/// can carry one stamp. Ten times that is safe even on a loaded machine.
const STAMP_STEP_NANOS: i128 = 100_000_000;

/// What kind of thing a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link; seen only where links are not followed.
    Link,
    /// A pipe, a device or a socket: never opened for reading.
    Other,
}

/// A time of the file system's: seconds since 1970 (before it: negative) and nanoseconds within the second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// Whole seconds since 1970.
    pub secs: i64,
    /// Nanoseconds within the second.
    pub nanos: u32,
}

impl Stamp {
    fn total_nanos(self) -> i128 {
        i128::from(self.secs) * 1_000_000_000 + i128::from(self.nanos)
    }
}

/// What is known about a file. Equal values mean the same file, unchanged (see [`Meta::is_settled`] for the exception).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// File, directory or neither.
    pub kind: Kind,
    /// The size in bytes.
    pub size: u64,
    /// When the content was last modified (`mtime`); whoever owns the file can set it back.
    pub modified: Stamp,
    /// When anything about the file was last changed (`ctime`); nobody can set it back.
    pub changed: Stamp,
    /// The file system.
    pub device: u64,
    /// The file within its file system.
    pub inode: u64,
}

impl Meta {
    /// What is known about an open file. One system call that needs no disk on local file systems.
    pub fn of(file: impl AsFd) -> Result<Meta, Error> {
        Ok(Meta::from_stat(&rustix::fs::fstat(file)?))
    }

    /// The same, and how many names it has.
    pub(crate) fn and_names_of(file: impl AsFd) -> Result<(Meta, u64), Error> {
        let stat = rustix::fs::fstat(file)?;
        Ok((Meta::from_stat(&stat), stat.st_nlink as u64))
    }

    /// What is known about a name in a directory; a link is not followed.
    pub(crate) fn of_name(dir: impl AsFd, name: &[u8]) -> Result<Meta, Error> {
        Ok(Meta::from_stat(&statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?))
    }

    fn from_stat(stat: &Stat) -> Meta {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Link,
            _ => Kind::Other,
        };
        Meta {
            kind,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            modified: Stamp { secs: stat.st_mtime, nanos: stat.st_mtime_nsec as u32 },
            changed: Stamp { secs: stat.st_ctime, nanos: stat.st_ctime_nsec as u32 },
            device: stat.st_dev,
            inode: stat.st_ino,
        }
    }

    /// Whether the last change is old enough that another one would have shown in the stamps. Content read while
    /// this is false may differ from what the file holds a moment later under an equal `Meta`. Reads the clock.
    pub fn is_settled(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as i128);
        now - self.changed.total_nanos() >= STAMP_STEP_NANOS
    }
}
