//! Changes of the files, and when they show.

use std::fs;
use std::os::unix::fs::{FileExt, symlink};
use std::sync::Arc;

use super::*;

/// What is done to a file, and what is to be seen afterwards.
type Change = (&'static str, fn(&Site), (u16, String));

#[test]
fn every_change_shows_within_a_second_and_not_before_a_check() {
    let changes: Vec<Change> = vec![
        ("edit", |s| s.write("f", "edited"), ok("edited")),
        ("edit of the same size", |s| s.write("f", "SAME"), ok("SAME")),
        (
            "replacement",
            |s| {
                s.write("new", "replaced");
                fs::rename(s.at("new"), s.at("f")).unwrap();
            },
            ok("replaced"),
        ),
        ("truncation", |s| fs::File::options().write(true).open(s.at("f")).unwrap().set_len(2).unwrap(), ok("fi")),
        ("growth", |s| s.write("f", large("g")), ok(&large("g"))),
        ("removal", |s| fs::remove_file(s.at("f")).unwrap(), not_found()),
        (
            "a directory in its place",
            |s| {
                fs::remove_file(s.at("f")).unwrap();
                fs::create_dir(s.at("f")).unwrap();
            },
            (301, String::new()),
        ),
    ];
    for (what, change, after) in &changes {
        for mut site in Site::both(Options::default()) {
            site.write("f", "file");
            assert_eq!(site.get("/f"), ok("file"));
            let (_, blocked) = site.answer("GET", "/f", &[]);
            assert!(!blocked, "the second request is answered from the cache");
            change(&site);
            site.pass(999);
            assert_eq!(site.get("/f"), ok("file"), "{what}: the cache is checked once a second");
            site.pass(1);
            assert_eq!(site.get("/f"), *after, "{what}");
            site.pass(1);
            assert_eq!(site.get("/f"), *after, "{what}, from the cache again");
        }
    }
}

#[test]
fn large_files_too_show_their_changes() {
    for mut site in Site::both(Options::default()) {
        site.write("f", large("a"));
        assert_eq!(site.get("/f"), ok(&large("a")));
        let (held, _) = site.answer("GET", "/f", &[]);
        site.write("new", large("b"));
        fs::rename(site.at("new"), site.at("f")).unwrap();
        site.pass(1000);
        assert_eq!(site.get("/f"), ok(&large("b")));
        // An answer that was under way goes on with the file it began with: never half of each.
        let Answer::Send { body: Body::File(range), .. } = held else { panic!("{held:?}") };
        let mut old = vec![0; range.len as usize];
        range.file.read_exact_at(&mut old, 0).unwrap();
        assert!(old.iter().all(|b| *b == b'a'));
        site.write("f", "small");
        site.pass(1000);
        assert_eq!(site.get("/f"), ok("small"));
        assert_eq!(site.cache.stats().descriptors, 0);
    }
}

#[test]
fn content_that_is_younger_than_its_stamps_can_tell_is_read_again() {
    let [_, mut site] = Site::both(Options::default());
    let is_believed = |site: &Site, target: &str| {
        let Step::Blocking(work) = site.files.begin(&request("GET", target, &[]), target.as_bytes(), site.moment())
        else {
            panic!("this mode asks no cache of the kernel's");
        };
        work.lookup.known.is_some()
    };
    site.write("f", "one");
    assert_eq!(site.get("/f"), ok("one"));
    site.pass(1000);
    assert!(!is_believed(&site, "/f"), "another edit in the same few milliseconds would carry the same stamps");
    // This one was written before the test was built.
    let old = ::fs::Root::open_without_links(env!("CARGO_MANIFEST_DIR")).unwrap();
    site.files = Files::new(Options::default(), Arc::new(old), Rc::clone(&site.cache)).unwrap();
    assert_eq!(site.get("/Cargo.toml").0, 200);
    site.pass(1000);
    assert!(is_believed(&site, "/Cargo.toml"));
}

#[test]
fn a_root_that_was_replaced_is_served_from_its_new_place() {
    for mut site in Site::both(Options::default()) {
        let (base, current) = (site.dir.path().to_path_buf(), site.at("current"));
        site.write("v1/page", "one");
        site.write("v2/page", "two");
        symlink("v1", &current).unwrap();
        let root = match site.files.begin(&request("GET", "/x", &[]), b"/x", site.moment()) {
            Step::Blocking(work) if work.lookup.root.mode() == ::fs::Mode::NoLinks => {
                ::fs::Root::open_without_links(&current)
            }
            _ => ::fs::Root::open(&current),
        };
        site.files = Files::new(Options::default(), Arc::new(root.unwrap()), Rc::clone(&site.cache)).unwrap();
        assert_eq!(site.get("/page"), ok("one"));
        symlink("v2", base.join("swap")).unwrap();
        fs::rename(base.join("swap"), &current).unwrap();
        site.pass(1000);
        assert_eq!(site.get("/page"), ok("two"));
        // As a build does it: removed, and made anew.
        fs::remove_file(&current).unwrap();
        site.pass(1000);
        assert_eq!(site.get("/page"), ok("two"), "while nothing is there, what is open still serves");
        fs::create_dir(&current).unwrap();
        fs::write(current.join("page"), "three").unwrap();
        site.pass(1000);
        assert_eq!(site.get("/page"), ok("three"));
    }
}

/// As a browser asks for it, whose page came from a worker that knows of the new root already.
#[test]
fn what_is_only_in_a_new_root_is_never_missing() {
    for fallback in [None, Some(String::from("/index.html"))] {
        let mut site = Site::plain();
        for (name, text) in [("v1/index.html", "one"), ("v2/index.html", "two"), ("v2/new.js", "new")] {
            site.write(name, text);
        }
        symlink("v1", site.at("current")).unwrap();
        let root = Arc::new(::fs::Root::open(site.at("current")).unwrap());
        site.files = Files::new(Options { fallback, ..Options::default() }, root, Rc::clone(&site.cache)).unwrap();
        assert_eq!(site.get("/"), ok("one"));
        symlink("v2", site.at("swap")).unwrap();
        fs::rename(site.at("swap"), site.at("current")).unwrap();
        assert_eq!(site.get("/"), ok("one"), "no time has passed");
        assert_eq!(site.get("/new.js"), ok("new"));
        assert_eq!(site.get("/"), ok("two"));
    }
}

#[test]
fn a_root_that_was_replaced_is_told_of() {
    let (mut site, notices) = told();
    for version in ["one", "two", "three"] {
        site.write(&format!("{version}/public/page"), version);
    }
    symlink("one", site.at("current")).unwrap();
    let path = site.at("current/public");
    let root = Arc::new(::fs::Root::open(&path).unwrap());
    site.files = Files::new(Options::default(), root, Rc::clone(&site.cache)).unwrap();
    assert_eq!(site.get("/page"), ok("one"));
    symlink("two", site.at("swap")).unwrap();
    fs::rename(site.at("swap"), site.at("current")).unwrap();
    pass_on(&site, &notices);
    assert_eq!(site.get("/page"), ok("two"), "no time has passed");
    // What is behind the link now.
    fs::rename(&path, site.at("old")).unwrap();
    fs::rename(site.at("three/public"), &path).unwrap();
    pass_on(&site, &notices);
    assert_eq!(site.get("/page"), ok("three"));
    fs::remove_dir_all(site.at("two")).unwrap();
    site.write("two/public/page", "four");
    pass_on(&site, &notices);
    assert_eq!(site.get("/page"), ok("four"));
}

/// A site whose changes are told of; what was told is passed on by hand.
pub(super) fn told() -> (Site, Arc<::fs::Notices>) {
    let mut site = Site::plain();
    let notices = Arc::new(::fs::Notices::new().unwrap());
    site.cache = OpenFiles::with_notices(Limits::default(), Some(Arc::clone(&notices)));
    let root = Arc::new(::fs::Root::open(site.dir.path()).unwrap());
    site.files = Files::new(Options::default(), root, Rc::clone(&site.cache)).unwrap();
    (site, notices)
}

/// Writes a file that is old enough to be believed.
pub(super) fn settled(site: &Site, name: &str, content: &str) {
    site.write(name, content);
    let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    fs::File::options().write(true).open(site.at(name)).unwrap().set_modified(old).unwrap();
    // Its change is stamped with the present time, whatever it says of itself.
    while !::fs::Meta::of(fs::File::open(site.at(name)).unwrap()).unwrap().is_settled() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[test]
fn a_change_that_is_told_of_shows_at_once_and_without_one_nobody_looks() {
    let (mut site, notices) = told();
    settled(&site, "f", "file");
    assert_eq!(site.get("/f"), ok("file"));
    site.pass(1000);
    assert_eq!(site.get("/f"), ok("file"), "looked at, and covered from now on");
    assert_eq!(notices.watched(), 1);
    // A change that nobody passes on: nothing but a look could show it.
    site.write("f", "edited");
    for _ in 0..9 {
        site.pass(999);
        assert_eq!(site.get("/f"), ok("file"));
        site.pass(1);
        // The root is looked at each second; whoever is asked for first then is looked at with it.
        site.get("/other");
        assert_eq!(site.get("/f"), ok("file"));
    }
    site.pass(1000);
    assert_eq!(site.get("/f"), ok("edited"), "after ten seconds it is looked at all the same");
    settled(&site, "f", "again");
    pass_on(&site, &notices);
    for _ in 0..2 {
        site.pass(1000);
        assert_eq!(site.get("/f"), ok("again"));
    }
    site.write("f", "told");
    pass_on(&site, &notices);
    assert_eq!(site.get("/f"), ok("told"), "no time has passed");
}

#[test]
fn a_change_has_only_what_it_may_concern_looked_at() {
    let (mut site, notices) = told();
    let options = Options { index: vec!["first.html".into(), "second.html".into()], ..Options::default() };
    let root = Arc::new(::fs::Root::open(site.dir.path()).unwrap());
    site.files = Files::new(options, root, Rc::clone(&site.cache)).unwrap();
    settled(&site, "f", "file");
    settled(&site, "second.html", "second");
    assert_eq!((site.get("/f"), site.get("/")), (ok("file"), ok("second")));
    let covered = |site: &Site| {
        ["/f", "/"].map(|path| {
            let entry = site.cache.find(site.files.owner(), path.as_bytes(), site.moment().tick);
            entry.unwrap().covered.get().is_some()
        })
    };
    assert_eq!(covered(&site), [true, true]);
    site.write("other", "something");
    pass_on(&site, &notices);
    assert_eq!(covered(&site), [true, false], "a name that goes before may have come to be");
    site.get("/");
    site.write("first.html", "first");
    pass_on(&site, &notices);
    assert_eq!(site.get("/"), ok("first"));
    site.write("f", "edited");
    pass_on(&site, &notices);
    assert_eq!((covered(&site)[0], site.get("/f")), (false, ok("edited")));
    site.write("f.gz", "beside it");
    pass_on(&site, &notices);
    assert!(!covered(&site)[0]);
}

#[test]
fn the_first_change_after_the_first_request_shows_at_once() {
    let (site, notices) = told();
    settled(&site, "a/b/f", "file");
    settled(&site, "a/b/large", &large("a"));
    for (name, old, new) in [("/a/b/f", "file".into(), "edited".into()), ("/a/b/large", large("a"), large("b"))] {
        assert_eq!(site.get(name), ok(&old));
        assert_eq!(notices.watched(), 3);
        site.write(&name[1..], &new);
        pass_on(&site, &notices);
        assert_eq!(site.get(name), ok(&new));
    }
}

#[test]
fn what_was_written_a_moment_ago_is_read_again_after_a_second_and_kept_in_codings_then() {
    let (mut site, _) = told();
    let options = Options { compress: vec![crate::Coding::Gzip], ..Options::default() };
    let root = Arc::new(::fs::Root::open(site.dir.path()).unwrap());
    site.files = Files::new(options, root, Rc::clone(&site.cache)).unwrap();
    // As on a worker; whether it was compressed.
    let is_made = |site: &Site| {
        assert_eq!(site.get("/f.txt").0, 200);
        let asked = request("GET", "/f.txt", &[("Accept-Encoding", "gzip")]);
        let Step::Blocking(work) = site.files.begin(&asked, b"/f.txt", site.moment()) else { return false };
        let outcome = work.claim.coded.as_ref().unwrap().make_in_brief().unwrap();
        site.files.conclude(&asked, b"/f.txt", site.moment(), *work, outcome);
        true
    };
    site.write("f.txt", "x".repeat(5000));
    assert!(is_made(&site));
    std::thread::sleep(std::time::Duration::from_millis(150));
    assert!(is_made(&site), "the same stamps may stand for something else");
    site.pass(1000);
    // The root is looked at each second; whoever is asked for first then is looked at with it.
    site.get("/other");
    assert!(is_made(&site));
    assert!(!is_made(&site), "no change was told of, but it was read again, and is believed now");
}

#[test]
fn each_of_several_changes_in_a_second_shows_at_once() {
    let (mut site, notices) = told();
    settled(&site, "f", "file");
    assert_eq!(site.get("/f"), ok("file"));
    site.pass(1000);
    assert_eq!(site.get("/f"), ok("file"), "looked at, and covered from now on");
    let changes: [Change; 5] = [
        ("a first edit", |s| s.write("f", "one"), ok("one")),
        ("a second", |s| s.write("f", "two"), ok("two")),
        (
            "a replacement",
            |s| {
                s.write("new", "three");
                fs::rename(s.at("new"), s.at("f")).unwrap();
            },
            ok("three"),
        ),
        ("growth", |s| s.write("f", large("g")), ok(&large("g"))),
        ("removal", |s| fs::remove_file(s.at("f")).unwrap(), not_found()),
    ];
    for (what, change, after) in changes {
        change(&site);
        pass_on(&site, &notices);
        assert_eq!(site.get("/f"), after, "{what}");
        let (_, blocked) = site.answer("GET", "/f", &[]);
        assert!(!blocked, "{what}");
    }
    // A file that was not there before has its folder watched too.
    site.write("f", "back");
    pass_on(&site, &notices);
    assert_eq!(site.get("/f"), ok("back"));
    fs::remove_file(site.at("f")).unwrap();
    pass_on(&site, &notices);
    assert_eq!(site.get("/f"), not_found());
}

#[test]
fn a_change_that_is_told_of_while_a_file_is_loaded_has_it_looked_at_again() {
    let (mut site, notices) = told();
    // This one never knows anything without waiting.
    let root = ::fs::Root::open_without_links(site.dir.path()).unwrap();
    site.files = Files::new(Options::default(), Arc::new(root), Rc::clone(&site.cache)).unwrap();
    settled(&site, "f", "file");
    site.get("/f");
    site.pass(1000);
    assert_eq!(site.get("/f"), ok("file"), "looked at, and covered from now on");
    site.write("f", "one");
    pass_on(&site, &notices);
    let asked = request("GET", "/f", &[]);
    let Step::Blocking(work) = site.files.begin(&asked, b"/f", site.moment()) else { panic!("it waits") };
    let Work { lookup, claim } = *work;
    let (lookup, outcome) = lookup.wait();
    site.write("f", "two");
    pass_on(&site, &notices);
    site.files.conclude(&asked, b"/f", site.moment(), Work { lookup, claim }, outcome);
    assert_eq!(site.get("/f"), ok("two"));
}

/// Passes on what was told.
fn pass_on(site: &Site, notices: &::fs::Notices) {
    while notices_pending(notices) {
        site.cache.changed(&notices.wait().unwrap(), site.moment().tick);
    }
}

/// Whether something happens in a moment.
fn notices_pending(notices: &::fs::Notices) -> bool {
    notices.is_pending(std::time::Duration::from_millis(50))
}
