//! Paths, from what a client sends to what is opened: nothing outside of the root, nothing hidden, no pipe.
#![no_main]

use std::io::Read;
use std::os::unix::fs::symlink;
use std::sync::LazyLock;

use fs::{Opened, Reach, Root};
use libfuzzer_sys::fuzz_target;
use router::{Normalised, Scratch, normalise};
use static_files_fuzz::path::relative;
use tempfile::TempDir;

struct Site {
    _folder: TempDir,
    roots: [Root; 2],
}

/// A root with links that lead out, beside a secret; in both ways that the kernel and we keep paths beneath it.
static SITE: LazyLock<Site> = LazyLock::new(|| {
    let folder = TempDir::new().expect("a folder");
    let root = folder.path().join("site");
    std::fs::create_dir_all(root.join("a/b")).expect("a folder");
    std::fs::create_dir_all(root.join(".git")).expect("a folder");
    for (name, text) in [("a/b/c", "public"), ("x", "public"), (".git/k", "hidden"), ("../s", "secret")] {
        std::fs::write(root.join(name), text).expect("a file");
    }
    for (to, name) in
        [("../s", "l"), ("..", "u"), ("/", "r"), ("a/b", "i"), ("../../..", "a/o"), ("/proc/self/root", "m")]
    {
        symlink(to, root.join(name)).expect("a link");
    }
    let roots = [Root::open(&root).expect("a root"), Root::open_without_links(&root).expect("a root")];
    Site { _folder: folder, roots }
});

fuzz_target!(|bytes: &[u8]| {
    let sent = [b"/", bytes].concat();
    let mut scratch = Scratch::new();
    let path = match normalise(&sent, &mut scratch) {
        Ok(Normalised::AsSent(path)) => path.to_vec(),
        Ok(Normalised::Rewritten(path)) => path.to_vec(),
        // Refused: but what would follow must hold by itself.
        Err(_) => sent.clone(),
    };
    for hidden in [false, true] {
        let Some(name) = relative(&path, hidden) else { continue };
        assert!(!name.bytes.contains(&0) && !name.bytes.starts_with(b"/"));
        for part in name.bytes.split(|b| *b == b'/') {
            assert!(part != b"." && part != b"..");
        }
        for root in &SITE.roots {
            let Ok(Opened::File { file, .. }) = root.open_file(&name.bytes, Reach::Disk) else { continue };
            let mut text = String::new();
            file.take(100).read_to_string(&mut text).expect("our own text");
            assert!(text == "public" || (hidden && text == "hidden"), "{text} at {:?}", name.bytes);
        }
    }
});
