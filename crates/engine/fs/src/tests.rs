//! Both modes over one tree: `site/` is the root, `secret` lies beside it.

use std::fs;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use rustix::fs::{CWD, FileType, Mode as Permissions, makedev, mknodat};
use rustix::io::Errno;
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use tempfile::TempDir;

use super::*;

struct Tree {
    dir: TempDir,
}

impl Tree {
    fn new() -> Tree {
        let tree = Tree { dir: TempDir::new().unwrap() };
        fs::create_dir_all(tree.at("sub/deep")).unwrap();
        fs::write(tree.at("page.html"), "hello").unwrap();
        fs::write(tree.at("sub/deep/leaf"), "leaf").unwrap();
        fs::write(tree.dir.path().join("secret"), "secret").unwrap();
        tree
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join("site").join(path)
    }

    /// The root in every mode this kernel has, and the forced fallback.
    fn roots(&self) -> [Root; 2] {
        let site = self.at("");
        let roots = [Root::open(&site).unwrap(), Root::open_without_links(&site).unwrap()];
        assert_eq!(roots[1].mode(), Mode::NoLinks);
        roots
    }
}

fn read(root: &Root, path: &str) -> Result<String, Error> {
    match root.open_file(path.as_bytes(), Reach::Disk)? {
        Opened::File { mut file, meta, .. } => {
            let mut text = String::new();
            file.read_to_string(&mut text).unwrap();
            assert_eq!((meta.size, meta.kind), (text.len() as u64, Kind::File));
            assert_eq!(meta, root.stat(path.as_bytes(), Reach::Disk).unwrap());
            Ok(text)
        }
        Opened::Directory(meta) => {
            assert_eq!(meta.kind, Kind::Directory);
            Ok(String::from("<directory>"))
        }
    }
}

#[test]
fn files_and_directories_are_found() {
    let tree = Tree::new();
    for root in tree.roots() {
        assert_eq!(read(&root, "page.html").unwrap(), "hello");
        assert_eq!(read(&root, "sub/deep/leaf").unwrap(), "leaf");
        assert_eq!(read(&root, "sub//deep/./leaf").unwrap(), "leaf");
        for dir in ["", ".", "sub", "sub/", "sub/deep/."] {
            assert_eq!(read(&root, dir).unwrap(), "<directory>", "{dir} {:?}", root.mode());
        }
        for absent in ["absent", "sub/absent", "absent/x", "page.html/", "page.html/x", "page.html/."] {
            assert!(matches!(read(&root, absent), Err(Error::NotFound)), "{absent} {:?}", root.mode());
        }
        let long = "a/".repeat(3000);
        for invalid in ["a\0b", &"n".repeat(300), &long] {
            assert!(matches!(read(&root, invalid), Err(Error::Invalid)), "{:?}", root.mode());
        }
    }
}

#[test]
fn nothing_outside_is_reached() {
    let tree = Tree::new();
    let secret = tree.dir.path().join("secret");
    symlink(&secret, tree.at("absolute")).unwrap();
    symlink("../secret", tree.at("relative")).unwrap();
    symlink("../..", tree.at("sub/up")).unwrap();
    symlink("/", tree.at("all")).unwrap();
    symlink("circle", tree.at("circle")).unwrap();
    symlink("/proc/self/root", tree.at("magic")).unwrap();
    let attempts = [
        "../secret",
        "sub/../../secret",
        "..",
        "sub/../..",
        secret.to_str().unwrap(),
        "/etc/passwd",
        "//etc/passwd",
        "absolute",
        "relative",
        "sub/up/secret",
        "all/etc/passwd",
        "circle",
        "magic/etc/passwd",
    ];
    for root in tree.roots() {
        for path in attempts {
            let got = read(&root, path);
            assert!(matches!(got, Err(Error::Outside)), "{path} {:?}: {got:?}", root.mode());
            let seen = root.stat(path.as_bytes(), Reach::Disk);
            assert!(matches!(seen, Err(Error::Outside)), "{path} {:?}: {seen:?}", root.mode());
        }
    }
}

#[test]
fn links_that_stay_beneath_are_followed_by_the_kernel_and_refused_by_the_walk() {
    let tree = Tree::new();
    symlink("page.html", tree.at("inner")).unwrap();
    symlink("../page.html", tree.at("sub/over")).unwrap();
    symlink("deep", tree.at("sub/dirlink")).unwrap();
    let [kernel, walk] = tree.roots();
    for (path, text) in [("inner", "hello"), ("sub/over", "hello"), ("sub/dirlink/leaf", "leaf")] {
        if kernel.mode() == Mode::Beneath {
            assert_eq!(read(&kernel, path).unwrap(), text);
        }
        assert!(matches!(read(&walk, path), Err(Error::Outside)), "{path}");
    }
    // Dots within the tree never come from the router; the kernel allows them, the walk does not.
    assert!(matches!(read(&walk, "sub/../page.html"), Err(Error::Outside)));
}

#[test]
fn links_are_refused_or_followed_as_told() {
    let tree = Tree::new();
    symlink("page.html", tree.at("inner")).unwrap();
    symlink(tree.dir.path().join("secret"), tree.at("outer")).unwrap();
    let [kernel, _] = tree.roots();
    let refuse = Root::open_with(tree.at(""), Links::Refuse).unwrap();
    let follow = Root::open_with(tree.at(""), Links::Follow).unwrap();
    for name in ["inner", "outer"] {
        assert!(matches!(read(&refuse, name), Err(Error::Outside)), "{name}");
    }
    assert_eq!(read(&refuse, "page.html").unwrap(), "hello");
    if kernel.mode() == Mode::NoLinks {
        return;
    }
    assert_eq!(read(&follow, "inner").unwrap(), "hello");
    assert_eq!(read(&follow, "outer").unwrap(), "secret");
    assert_eq!(follow.stat(b"outer", Reach::Disk).unwrap().size, 6);
    for path in ["../secret", "sub/../../secret", "/etc/passwd", ".."] {
        assert!(matches!(read(&follow, path), Err(Error::Outside)), "{path}");
    }
}

#[test]
fn directories_are_listed_with_what_their_names_lead_to() {
    let tree = Tree::new();
    symlink("page.html", tree.at("link")).unwrap();
    symlink("../secret", tree.at("out")).unwrap();
    symlink("nowhere", tree.at("broken")).unwrap();
    fs::write(tree.at(".hidden"), "x").unwrap();
    mknodat(CWD, tree.at("fifo"), FileType::Fifo, Permissions::RUSR, 0).unwrap();
    let names = |root: &Root, path: &str, max: usize| {
        let limits = ListLimits { entries: max, names: 1000 };
        let listed = root.list(path.as_bytes(), limits, |name| !name.starts_with(b".")).unwrap();
        let mut names: Vec<_> = listed
            .entries
            .iter()
            .map(|e| (String::from_utf8_lossy(&e.name).into_owned(), e.meta.kind, e.meta.size))
            .filter(|(_, kind, _)| *kind == Kind::File)
            .map(|(name, _, size)| (name, size))
            .collect();
        names.sort();
        (names, listed.entries.len(), listed.left_out == Some(0))
    };
    for root in tree.roots() {
        let (files, all, complete) = names(&root, "", 100);
        let links = root.mode() == Mode::Beneath;
        let want: &[_] =
            if links { &[("link".into(), 5), ("page.html".into(), 5)] } else { &[("page.html".into(), 5)] };
        assert_eq!((&*files, all, complete), (want, want.len() + 1, true), "{:?}", root.mode());
        assert_eq!(names(&root, "sub/deep", 100).0, [("leaf".into(), 4)]);
        assert_eq!(names(&root, "", 1).1, 1);
        assert!(!names(&root, "", 1).2);
        for (path, forbidden) in [("absent", false), ("page.html", false), ("..", true), ("/etc", true)] {
            let got = root.list(path.as_bytes(), ListLimits { entries: 10, names: 10 }, |_| true);
            assert!(matches!(got, Err(Error::Outside)) == forbidden && got.is_err(), "{path} {got:?}");
        }
    }
}

#[test]
fn of_a_large_directory_the_beginning_is_listed() {
    let tree = Tree::new();
    fs::create_dir(tree.at("large")).unwrap();
    for n in 0..300 {
        fs::write(tree.at(&format!("large/{}{n:03}", if n % 2 == 0 { 'f' } else { 'F' })), "x").unwrap();
    }
    fs::create_dir(tree.at("large/z")).unwrap();
    symlink("z", tree.at("large/y")).unwrap();
    for root in tree.roots() {
        let list = |entries, names| {
            let listed = root.list(b"large", ListLimits { entries, names }, |name| name != b"f000").unwrap();
            let names = listed.entries.into_iter().map(|e| String::from_utf8(e.name.into()).unwrap());
            (names.collect::<Vec<_>>(), listed.left_out)
        };
        // Without openat2 no link is followed.
        let links = root.mode() == Mode::Beneath;
        let mut want = vec!["z", "F001", "f002", "F003"];
        if links {
            want.insert(0, "y");
        }
        assert_eq!(list(want.len(), 1000), (want.iter().map(ToString::to_string).collect(), Some(296)));
        assert_eq!(list(1000, 1000).1, Some(0));
        let (some, left_out) = list(20, 100);
        assert_eq!((some.len(), left_out), (20, None));
    }
}

#[test]
#[allow(clippy::disallowed_methods, reason = "the test waits for the file system's clock")]
fn names_are_shown_whole_or_said_not_to_be() {
    for which in 0..2 {
        let tree = Tree::new();
        let root = &tree.roots()[which];
        assert_eq!(root.read_names(b"sub", 100, |_| {}).unwrap(), None, "it may change without a sign");
        while !root.stat(b"sub", Reach::Disk).unwrap().is_settled() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let mut names = Vec::new();
        let meta = root.read_names(b"sub", 3, |name| names.push(String::from_utf8(name.to_vec()).unwrap())).unwrap();
        names.sort();
        assert_eq!(names, [".", "..", "deep"]);
        assert_eq!(meta, Some(root.stat(b"sub", Reach::Disk).unwrap()));
        let mut count = 0;
        assert_eq!(root.read_names(b"sub", 2, |_| count += 1).unwrap(), None);
        assert_eq!(count, 2);
        assert!(matches!(root.read_names(b"gone", 3, |_| {}), Err(Error::NotFound)));
        assert!(root.read_names(b"page.html", 3, |_| {}).is_err());
        assert!(root.read_names(b"../site/sub", 3, |_| {}).is_err());
        fs::write(tree.at("sub/another"), "").unwrap();
        assert_ne!(meta, Some(root.stat(b"sub", Reach::Disk).unwrap()));
    }
}

#[test]
fn pipes_sockets_and_devices_are_refused_without_being_opened() {
    let tree = Tree::new();
    let fifo = Permissions::RUSR | Permissions::WUSR;
    mknodat(CWD, tree.at("fifo"), FileType::Fifo, fifo, 0).unwrap();
    let _socket = UnixListener::bind(tree.at("socket")).unwrap();
    let device = mknodat(CWD, tree.at("device"), FileType::CharacterDevice, fifo, makedev(1, 3));
    for root in tree.roots() {
        for name in ["fifo", "socket", "device"] {
            // Only a privileged run can make a device.
            if name == "device" && device == Err(Errno::PERM) {
                continue;
            }
            assert!(matches!(read(&root, name), Err(Error::NotAFile)), "{name} {:?}", root.mode());
            assert_eq!(root.stat(name.as_bytes(), Reach::Disk).unwrap().kind, Kind::Other);
        }
    }
    // A writer that does not wait fails as long as the pipe has had no reader.
    let flags = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::NONBLOCK;
    assert_eq!(rustix::fs::open(tree.at("fifo"), flags, Permissions::empty()).unwrap_err(), Errno::NXIO);
}

#[test]
fn permissions_are_the_kernels() {
    let tree = Tree::new();
    fs::create_dir(tree.at("shut")).unwrap();
    fs::write(tree.at("shut/file"), "x").unwrap();
    fs::write(tree.at("locked"), "x").unwrap();
    fs::set_permissions(tree.at("locked"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(tree.at("shut"), fs::Permissions::from_mode(0o000)).unwrap();
    let roots = tree.roots();
    // Root may read everything: this thread gives that up. Capabilities belong to a thread.
    let judged = std::thread::spawn(move || {
        let mut sets = capabilities(None).unwrap();
        let over = CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
        sets.effective.remove(over);
        set_capabilities(None, sets).unwrap();
        for root in roots {
            for path in ["locked", "shut/file"] {
                assert!(matches!(read(&root, path), Err(Error::Forbidden)), "{path} {:?}", root.mode());
            }
            assert_eq!(read(&root, "page.html").unwrap(), "hello");
        }
    });
    judged.join().unwrap();
    fs::set_permissions(tree.at("shut"), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_cached_look_up_answers_or_says_that_it_would_wait() {
    let tree = Tree::new();
    let [kernel, walk] = tree.roots();
    assert!(matches!(walk.stat(b"page.html", Reach::Cached), Err(Error::WouldBlock)));
    assert!(matches!(walk.open_file(b"page.html", Reach::Cached), Err(Error::WouldBlock)));
    assert!(matches!(walk.reopened(Reach::Cached), Err(Error::WouldBlock)));
    if kernel.mode() == Mode::NoLinks || !kernel.can_answer_cached() {
        return;
    }
    // Looked up a moment ago, so the names are in memory.
    let meta = kernel.stat(b"page.html", Reach::Disk).unwrap();
    assert_eq!(kernel.stat(b"page.html", Reach::Cached).unwrap(), meta);
    assert!(matches!(kernel.open_file(b"page.html", Reach::Cached), Ok(Opened::File { meta: m, .. }) if m == meta));
    // A name that nobody asked for is in no cache (some file systems know all their names all the same).
    let unknown = kernel.stat(b"sub/never-asked-for", Reach::Cached);
    assert!(matches!(unknown, Err(Error::WouldBlock | Error::NotFound)), "{unknown:?}");
}

#[test]
fn a_file_with_one_path_is_told_from_others() {
    let tree = Tree::new();
    symlink("page.html", tree.at("link.html")).unwrap();
    symlink("sub", tree.at("way")).unwrap();
    fs::write(tree.at("sub/plain"), "plain").unwrap();
    fs::write(tree.at("sub/twin"), "twin").unwrap();
    fs::hard_link(tree.at("sub/twin"), tree.at("sub/other")).unwrap();
    let [kernel, walk] = tree.roots();
    let outside = Root::open_with(tree.at(""), Links::Follow).unwrap();
    for root in [&kernel, &walk, &outside] {
        let has_one_path = |path: &str| match root.open_file(path.as_bytes(), Reach::Disk) {
            Ok(Opened::File { has_one_path, .. }) => Some(has_one_path),
            _ => None,
        };
        let through_links = if root.mode() == Mode::NoLinks { None } else { Some(false) };
        for (path, wanted) in [
            ("page.html", Some(true)),
            ("sub/plain", Some(true)),
            ("sub/twin", Some(false)),
            ("link.html", through_links),
            ("way/plain", through_links),
        ] {
            assert_eq!(has_one_path(path), wanted, "{path} {:?}", root.mode());
        }
    }
}

#[test]
fn a_change_shows_in_the_meta() {
    let tree = Tree::new();
    for root in tree.roots() {
        fs::write(tree.at("page.html"), "hello").unwrap();
        let before = root.stat(b"page.html", Reach::Disk).unwrap();
        assert!(!before.is_settled());
        fs::write(tree.at("new"), "other").unwrap();
        fs::rename(tree.at("new"), tree.at("page.html")).unwrap();
        let replaced = root.stat(b"page.html", Reach::Disk).unwrap();
        assert_ne!(replaced.inode, before.inode);
        fs::OpenOptions::new().write(true).open(tree.at("page.html")).unwrap().set_len(2).unwrap();
        assert_eq!(root.stat(b"page.html", Reach::Disk).unwrap().size, 2);
    }
    let old = Meta {
        changed: Stamp { secs: 1, nanos: 0 },
        ..Root::open(tree.at("")).unwrap().stat(b"", Reach::Disk).unwrap()
    };
    assert!(old.is_settled());
}

#[test]
fn a_root_that_was_replaced_is_opened_again() {
    let tree = Tree::new();
    symlink("site", tree.dir.path().join("current")).unwrap();
    fs::create_dir(tree.dir.path().join("next")).unwrap();
    fs::write(tree.dir.path().join("next/page.html"), "next").unwrap();
    let site = tree.dir.path().join("current");
    for root in [Root::open(&site).unwrap(), Root::open_without_links(&site).unwrap()] {
        assert!(root.reopened(Reach::Disk).unwrap().is_none());
        symlink("next", tree.dir.path().join("swap")).unwrap();
        fs::rename(tree.dir.path().join("swap"), &site).unwrap();
        assert_eq!(read(&root, "page.html").unwrap(), "hello");
        let next = root.reopened(Reach::Disk).unwrap().unwrap();
        assert_eq!(next.mode(), root.mode());
        assert_eq!(read(&next, "page.html").unwrap(), "next");
        fs::remove_file(&site).unwrap();
        assert!(next.reopened(Reach::Disk).unwrap().is_none());
        symlink("site", &site).unwrap();
    }
    assert_eq!(Root::open(tree.at("absent")).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(Root::open(tree.at("page.html")).unwrap_err().kind(), ErrorKind::NotADirectory);
}

#[test]
fn resident_reads_agree_with_reads() {
    let tree = Tree::new();
    let content: Vec<u8> = (0..100_000u32).map(|n| n as u8).collect();
    fs::write(tree.at("big"), &content).unwrap();
    let file = fs::File::open(tree.at("big")).unwrap();
    let mut buf = vec![0; 5000];
    let mut seen = vec![0; content.len()];
    file.read_exact_at(&mut seen, 0).unwrap();
    match read_resident(&file, &mut buf, 60_000) {
        Ok(n) => assert_eq!(buf[..n], content[60_000..60_000 + n]),
        Err(e) => assert_eq!(e.kind(), ErrorKind::WouldBlock),
    }
    match read_resident(&file, &mut buf, content.len() as u64) {
        Ok(n) => assert_eq!(n, 0),
        Err(e) => assert_eq!(e.kind(), ErrorKind::WouldBlock),
    }
    assert_eq!(read_resident(&file, &mut buf, u64::MAX).unwrap(), 0);
    // This file system cannot say what would wait.
    let cannot_say = fs::File::open("/proc/self/status").unwrap();
    assert_eq!(read_resident(&cannot_say, &mut buf, 0).unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn roots_and_files_cross_threads() {
    fn is_send<T: Send + Sync>() {}
    is_send::<Root>();
    is_send::<Error>();
    is_send::<Opened>();
}
