//! Over real directories.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

use super::*;
use crate::changes::NAMES_MAX;

const SOON: Duration = Duration::from_millis(20);

fn tree() -> (tempfile::TempDir, Root, Notices) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("a/b")).unwrap();
    for name in ["top", "a/mid", "a/b/low"] {
        fs::write(folder.path().join(name), "x").unwrap();
    }
    let root = Root::open(folder.path()).unwrap();
    (folder, root, Notices::new().unwrap())
}

fn cover(notices: &Notices, root: &Root, path: &[u8]) -> Option<Place> {
    let known = root.stat(path, crate::Reach::Disk).ok()?;
    notices.cover(root, path, &known)
}

fn names(changes: &Changes) -> Vec<String> {
    let mut names: Vec<String> =
        changes.names.iter().map(|n| n.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[test]
fn changes_are_told_of_where_they_happen() {
    let (folder, root, notices) = tree();
    let [top, mid, low] = [&b"top"[..], b"a/mid", b"a/b/low"].map(|name| cover(&notices, &root, name).unwrap());
    assert_eq!(notices.watched(), 3);
    assert!(top != mid && mid != low);
    for (name, place, is_it) in
        [("top", top, true), ("a/mid", mid, true), ("a/b/low", low, true), ("a/b/new", low, false)]
    {
        let concerned = |changes: &Changes| [top, mid, low].map(|one| changes.concern_folder_of(one));
        fs::write(folder.path().join(name), "y").unwrap();
        let changes = notices.wait().unwrap();
        assert!(!changes.all && changes.concern(place) == is_it, "{name}");
        assert_eq!(concerned(&changes), [top, mid, low].map(|one| one == place), "{name}");
        assert_eq!(changes.names, [folder.path().join(name)]);
        // What is left of it: CREATE and MODIFY may come in two reads.
        while notices.is_pending(SOON) {
            assert_eq!(concerned(&notices.wait().unwrap()), concerned(&changes));
        }
    }
    fs::rename(folder.path().join("top"), folder.path().join("a/mid")).unwrap();
    let changes = notices.wait().unwrap();
    assert_eq!(names(&changes), ["mid", "top"]);
    assert!(changes.concern(top) && changes.concern(mid) && !changes.concern(low));
    // Who may look into it is a matter of all that is in it.
    fs::set_permissions(folder.path().join("a/b"), fs::Permissions::from_mode(0o700)).unwrap();
    assert!(notices.wait().unwrap().concern(low));
}

#[test]
fn a_directory_that_moves_takes_its_watches_along() {
    let (folder, root, notices) = tree();
    cover(&notices, &root, b"a/b/low").unwrap();
    assert_eq!(notices.watched(), 3);
    fs::rename(folder.path().join("a"), folder.path().join("z")).unwrap();
    assert!(notices.wait().unwrap().folder_moved);
    while notices.is_pending(SOON) {
        notices.wait().unwrap();
    }
    assert_eq!(notices.watched(), 1, "only the root");
    fs::create_dir_all(folder.path().join("a/b")).unwrap();
    fs::write(folder.path().join("a/b/low"), "new").unwrap();
    let place = cover(&notices, &root, b"a/b/low").unwrap();
    while notices.is_pending(SOON) {
        notices.wait().unwrap();
    }
    let place = cover(&notices, &root, b"a/b/low").unwrap_or(place);
    fs::write(folder.path().join("a/b/low"), "newer").unwrap();
    let changes = notices.wait().unwrap();
    assert!(!changes.all && changes.concern(place));
    // Its end is told when nobody holds it any more.
    drop(root);
    fs::remove_dir_all(folder.path()).unwrap();
    assert!(notices.wait().unwrap().folder_moved);
    while notices.is_pending(SOON) {
        notices.wait().unwrap();
    }
    assert_eq!(notices.watched(), 0);
}

#[test]
fn a_directory_that_comes_or_goes_concerns_what_lies_beneath_it() {
    let (folder, root, notices) = tree();
    fs::create_dir(folder.path().join("ab")).unwrap();
    fs::write(folder.path().join("ab/near"), "x").unwrap();
    let names = [&b"top"[..], b"a/mid", b"a/b/low", b"ab/near"];
    let places = names.map(|name| cover(&notices, &root, name).unwrap());
    let at = |name: &str| folder.path().join(name);
    let told = |what: &str| {
        let mut changes = notices.wait().unwrap();
        while notices.is_pending(SOON) {
            changes.merge(notices.wait().unwrap());
        }
        assert!(!changes.all && changes.folder_moved, "{what}");
        places.map(|place| changes.concern(place))
    };
    fs::create_dir(at("new")).unwrap();
    assert_eq!(told("one that nobody asked for comes"), [false; 4]);
    fs::remove_dir(at("new")).unwrap();
    assert_eq!(told("and goes"), [false; 4]);
    assert_eq!(notices.watched(), 4);
    fs::rename(at("a/b"), at("a/c")).unwrap();
    assert_eq!(told("one moves"), [false, false, true, false]);
    fs::set_permissions(at("a"), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(told("who may enter it changes"), [false, true, false, false], "the other is not watched any more");
    let swap = || {
        for (from, to) in [("a", "z"), ("ab", "a"), ("z", "ab")] {
            fs::rename(at(from), at(to)).unwrap();
        }
    };
    swap();
    assert_eq!(told("two change places"), [false, true, false, true]);
    assert_eq!(notices.watched(), 1);
}

/// Too much for the kernel to tell: what has moved meanwhile may be watched under a name that it has no more.
#[test]
fn what_was_lost_ends_every_watch() {
    let (folder, root, notices) = tree();
    let place = cover(&notices, &root, b"a/b/low").unwrap();
    let queued: usize = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse().unwrap();
    let names = [folder.path().join("one"), folder.path().join("two")];
    fs::write(&names[0], "").unwrap();
    for n in 0..queued {
        fs::rename(&names[n % 2], &names[(n + 1) % 2]).unwrap();
    }
    fs::rename(folder.path().join("a"), folder.path().join("z")).unwrap();
    let mut changes = notices.wait().unwrap();
    while notices.is_pending(SOON) {
        changes.merge(notices.wait().unwrap());
    }
    assert!(changes.all && changes.concern(place));
    assert_eq!(notices.watched(), 0);
}

/// Whose folder is asked for by two roots is watched where it is now.
#[test]
fn a_watch_that_another_root_has_left_is_not_relied_on() {
    let (folder, outer, notices) = tree();
    let inner = Root::open(folder.path().join("a")).unwrap();
    cover(&notices, &outer, b"a/b/low").unwrap();
    fs::rename(folder.path().join("a"), folder.path().join("old")).unwrap();
    fs::create_dir_all(folder.path().join("a/b")).unwrap();
    fs::write(folder.path().join("a/b/low"), "new").unwrap();
    while notices.is_pending(SOON) {
        notices.wait().unwrap();
    }
    // It has not looked yet whether it is still the directory at its path.
    cover(&notices, &inner, b"b/low").unwrap();
    let place = cover(&notices, &outer, b"a/b/low").unwrap();
    while notices.is_pending(SOON) {
        notices.wait().unwrap();
    }
    fs::write(folder.path().join("a/b/low"), "newer").unwrap();
    assert!(notices.is_pending(SOON) && notices.wait().unwrap().concern(place));
}

#[test]
fn a_root_behind_a_link_is_watched_where_it_leads() {
    let (folder, _, notices) = tree();
    let (link, swap) = (folder.path().join("link"), folder.path().join("swap"));
    for name in ["one", "two"] {
        fs::create_dir(folder.path().join(name)).unwrap();
        fs::write(folder.path().join(name).join("f"), name).unwrap();
    }
    symlink("one", &link).unwrap();
    cover(&notices, &Root::open(&link).unwrap(), b"f").unwrap();
    symlink("two", &swap).unwrap();
    fs::rename(&swap, &link).unwrap();
    let place = cover(&notices, &Root::open(&link).unwrap(), b"f").unwrap();
    while notices.is_pending(SOON) {
        notices.wait().unwrap();
    }
    fs::write(folder.path().join("two/f"), "changed").unwrap();
    assert!(notices.wait().unwrap().concern(place));
}

#[test]
fn nothing_is_promised_of_links_and_second_names() {
    let (folder, root, notices) = tree();
    symlink("a", folder.path().join("link")).unwrap();
    symlink("top", folder.path().join("other")).unwrap();
    fs::hard_link(folder.path().join("a/mid"), folder.path().join("twin")).unwrap();
    for name in [&b"link/b/low"[..], b"other", b"twin", b"a/mid", b"none", b"a/none", b"none/x"] {
        assert_eq!(cover(&notices, &root, name), None, "{}", name.escape_ascii());
    }
    assert!(cover(&notices, &root, b"top").is_some());
    notices.watch_directory(&root, b"link/b");
    fs::write(folder.path().join("a/b/low"), "y").unwrap();
    let changes = notices.wait().unwrap();
    assert!(changes.names.contains(&folder.path().join("link/b/low")), "{changes:?}");
}

#[test]
fn what_changed_before_the_watch_is_not_covered() {
    let (folder, root, notices) = tree();
    let known = root.stat(b"a/mid", crate::Reach::Disk).unwrap();
    fs::write(folder.path().join("a/mid"), "changed meanwhile").unwrap();
    assert_eq!(notices.cover(&root, b"a/mid", &known), None);
}

#[test]
fn what_is_watched_already_is_known_before_the_file_is_opened() {
    let (_folder, root, notices) = tree();
    assert_eq!(notices.watched_place(&root, b"a/mid"), None);
    let place = cover(&notices, &root, b"a/mid");
    assert!(place.is_some());
    assert_eq!(notices.watched_place(&root, b"a/mid"), place);
    assert!(notices.watched_place(&root, b"a/another").is_some_and(|another| Some(another) != place));
    assert!(notices.watched_place(&root, b"top").is_some_and(|top| Some(top) != place));
    assert_eq!(notices.watched_place(&root, b"a/b/low"), None);
}

#[test]
fn what_is_asked_for_once_takes_half_of_the_watches() {
    let (folder, root, notices) = tree();
    let known = root.stat(b"top", crate::Reach::Disk).unwrap();
    for n in 0..FIRST_MAX {
        fs::create_dir(folder.path().join(format!("d{n}"))).unwrap();
    }
    assert!(notices.cover_first(&root, b"top", &known).is_some());
    (0..FIRST_MAX).for_each(|n| notices.watch_directory(&root, format!("d{n}").as_bytes()));
    assert!(notices.cover_first(&root, b"top", &known).is_none());
    assert!(cover(&notices, &root, b"top").is_some());
}

#[test]
fn a_system_without_watches_is_not_asked_for_each_file() {
    let (_folder, root, notices) = tree();
    let known = root.stat(b"top", crate::Reach::Disk).unwrap();
    // As it is after a refusal.
    notices.locked().pause = PAUSE;
    assert!((0..PAUSE).all(|_| notices.cover_first(&root, b"top", &known).is_none()));
    assert!(notices.cover_first(&root, b"top", &known).is_some());
}

#[test]
fn of_a_directory_that_is_not_there_the_nearest_one_is_watched() {
    let (folder, root, notices) = tree();
    notices.watch_directory(&root, b"a/new/deep");
    assert_eq!(notices.watched(), 1);
    fs::create_dir(folder.path().join("a/new")).unwrap();
    assert!(notices.wait().unwrap().folder_moved);
}

#[test]
fn very_much_at_once_is_told_as_all() {
    let (folder, root, notices) = tree();
    cover(&notices, &root, b"top").unwrap();
    for n in 0..200 {
        fs::write(folder.path().join(format!("many-{n}")), "").unwrap();
    }
    let changes = notices.wait().unwrap();
    assert!(changes.all);
    assert_eq!(changes.names.len(), NAMES_MAX);
}

#[test]
fn paths_are_joined() {
    assert_eq!(&*joined(b"/srv", b"a"), b"/srv/a");
    assert_eq!(&*joined(b"/srv", b""), b"/srv");
    assert_eq!(&*joined(b"/", b"a"), b"/a");
}

#[test]
fn another_directory_at_the_path_of_a_root_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    ["one/public", "two/public"].iter().for_each(|name| fs::create_dir_all(at(name)).unwrap());
    symlink("one", at("current")).unwrap();
    let (notices, root) = (Notices::new().unwrap(), at("current/public"));
    let told = || {
        let mut changes = Changes::default();
        while notices.is_pending(SOON) {
            changes.merge(notices.wait().unwrap());
        }
        changes.root_moved
    };
    notices.watch_way(&root);
    notices.watch_way(&root);
    fs::create_dir(at("new")).unwrap();
    fs::write(at("one/public/page"), "x").unwrap();
    assert!(!told(), "neither lies on the way");
    let swap = |target: &str| {
        symlink(target, at("swap")).unwrap();
        fs::rename(at("swap"), at("current")).unwrap();
    };
    swap("two");
    assert!(told());
    fs::rename(at("one/public"), at("one/old")).unwrap();
    fs::create_dir(at("one/public")).unwrap();
    assert!(!told(), "the way does not lead there any more");
    fs::remove_dir_all(at("two")).unwrap();
    told();
    fs::create_dir_all(at("two/public")).unwrap();
    assert!(told(), "behind the link");
    notices.leave_way(&root);
    swap("one");
    assert!(told(), "somebody still asks");
    notices.leave_way(&root);
    swap("two");
    assert!(!told());
}
