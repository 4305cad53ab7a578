//! Reading the files that a configuration names.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// Certificates are some kilobytes; the bundle of all authorities of the web has 200.
const MOST: u64 = 8 << 20;

/// The content of a regular file of up to 8 MiB. Nothing else is opened: whoever opened a pipe would wait for its other end, and with it
/// everything that waits for a reload.
///
/// # Errors
/// Why not, as the end of a sentence: "no such file".
pub fn read_small_file(path: &Path) -> Result<Vec<u8>, String> {
    let said = |e: io::Error| match e.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "this user may not read it".to_owned(),
        _ => e.to_string(),
    };
    let meta = fs::metadata(path).map_err(said)?;
    if meta.is_dir() {
        return Err("it is a folder".to_owned());
    }
    if !meta.is_file() {
        return Err("it is no regular file".to_owned());
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MOST + 1).read_to_end(&mut bytes)).map_err(said)?;
    if bytes.len() as u64 > MOST {
        return Err("it is larger than 8 MiB".to_owned());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        let why = |path: &Path| read_small_file(path).unwrap_err();
        assert_eq!(why(&file), "no such file");
        assert_eq!(why(folder.path()), "it is a folder");
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert_eq!(why(&pipe), "it is no regular file");
        assert_eq!(why(Path::new("/dev/zero")), "it is no regular file");
        fs::write(&file, vec![7; MOST as usize]).unwrap();
        assert_eq!(read_small_file(&file).map(|bytes| bytes.len()), Ok(8 << 20));
        fs::write(&file, vec![7; MOST as usize + 1]).unwrap();
        assert_eq!(why(&file), "it is larger than 8 MiB");
    }
}
