//! Reading the files that a configuration names.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::files::reason;

/// Certificates are some kilobytes; the bundle of all authorities of the web has 200.
const MOST: u64 = 8 << 20;

/// [`read_regular_file`] for what is no larger than 8 MiB.
///
/// # Errors
/// As there.
pub fn read_small_file(path: &Path) -> Result<Vec<u8>, String> {
    read_regular_file(path, MOST)
}

/// The content of a regular file of at most `most` bytes. Whoever reads a pipe waits for its other end, and with it everything that waits
/// for a reload: so nothing is waited for in opening it, and what was opened is what is looked at. Links are followed, since renewed
/// certificates and mounted secrets are links.
///
/// # Errors
/// Why not, as the end of a sentence: "no such file".
pub fn read_regular_file(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    const NO_FILE: &str = "it is no regular file";
    let said = |e: io::Error| match e.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "this user may not read it".to_owned(),
        // A socket, or a device that nothing is behind.
        _ if Errno::from_io_error(&e) == Some(Errno::NXIO) => NO_FILE.to_owned(),
        _ => reason(e),
    };
    // A terminal that is opened is not to become ours.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags as i32).open(path).map_err(said)?;
    let meta = file.metadata().map_err(said)?;
    if meta.is_dir() {
        return Err("it is a folder".to_owned());
    }
    if !meta.is_file() {
        return Err(NO_FILE.to_owned());
    }
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(said)?;
    if bytes.len() as u64 > most {
        return Err(format!("it is larger than {} MiB", most >> 20));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::net::UnixListener;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;

    fn make_pipe(path: &Path) {
        assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        let why = |path: &Path| read_small_file(path).unwrap_err();
        assert_eq!(why(&file), "no such file");
        assert_eq!(why(folder.path()), "it is a folder");
        let pipe = folder.path().join("pipe");
        make_pipe(&pipe);
        assert_eq!(why(&pipe), "it is no regular file");
        assert_eq!(why(Path::new("/dev/zero")), "it is no regular file");
        let socket = folder.path().join("socket");
        let _listener = UnixListener::bind(&socket).unwrap();
        assert_eq!(why(&socket), "it is no regular file");
        fs::write(&file, vec![7; MOST as usize]).unwrap();
        assert_eq!(read_small_file(&file).map(|bytes| bytes.len()), Ok(8 << 20));
        fs::write(&file, vec![7; MOST as usize + 1]).unwrap();
        assert_eq!(why(&file), "it is larger than 8 MiB");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(read_regular_file(&link, 9 << 20).map(|bytes| bytes.len()), Ok((8 << 20) + 1));
    }

    /// Between a look and an opening a pipe could come into its place.
    #[test]
    fn a_file_that_turns_into_a_pipe_and_back_is_one_or_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "content").unwrap();
        make_pipe(&at("pipe"));
        fs::copy(at("file"), at("target")).unwrap();
        let (ended, reads) = (AtomicBool::new(false), mpsc::channel());
        thread::scope(|scope| {
            scope.spawn(|| {
                for name in ["pipe", "file"].into_iter().cycle() {
                    fs::hard_link(at(name), at("next")).unwrap();
                    fs::rename(at("next"), at("target")).unwrap();
                    if ended.load(Relaxed) {
                        return;
                    }
                }
            });
            // Not of the scope: who waits for a pipe is left behind.
            let target = at("target");
            thread::spawn(move || {
                // Long enough for a wait of the other kind to come about nearly always.
                let read: Vec<_> = (0..50_000).map(|_| read_small_file(&target)).collect();
                let _ = reads.0.send(read);
            });
            let read = reads.1.recv_timeout(Duration::from_secs(30));
            ended.store(true, Relaxed);
            let no_file = Err("it is no regular file".to_owned());
            let read = read.expect("no read waits");
            assert!(read.iter().all(|read| *read == Ok(b"content".to_vec()) || *read == no_file), "{read:?}");
        });
    }
}
