//! Folders that come, go and move while what is in them is asked for.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use content_coding::Coding;
use testkit::Seed;

use super::freshness::{settled, told};
use super::*;

fn is_covered(site: &Site, path: &str) -> bool {
    let entry = site.cache.find(site.files.owner(), path.as_bytes(), site.moment().tick);
    entry.is_some_and(|entry| entry.covered.get().is_some())
}

/// Passes on what was told.
fn pass_on(site: &Site, notices: &::fs::Notices) {
    while notices.is_pending(Duration::ZERO) {
        site.cache.changed(&notices.wait().unwrap(), site.moment().tick);
    }
}

/// As programs do it that build a site: with folders for a moment.
#[test]
fn a_folder_that_comes_and_goes_has_nothing_else_looked_at() {
    let (site, notices) = told();
    site.write("f", "file");
    site.write("a/f", "one");
    settled(&site, "a/b/f", "two");
    let paths = ["/f", "/a/f", "/a/b/f"];
    paths.iter().for_each(|path| assert_eq!(site.get(path).0, 200));
    fs::create_dir(site.at("tmp")).unwrap();
    site.write("tmp/f", "three");
    fs::remove_dir_all(site.at("tmp")).unwrap();
    pass_on(&site, &notices);
    assert_eq!(paths.map(|path| is_covered(&site, path)), [true; 3]);
    fs::rename(site.at("a/b"), site.at("b")).unwrap();
    pass_on(&site, &notices);
    assert_eq!(paths.map(|path| is_covered(&site, path)), [true, true, false]);
    assert_eq!((site.get("/a/b/f"), site.get("/b/f")), (not_found(), ok("two")));
}

/// Of the root nothing tells but itself.
#[test]
fn who_may_look_into_the_root_is_a_matter_of_all_beneath_it() {
    let (site, notices) = told();
    settled(&site, "a/b/f", "file");
    for mode in [0o700, 0o755] {
        assert_eq!(site.get("/a/b/f"), ok("file"));
        assert!(is_covered(&site, "/a/b/f"));
        fs::set_permissions(site.dir.path(), fs::Permissions::from_mode(mode)).unwrap();
        pass_on(&site, &notices);
        assert!(!is_covered(&site, "/a/b/f"));
    }
}

/// Folders are moved, swapped, removed, made and replaced by links, in no order; whatever it comes to, no answer is old. A second
/// route has its root among them.
#[test]
fn whatever_moves_no_answer_is_old() {
    for seed in Seed::each(8) {
        let _guard = seed.guard();
        let (mut site, notices) = told();
        let names = ["x", "y", "x/x", "x/y", "y/x", "y/y", "x/x/y", "y/x/x"];
        names[..6].iter().for_each(|name| site.write(&format!("{name}/f"), format!("made in {name}")));
        settled(&site, "f", "top");
        let root = Arc::new(::fs::Root::open(site.at("x")).unwrap());
        let mut inner = Files::new(Options::default(), root, Rc::clone(&site.cache)).unwrap();
        let mut rng = seed.rng();
        for step in 0..300 {
            let [one, other] = [(); 2].map(|()| site.at(rng.pick(&names).unwrap()));
            // Many of these cannot be, and then nothing is done.
            let _ = match rng.below(8) {
                0 => fs::create_dir(&one),
                1 => fs::write(one.join("f"), format!("written in step {step}")),
                2 => fs::remove_dir_all(&one),
                3 => symlink(other.file_name().unwrap(), &one),
                4 => fs::remove_file(&one),
                5 => swap(&one, &other, &site.at("swap")),
                _ => fs::rename(&one, &other),
            };
            if rng.chance(1, 2) {
                pass_on(&site, &notices);
                // What nobody tells of is looked at now.
                site.pass(1000);
                for name in names.iter().chain([&"."]) {
                    let there = fs::read_to_string(site.at(name).join("f")).map_or(not_found(), |text| ok(&text));
                    // What links lead to is looked at once a second.
                    let mut at = site.dir.path().to_path_buf();
                    let is_link = |part| {
                        at.push(part);
                        at.is_symlink()
                    };
                    if name.split('/').any(is_link) {
                        continue;
                    }
                    let path = format!("/{name}/f").replace("/./", "/");
                    assert_eq!(site.get(&path), there, "step {step}, {path}");
                }
            }
            std::mem::swap(&mut site.files, &mut inner);
            ["/f", "/x/f", "/y/f", "/x/y/f"].iter().for_each(|path| drop(site.get(path)));
            std::mem::swap(&mut site.files, &mut inner);
        }
    }
}

fn swap(one: &Path, other: &Path, between: &Path) -> std::io::Result<()> {
    fs::rename(one, between)?;
    let moved = fs::rename(other, one);
    fs::rename(between, if moved.is_ok() { other } else { one })
}

/// As deployments do it that switch a link: nobody is told of that. A search that was under way then ends when the other root is known.
#[test]
fn what_was_found_beneath_an_earlier_root_is_not_kept() {
    let options = Options { precompressed: vec![Coding::Gzip], ..Options::default() };
    for lines in [&[][..], &[("Accept-Encoding", "gzip")]] {
        let (mut site, _notices) = told();
        for version in ["v1", "v2"] {
            settled(&site, &format!("{version}/page"), version);
            settled(&site, &format!("{version}/page.gz"), version);
        }
        let current = site.at("current");
        symlink("v1", &current).unwrap();
        // This one never knows anything without waiting.
        let root = Arc::new(::fs::Root::open_without_links(&current).unwrap());
        site.files = Files::new(options.clone(), root, Rc::clone(&site.cache)).unwrap();
        site.get("/other");
        if !lines.is_empty() {
            // The file itself is known: what is looked for is its sibling.
            assert_eq!(site.get("/page"), ok("v1"));
        }
        let asked = request("GET", "/page", lines);
        let Step::Blocking(work) = site.files.begin(&asked, b"/page", site.moment()) else { panic!("it waits") };
        assert_eq!(work.claim.coded.is_some(), !lines.is_empty());
        let Work { lookup, claim } = *work;
        let (lookup, outcome) = lookup.wait();
        symlink("v2", site.at("new")).unwrap();
        fs::rename(site.at("new"), &current).unwrap();
        site.pass(1000);
        assert_eq!(site.get("/page"), ok("v2"));
        site.files.conclude(&asked, b"/page", site.moment(), Work { lookup, claim }, outcome);
        for _ in 0..2 {
            assert_eq!(site.ask("GET", "/page", lines).body, "v2");
            site.pass(1000);
        }
    }
}

/// Two deployments in a row, and a search that saw only the first of them ends behind one that saw the second.
#[test]
fn a_root_that_another_one_has_replaced_does_not_come_back() {
    let mut site = Site::plain();
    for version in ["v1", "v2", "v3"] {
        site.write(&format!("{version}/page"), version);
    }
    let current = site.at("current");
    let swap = |target: &str| {
        symlink(target, site.at("new")).unwrap();
        fs::rename(site.at("new"), &current).unwrap();
    };
    swap("v1");
    // This one never knows anything without waiting.
    let root = Arc::new(::fs::Root::open_without_links(&current).unwrap());
    let files = Files::new(Options::default(), root, Rc::clone(&site.cache)).unwrap();
    let asked = request("GET", "/missing", &[]);
    let Step::Blocking(work) = files.begin(&asked, b"/missing", site.moment()) else { panic!("it waits") };
    let Work { lookup, claim } = *work;
    swap("v2");
    let (lookup, outcome) = lookup.wait();
    assert!(outcome.root.is_some());
    swap("v3");
    site.files = files;
    assert_eq!(site.get("/page"), ok("v1"), "no time has passed");
    assert_eq!((site.get("/absent"), site.get("/page")), (not_found(), ok("v3")));
    site.files.conclude(&asked, b"/missing", site.moment(), Work { lookup, claim }, outcome);
    assert_eq!(site.get("/page"), ok("v3"));
}
