//! What is sent for what is asked.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::*;

#[test]
fn pages_may_have_a_cache_control_of_their_own() {
    let options = Options {
        cache_control: Some("max-age=60".into()),
        page_cache_control: Some("no-cache".into()),
        precompressed: vec![Coding::Gzip],
        ..Options::default()
    };
    for site in Site::both(options) {
        for (name, want) in [("page.html", "no-cache"), ("style.css", "max-age=60")] {
            site.write(name, "hello");
            site.write(&format!("{name}.gz"), "gzipped");
            let (path, want) = (format!("/{name}"), format!("Cache-Control: {want}\r\n"));
            for fields in
                [&[][..], &[("Range", "bytes=0-1")], &[("If-None-Match", "*")], &[("Accept-Encoding", "gzip")]]
            {
                let seen = site.ask("GET", &path, fields);
                assert!(seen.fields.contains(&want), "{name} {fields:?}: {seen:?}");
            }
        }
    }
}

#[test]
fn a_file_is_sent_with_its_fields() {
    for site in Site::both(Options { cache_control: Some("max-age=60".into()), ..Options::default() }) {
        site.write("page.html", "hello");
        fs::File::options()
            .write(true)
            .open(site.at("page.html"))
            .unwrap()
            .set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777))
            .unwrap();
        let seen = site.ask("GET", "/page.html?v=1", &[]);
        assert_eq!((seen.status, seen.body.as_str()), (200, "hello"));
        assert_eq!(
            seen.fields,
            "ETag: \"5-2ebc98a100000000\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nCache-Control: max-age=60\r\n\
             Content-Type: text/html; charset=utf-8\r\nAccept-Ranges: bytes\r\nX-Content-Type-Options: nosniff\r\n"
        );
        let head = site.ask("HEAD", "/page.html", &[]);
        assert_eq!(head, Seen { body: String::new(), ..seen });
        let same = site.ask("GET", "/page.html", &[("If-None-Match", "\"5-2ebc98a100000000\"")]);
        assert_eq!(same.status, 304);
        assert_eq!(
            same.fields,
            "ETag: \"5-2ebc98a100000000\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nCache-Control: max-age=60\r\n"
        );
        assert_eq!(site.ask("GET", "/page.html", &[("If-Match", "\"x\"")]).status, 412);
    }
}

#[test]
fn parts_are_sent_from_memory_and_from_files() {
    let site = Site::plain();
    site.write("small", "0123456789");
    site.write("empty", "");
    let digits = "0123456789".repeat(3000);
    site.write("large", &digits);
    for _ in 0..2 {
        let seen = site.ask("GET", "/small", &[("Range", "bytes=2-4")]);
        assert_eq!((seen.status, seen.body.as_str()), (206, "234"));
        assert!(seen.fields.ends_with("Content-Range: bytes 2-4/10\r\n"), "{}", seen.fields);
        assert!(seen.fields.contains("Content-Type: ") && seen.fields.contains("ETag: "));
        let seen = site.ask("GET", "/large", &[("Range", "bytes=-20001")]);
        assert_eq!((seen.status, seen.body.as_str()), (206, &digits[9999..]));
        assert!(seen.fields.ends_with("Content-Range: bytes 9999-29999/30000\r\n"));
        assert_eq!(site.get("/large"), ok(&digits));
        let beyond = site.ask("GET", "/large", &[("Range", "bytes=30000-")]);
        assert_eq!(beyond.status, 416);
        assert!(beyond.fields.starts_with("Content-Range: bytes */30000\r\n"));
        assert_eq!(site.ask("HEAD", "/small", &[("Range", "bytes=2-4")]).status, 200);
        assert_eq!(site.ask("GET", "/empty", &[("Range", "bytes=0-")]).status, 200);
        assert_eq!(site.get("/empty"), ok(""));
    }
}

#[test]
fn methods() {
    let site = Site::plain();
    site.write("a", "a");
    for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "get", "BREW"] {
        let seen = site.ask(method, "/a", &[]);
        assert_eq!((seen.status, seen.fields.as_str()), (405, "Allow: GET, HEAD, OPTIONS\r\n"), "{method}");
    }
    let seen = site.ask("OPTIONS", "/a", &[]);
    assert_eq!((seen.status, seen.fields.as_str()), (204, "Allow: GET, HEAD, OPTIONS\r\n"));
}

#[test]
fn directories_serve_their_index_and_redirect_to_their_slash() {
    let options =
        Options { prefix: "/site/".into(), index: vec!["index.html".into(), "index.txt".into()], ..Options::default() };
    for mut site in Site::both(options) {
        site.write("index.html", "top");
        site.write("docs/index.txt", "docs");
        fs::create_dir(site.at("bare")).unwrap();
        assert_eq!(site.get("/site/"), ok("top"));
        assert_eq!(site.get("/site/docs/"), ok("docs"));
        assert!(site.ask("GET", "/site/docs/", &[]).fields.contains("text/plain; charset=utf-8"));
        for (target, location) in [
            ("/site", "Location: /site/\r\n"),
            ("/site/docs?a=b/c", "Location: /site/docs/?a=b/c\r\n"),
            ("/site/bare", "Location: /site/bare/\r\n"),
        ] {
            let seen = site.ask("GET", target, &[]);
            assert_eq!(seen.status, 301);
            assert!(seen.fields.starts_with(location), "{target}: {}", seen.fields);
        }
        for absent in ["/site/bare/", "/site/docs/index.txt/", "/site/absent", "/site/absent/", "/other", "/sitex"] {
            assert_eq!(site.get(absent), not_found(), "{absent}");
        }
        // A name that comes first appears, within a second, although a later one is in the cache.
        site.write("docs/index.html", "newer");
        site.pass(1000);
        assert_eq!(site.get("/site/docs/"), ok("newer"));
        fs::remove_file(site.at("docs/index.html")).unwrap();
        site.pass(1000);
        assert_eq!(site.get("/site/docs/"), ok("docs"));
    }
}

#[test]
fn what_is_not_for_the_public_is_not_shown() {
    for site in Site::both(Options::default()) {
        site.write(".git/config", "secret");
        site.write(".env", "secret");
        site.write(".well-known/acme", "public");
        site.write("sub/file", "x");
        let outside = site.dir.path().parent().unwrap().join("outside-of-every-root");
        fs::write(&outside, "secret").unwrap();
        symlink(&outside, site.at("out")).unwrap();
        mknodat(CWD, site.at("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert_eq!(site.get("/.well-known/acme"), ok("public"));
        let hidden =
            ["/.git/config", "/.env", "/%2eenv", "/sub%2ffile", "/sub%5cfile", "/../x", "/%", "/x%00", "/pipe"];
        for target in hidden {
            assert_eq!(site.get(target), not_found(), "{target}");
        }
        assert_eq!(site.get(&format!("/{}", "n".repeat(300))), not_found());
        assert_eq!(site.get("/out").0, 403);
    }
    let [site, _] = Site::both(Options { hidden: true, ..Options::default() });
    site.write(".env", "shown");
    assert_eq!(site.get("/.env"), ok("shown"));
}

#[test]
fn links_within_the_root_are_followed_where_the_kernel_can_contain_them() {
    let [kernel, walk] = Site::both(Options::default());
    for site in [&kernel, &walk] {
        site.write("real/page", "page");
        symlink("real", site.at("link")).unwrap();
    }
    assert_eq!(walk.get("/link/page").0, 403);
    if ::fs::Root::open(kernel.dir.path()).unwrap().mode() == ::fs::Mode::Beneath {
        assert_eq!(kernel.get("/link/page"), ok("page"));
    }
}

#[test]
fn a_fallback_answers_for_what_is_not_there() {
    for mut site in Site::both(Options { fallback: Some("/app.html".into()), ..Options::default() }) {
        site.write("app.html", "app");
        site.write("real", "real");
        fs::create_dir(site.at("empty")).unwrap();
        assert_eq!(site.get("/real"), ok("real"));
        for target in ["/users/7", "/", "/empty/", "/users/8"] {
            assert_eq!(site.get(target), ok("app"), "{target}");
            assert!(site.ask("GET", target, &[]).fields.contains("text/html"));
        }
        // One entry for the fallback however many paths lead to it.
        assert_eq!(site.cache.stats().entries, 2);
        assert_eq!(site.get("/.env"), not_found());
        site.write("app.html", "application");
        site.pass(1000);
        assert_eq!(site.get("/users/9"), ok("application"));
        fs::remove_file(site.at("app.html")).unwrap();
        site.pass(1000);
        assert_eq!(site.get("/users/9"), not_found());
    }
}

#[test]
fn several_parts_are_sent_as_one_answer() {
    let site = Site::plain();
    let digits = "0123456789".repeat(3000);
    site.write("small.txt", &digits[..1000]);
    site.write("large.txt", &digits);
    for (target, size) in [("/small.txt", 1000), ("/large.txt", 30_000)] {
        let seen = site.ask("GET", target, &[("Range", "bytes=500-504,0-1,-3")]);
        assert_eq!(seen.status, 206);
        let boundary = seen.fields.split_once("multipart/byteranges; boundary=").unwrap().1.trim_end();
        let part = |first: u64, last: u64| {
            let text = &digits[first as usize..=last as usize];
            let kind = "Content-Type: text/plain; charset=utf-8";
            format!("\r\n--{boundary}\r\n{kind}\r\nContent-Range: bytes {first}-{last}/{size}\r\n\r\n{text}")
        };
        let want = part(500, 504) + &part(0, 1) + &part(size - 3, size - 1) + &format!("\r\n--{boundary}--\r\n");
        assert_eq!(seen.body, want);
        assert_eq!(site.ask("GET", target, &[("Range", "bytes=0-5,3-8")]).body, "012345678");
        assert_eq!(site.ask("GET", target, &[("Range", "bytes=30000-,40000-")]).status, 416);
        assert_eq!(site.ask("HEAD", target, &[("Range", "bytes=0-1,500-")]).status, 200);
    }
}
