//! Looking up a path without the kernel's help: one component after the other, following no link.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, statat};
use rustix::io::{Errno, retry_on_intr};

use crate::error::Error;
use crate::meta::{Kind, Meta};
use crate::root::{LOOK, READ};

/// The longest path the kernel takes in one call, without the NUL; the walk is bounded by the same.
const PATH_MAX: usize = 4095;

/// Where a walk ended.
pub(crate) struct Place<'p> {
    /// The directory that holds it; `None` for the root.
    parent: Option<OwnedFd>,
    /// Its name there.
    name: &'p [u8],
    /// What was there when it was looked at, open as a mere name; `None` for the root.
    pub(crate) found: Option<OwnedFd>,
    /// What is known about that; never a link.
    pub(crate) meta: Meta,
}

impl Place<'_> {
    /// Opens it for reading. Whoever calls has seen in `meta` that it is a regular file and looks again afterwards.
    pub(crate) fn open_for_reading(&self, root: BorrowedFd<'_>) -> Result<OwnedFd, Error> {
        let dir = self.parent.as_ref().map_or(root, |d| d.as_fd());
        Ok(open_at(dir, self.name, READ)?)
    }

    /// Opens the directory for listing.
    pub(crate) fn open_directory(&self, root: BorrowedFd<'_>) -> Result<OwnedFd, Error> {
        let dir = self.parent.as_ref().map_or(root, |d| d.as_fd());
        Ok(open_at(dir, self.name, READ | OFlags::DIRECTORY)?)
    }
}

/// Walks `path` from `root`. Blocks; costs two calls a component.
pub(crate) fn locate<'p>(root: BorrowedFd<'_>, path: &'p [u8]) -> Result<Place<'p>, Error> {
    if path.starts_with(b"/") {
        return Err(Error::Outside);
    }
    if path.len() > PATH_MAX {
        return Err(Error::Invalid);
    }
    let mut parent: Option<OwnedFd> = None;
    let mut last: Option<&[u8]> = None;
    for part in path.split(|b| *b == b'/') {
        match part {
            b"" | b"." => continue,
            b".." => return Err(Error::Outside),
            _ => {}
        }
        if let Some(name) = last.replace(part) {
            parent = Some(enter(parent.as_ref().map_or(root, |d| d.as_fd()), name)?);
        }
    }
    let Some(name) = last else {
        return Ok(Place { parent: None, name: b".", found: None, meta: Meta::of(root)? });
    };
    let found = open_at(parent.as_ref().map_or(root, |d| d.as_fd()), name, LOOK)?;
    let meta = Meta::of(&found)?;
    let asks_for_directory = path.ends_with(b"/") || path.ends_with(b"/.");
    match meta.kind {
        Kind::Link => Err(Error::Outside),
        Kind::File | Kind::Other if asks_for_directory => Err(Error::NotFound),
        _ => Ok(Place { parent, name, found: Some(found), meta }),
    }
}

fn enter(dir: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Error> {
    match open_at(dir, name, LOOK | OFlags::DIRECTORY) {
        // A link is "no directory" here. To say that it is a link costs one more call, on failures only.
        Err(Errno::NOTDIR | Errno::LOOP) if is_link(dir, name) => Err(Error::Outside),
        other => Ok(other?),
    }
}

fn is_link(dir: BorrowedFd<'_>, name: &[u8]) -> bool {
    statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
}

fn open_at(dir: BorrowedFd<'_>, name: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    retry_on_intr(|| openat(dir, name, flags | OFlags::NOFOLLOW, Mode::empty()))
}
