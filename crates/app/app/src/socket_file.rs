//! The file of a Unix socket: removed when its listener goes, but only while it is the one that was made here.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The file of a socket that this process has bound. Dropped, it removes the file, unless somebody has put another one in its
/// place since.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    identity: Identity,
}

/// Which file it is. A number may be given again once its file is gone; the time it was made tells then, where the file
/// system knows it.
#[derive(Debug, PartialEq)]
struct Identity {
    device: u64,
    number: u64,
    made: Option<SystemTime>,
}

impl SocketFile {
    /// The file at `path`, which has just been made by binding a socket. `None` when it is gone already.
    pub(crate) fn just_bound(path: &Path) -> Option<SocketFile> {
        Some(SocketFile { path: path.to_owned(), identity: Identity::of(path)? })
    }

    /// Whether `path` leads to this file, however it is written.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        Identity::of(path).is_some_and(|identity| identity == self.identity)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.is_at(&self.path) {
            // Without the right to remove it, it stays; the next start replaces a file that nobody listens on.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Identity {
    fn of(path: &Path) -> Option<Identity> {
        let metadata: Metadata = fs::symlink_metadata(path).ok()?;
        Some(Identity { device: metadata.dev(), number: metadata.ino(), made: metadata.created().ok() })
    }
}
