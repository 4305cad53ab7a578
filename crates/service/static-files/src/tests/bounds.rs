//! What the cache holds, and for how long.

use std::fs;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use tempfile::TempDir;

use super::*;

#[test]
fn the_bounds_hold() {
    let limits = Limits { entries: 20, bytes: 30_000, content_max: 1000 };
    let site = Site::new(Options::default(), limits, |p| ::fs::Root::open(p));
    for n in 0..100 {
        site.write(&format!("f{n}"), vec![b'x'; n * 20]);
    }
    for round in 0..3 {
        for n in 0..100 {
            assert_eq!(site.get(&format!("/f{}", (n * 37 + round) % 100)).0, 200);
            let stats = site.cache.stats();
            assert!(stats.entries <= 20 && stats.bytes <= 30_000 && stats.descriptors <= 20, "{stats:?}");
            assert_eq!(open_descriptors(site.dir.path()), stats.descriptors + 1, "and the root's own");
        }
    }
    assert!(site.cache.stats().evictions >= 200);
    let Site { cache, files, dir, .. } = site;
    drop(files);
    assert_eq!((cache.stats().entries, cache.stats().bytes, cache.stats().descriptors), (0, 0, 0));
    assert_eq!(open_descriptors(dir.path()), 0);
}

/// Descriptors of this process for files in `dir`, and for `dir` itself.
fn open_descriptors(dir: &Path) -> usize {
    let targets = fs::read_dir("/proc/self/fd").unwrap().filter_map(|e| fs::read_link(e.unwrap().path()).ok());
    targets.filter(|target| target.starts_with(dir)).count()
}

#[test]
fn what_is_used_stays_and_what_is_idle_goes() {
    let limits = Limits { entries: 4, ..Limits::default() };
    let mut site = Site::new(Options::default(), limits, |p| ::fs::Root::open(p));
    for n in 0..50 {
        site.write(&format!("f{n}"), "x");
    }
    site.write("hot", "hot");
    site.get("/hot");
    for n in 0..50 {
        site.get("/hot");
        site.get(&format!("/f{n}"));
    }
    let before = site.cache.stats().misses;
    site.get("/hot");
    assert_eq!(site.cache.stats().misses, before, "a file in use is not pushed out by others");
    site.pass(30_000);
    site.get("/hot");
    site.pass(30_000);
    site.cache.expire(Tick(site.now));
    assert_eq!(site.cache.stats().entries, 1);
    site.pass(60_000);
    site.cache.expire(Tick(site.now));
    assert_eq!(site.cache.stats().entries, 0);
}

#[test]
fn routes_share_a_cache_and_not_their_files() {
    let site = Site::plain();
    let other_dir = TempDir::new().unwrap();
    site.write("f", "mine");
    fs::write(other_dir.path().join("f"), "other").unwrap();
    let other_root = Arc::new(::fs::Root::open(other_dir.path()).unwrap());
    let other = Files::new(Options::default(), other_root, Rc::clone(&site.cache)).unwrap();
    let other = Site { dir: other_dir, cache: Rc::clone(&site.cache), files: other, now: site.now };
    for _ in 0..2 {
        assert_eq!(site.get("/f"), ok("mine"));
        assert_eq!(other.get("/f"), ok("other"));
    }
    assert_eq!(site.cache.stats().entries, 2);
    drop(other);
    assert_eq!(site.cache.stats().entries, 1);
    assert_eq!(site.get("/f"), ok("mine"));
}

#[test]
fn a_search_that_was_dropped_is_made_again() {
    let [_, mut site] = Site::both(Options::default());
    site.write("f", "one");
    assert_eq!(site.get("/f"), ok("one"));
    site.write("f", "other");
    site.pass(1000);
    let request = request("GET", "/f", &[]);
    let Step::Blocking(abandoned) = site.files.begin(&request, b"/f", site.moment()) else {
        panic!("no link may be asked for cached")
    };
    assert_eq!(site.get("/f"), ok("one"), "while one looks, the others are served what is there");
    drop(abandoned);
    assert_eq!(site.get("/f"), ok("other"));
}

#[test]
fn a_hit_needs_no_pool_and_leaves_no_trace() {
    let site = Site::plain();
    site.write("f", "x");
    site.get("/f");
    let leased = buf::stats().leased;
    let stats = site.cache.stats();
    for _ in 0..1000 {
        let (answer, blocked) = site.answer("GET", "/f", &[]);
        assert!(matches!(answer, Answer::Send { head: Head::Shared(_), body: Body::Memory(..) }) && !blocked);
    }
    assert_eq!(site.cache.stats(), CacheStats { hits: stats.hits + 1000, ..stats });
    assert_eq!(buf::stats().leased, leased, "what the cache holds is none of the pool's buffers");
    assert_eq!(leased, 0);
}
