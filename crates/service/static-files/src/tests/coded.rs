//! Files in content codings.

use std::io::Read;

use content_coding::Coding;

use super::freshness::settled;
use super::*;

const GZIP: [(&str, &str); 1] = [("Accept-Encoding", "gzip")];
const BROWSER: [(&str, &str); 1] = [("Accept-Encoding", "gzip, deflate, br, zstd")];

fn precompressed() -> Options {
    Options { precompressed: Coding::ALL.into(), ..Options::default() }
}

fn compressing() -> Options {
    Options { compress: vec![Coding::Zstd, Coding::Gzip], ..Options::default() }
}

fn unzip(bytes: &[u8]) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(bytes).read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_sibling_is_sent_to_who_accepts_it() {
    for site in Site::both(precompressed()) {
        site.write("page.html", "plain");
        site.write("page.html.gz", "in gzip");
        site.write("page.html.br", "in brotli");
        for _ in 0..2 {
            let br = site.ask("GET", "/page.html", &BROWSER);
            assert_eq!((br.status, br.body.as_str()), (200, "in brotli"));
            assert!(br.fields.contains("Content-Encoding: br\r\n"), "{}", br.fields);
            assert!(br.fields.contains("Content-Type: text/html; charset=utf-8\r\n"));
            let gz = site.ask("GET", "/page.html", &[("Accept-Encoding", "gzip, br;q=0.9")]);
            assert_eq!(gz.body, "in gzip");
            let plain = site.ask("GET", "/page.html", &[]);
            assert_eq!(plain.body, "plain");
            assert!(!plain.fields.contains("Content-Encoding"));
            let refused = site.ask("GET", "/page.html", &[("Accept-Encoding", "zstd, br;q=0")]);
            assert_eq!(refused.body, "plain");
            for seen in [&br, &gz, &plain, &refused] {
                assert!(seen.fields.contains("Vary: Accept-Encoding\r\n"), "{}", seen.fields);
            }
            // Each has a strong tag of its own, and parts.
            let tag =
                |seen: &Seen| seen.fields.split_once("ETag: \"").unwrap().1.split_once('"').unwrap().0.to_string();
            assert_ne!(tag(&br), tag(&gz));
            assert_ne!(tag(&br), tag(&plain));
            let same = format!("\"{}\"", tag(&br));
            let lines = [BROWSER[0], ("If-None-Match", same.as_str())];
            let unchanged = site.ask("GET", "/page.html", &lines);
            assert_eq!(unchanged.status, 304);
            assert!(unchanged.fields.contains("Vary: Accept-Encoding\r\n"));
            assert_eq!(site.ask("GET", "/page.html", &[GZIP[0], ("If-None-Match", same.as_str())]).status, 200);
            let part = site.ask("GET", "/page.html", &[GZIP[0], ("Range", "bytes=0-1")]);
            assert_eq!((part.status, part.body.as_str()), (206, "in"));
            assert!(part.fields.contains("Content-Encoding: gzip\r\n"));
        }
    }
}

#[test]
fn what_a_directory_does_not_hold_is_not_waited_for() {
    let [mut site, _] = Site::both(precompressed());
    for n in 0..20 {
        site.write(&format!("a/{n}.png"), "plain");
    }
    let a = ::fs::Root::open(site.at("a")).unwrap();
    while !a.stat(b"", ::fs::Reach::Disk).unwrap().is_settled() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let ask = |site: &Site, n: u32| site.answer("GET", &format!("/a/{n}.png"), &GZIP).1;
    // In a name that nobody has asked for the kernel has to look at the disk.
    assert!(ask(&site, 0));
    let waited = (1..10).filter(|n| ask(&site, *n)).count();
    assert!(waited < 9, "{waited} of 9");
    assert_eq!(site.ask("GET", "/a/9.png", &GZIP).body, "plain");
    site.write("a/9.png.gz", "in gzip");
    site.write("a/10.png.br", "in brotli");
    site.pass(1000);
    assert_eq!(site.ask("GET", "/a/9.png", &GZIP).body, "in gzip");
    assert_eq!(site.ask("GET", "/a/10.png", &BROWSER).body, "in brotli");
}

#[test]
fn siblings_come_and_go() {
    for mut site in Site::both(precompressed()) {
        site.write("page.html", "plain");
        let seen = site.ask("GET", "/page.html", &GZIP);
        assert_eq!(seen.body, "plain");
        assert!(!seen.fields.contains("Vary"));
        site.write("page.html.gz", "one");
        site.pass(1000);
        assert_eq!(site.ask("GET", "/page.html", &GZIP).body, "one");
        site.write("page.html.gz", "another");
        site.pass(1000);
        assert_eq!(site.ask("GET", "/page.html", &GZIP).body, "another");
        // Gone, and nobody has looked since: the file itself is there.
        fs::remove_file(site.at("page.html.gz")).unwrap();
        fs::create_dir(site.at("page.html.gz")).unwrap();
        site.pass(1000);
        assert_eq!(site.ask("GET", "/page.html", &GZIP).body, "plain");
        // A sibling is nothing without its file, except what it is itself.
        site.write("lone.gz", "lone");
        assert_eq!(site.ask("GET", "/lone", &GZIP).status, 404);
        assert_eq!(site.ask("GET", "/lone.gz", &GZIP).body, "lone");
    }
}

#[test]
fn a_sibling_that_is_older_than_its_file_is_not_sent() {
    for mut site in Site::both(precompressed()) {
        let said = Rc::new(std::cell::RefCell::new(Vec::new()));
        let heard = Rc::clone(&said);
        site.cache.tell_to(move |sentence| heard.borrow_mut().push(sentence.to_owned()));
        let modified = |site: &Site, name: &str, secs| {
            let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(secs);
            fs::File::options().write(true).open(site.at(name)).unwrap().set_modified(at).unwrap();
        };
        site.write("page.html", "plain");
        site.write("page.html.gz", "in gzip");
        // Copied a little earlier.
        modified(&site, "page.html", 1_000_000_002);
        modified(&site, "page.html.gz", 1_000_000_000);
        assert_eq!(site.ask("GET", "/page.html", &GZIP).body, "in gzip");
        // Edited later.
        modified(&site, "page.html", 1_000_000_003);
        site.pass(1000);
        let plain = site.ask("GET", "/page.html", &GZIP);
        assert_eq!((plain.body.as_str(), plain.fields.contains("Vary")), ("plain", false));
        let wanted = "page.html.gz is older than ";
        assert!(said.borrow().len() == 1 && said.borrow()[0].contains(wanted), "{said:?}");
        // Made again.
        modified(&site, "page.html.gz", 1_000_000_003);
        site.pass(1000);
        assert_eq!(site.ask("GET", "/page.html", &GZIP).body, "in gzip");
        // Replaced by one that is older, and nothing of the file has changed.
        modified(&site, "page.html.gz", 1_000_000_000);
        site.pass(1000);
        assert_eq!(site.ask("GET", "/page.html", &GZIP).body, "plain");
        assert_eq!(site.ask("GET", "/page.html.gz", &GZIP).body, "in gzip", "by its own name");
    }
}

#[test]
fn an_older_sibling_is_told_of_when_the_first_client_comes_that_would_take_it() {
    let options = Options { compress: Coding::ALL.into(), ..precompressed() };
    for mut site in Site::both(options) {
        let said = Rc::new(std::cell::RefCell::new(Vec::new()));
        let heard = Rc::clone(&said);
        site.cache.tell_to(move |sentence| heard.borrow_mut().push(sentence.to_owned()));
        settled(&site, "page.html", &"plain ".repeat(1000));
        for name in ["page.html.gz", "page.html.br"] {
            site.write(name, "older");
            fs::File::options().write(true).open(site.at(name)).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        }
        for (accept, count) in [("identity", 0), ("gzip", 1), ("gzip", 1), ("gzip, br", 2), ("gzip, br", 2)] {
            site.ask("GET", "/page.html", &[("Accept-Encoding", accept)]);
            assert_eq!(said.borrow().len(), count, "{accept}: {said:?}");
        }
        site.pass(1000);
        site.ask("GET", "/page.html", &BROWSER);
        assert_eq!(said.borrow().len(), 2, "it was looked at again: {said:?}");
    }
}

#[test]
fn a_name_with_line_ends_stays_within_its_sentence() {
    let site = Site::new(precompressed(), Limits::default(), |p| ::fs::Root::open(p));
    let said = Rc::new(std::cell::RefCell::new(String::new()));
    let heard = Rc::clone(&said);
    site.cache.tell_to(move |sentence| heard.borrow_mut().push_str(sentence));
    site.write("a\nerror \x1b[2J\u{e9}.html", "plain");
    site.write("a\nerror \x1b[2J\u{e9}.html.gz", "in gzip");
    let at = SystemTime::UNIX_EPOCH;
    let sibling = site.at("a\nerror \x1b[2J\u{e9}.html.gz");
    fs::File::options().write(true).open(sibling).unwrap().set_modified(at).unwrap();
    assert_eq!(site.ask("GET", "/a%0Aerror%20%1B%5B2J%C3%A9.html", &GZIP).body, "plain");
    assert!(said.borrow().contains("/a?error ?[2J\u{e9}.html.gz is older than "), "{said:?}");
    assert!(!said.borrow().contains(char::is_control), "{said:?}");
}

#[test]
fn a_sibling_as_long_and_as_old_as_its_file_has_another_tag() {
    for site in Site::both(precompressed()) {
        for name in ["page.html", "page.html.gz", "page.html.br"] {
            site.write(name, "as long");
            let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
            fs::File::options().write(true).open(site.at(name)).unwrap().set_modified(at).unwrap();
        }
        let tag = |accept| {
            let fields = site.ask("GET", "/page.html", &[("Accept-Encoding", accept)]).fields;
            fields.split_once("ETag: \"").unwrap().1.split_once('"').unwrap().0.to_owned()
        };
        let (plain, gzip, br) = (tag("identity"), tag("gzip"), tag("br"));
        assert!(plain != gzip && plain != br && gzip != br, "{plain} {gzip} {br}");
        let held = format!("\"{plain}\"");
        assert_eq!(site.ask("GET", "/page.html", &[GZIP[0], ("If-None-Match", &held)]).status, 200);
    }
}

#[test]
fn index_and_fallback_have_siblings_too() {
    let options = Options { fallback: Some("/index.html".into()), ..precompressed() };
    for site in Site::both(options) {
        site.write("index.html", "plain");
        site.write("index.html.gz", "small");
        for target in ["/", "/somewhere/else", "/", "/somewhere/else"] {
            assert_eq!(site.ask("GET", target, &GZIP).body, "small", "{target}");
            assert_eq!(site.get(target), ok("plain"));
        }
    }
}

#[test]
fn a_file_is_compressed_once() {
    for mut site in Site::both(compressing()) {
        let text = "once upon a time ".repeat(1000);
        site.write("tale.txt", &text);
        // So that its stamps can tell it from what follows.
        std::thread::sleep(std::time::Duration::from_millis(150));
        let (first, blocked) = site.answer("GET", "/tale.txt", &GZIP);
        assert!(blocked);
        let Answer::Send { head, body } = first else { panic!("refused") };
        assert_eq!(head.fields.first(message::Known::ContentEncoding), Some(&b"gzip"[..]));
        assert_eq!(head.fields.first(message::Known::AcceptRanges), None);
        let tag = String::from_utf8(head.fields.first(message::Known::Etag).unwrap().into()).unwrap();
        assert!(tag.starts_with("W/\""));
        let bytes = bytes_of(body);
        assert!(bytes.len() < text.len() / 20);
        assert_eq!(unzip(&bytes), text);
        let (_, blocked) = site.answer("GET", "/tale.txt", &GZIP);
        assert!(!blocked, "it was compressed again");
        assert_eq!(site.bytes("/tale.txt", &GZIP), bytes);
        assert!(site.ask("GET", "/tale.txt", &BROWSER).fields.contains("Content-Encoding: zstd\r\n"));
        let plain = site.ask("GET", "/tale.txt", &[]);
        assert_eq!(plain.body, text);
        assert!(plain.fields.contains("Vary: Accept-Encoding\r\n") && plain.fields.contains("ETag: \""));
        // Who has it needs no compressor, and gets no part of it.
        site.pass(1000);
        let lines = [("Accept-Encoding", "zstd"), ("If-None-Match", tag.as_str())];
        let unchanged = site.ask("GET", "/tale.txt", &lines);
        assert_eq!(unchanged.status, 304);
        assert!(unchanged.fields.starts_with(&format!("ETag: {tag}\r\n")), "{}", unchanged.fields);
        let part = site.ask("GET", "/tale.txt", &[GZIP[0], ("Range", "bytes=0-3")]);
        assert_eq!((part.status, part.body.as_str()), (206, "once"));
        let part = site.ask("GET", "/tale.txt", &[GZIP[0], ("Range", "bytes=0-3"), ("If-Range", &tag)]);
        assert_eq!(part.status, 200);
        // A change shows.
        let text = "and they lived happily ".repeat(1000);
        site.write("tale.txt", &text);
        site.pass(1000);
        assert_eq!(unzip(&site.bytes("/tale.txt", &GZIP)), text);
    }
}

#[test]
fn what_would_not_shrink_is_not_compressed() {
    let site = Site::both(compressing());
    for site in &site {
        let noise: Vec<u8> = (0..5000u32).map(|n| ((n.wrapping_mul(2_654_435_761) >> 13) ^ (n * n)) as u8).collect();
        site.write("noise.txt", &noise);
        site.write("photo.jpg", "x".repeat(5000));
        site.write("short.txt", "x".repeat(1023));
        site.write("large.txt", "x".repeat((16 << 20) + 1));
        for name in ["/photo.jpg", "/short.txt", "/large.txt"] {
            let seen = site.ask("GET", name, &BROWSER);
            assert!(!seen.fields.contains("Vary") && !seen.fields.contains("Content-Encoding"), "{name}");
        }
        std::thread::sleep(std::time::Duration::from_millis(150));
        assert_eq!(site.bytes("/noise.txt", &GZIP), noise);
        assert!(!site.answer("GET", "/noise.txt", &GZIP).1, "it was tried again");
    }
}

#[test]
fn large_files_are_compressed_on_their_way() {
    for site in Site::both(compressing()) {
        site.write("large.txt", "x".repeat((1 << 20) + 1));
        let seen = site.ask("GET", "/large.txt", &GZIP);
        assert_eq!((seen.status, seen.body.as_str()), (200, "a stream"));
        assert!(
            seen.fields.contains("ETag: W/\"") && seen.fields.contains("Content-Encoding: gzip\r\n"),
            "{}",
            seen.fields
        );
        assert!(!seen.fields.contains("Accept-Ranges"));
        assert_eq!(site.ask("HEAD", "/large.txt", &GZIP), Seen { body: String::new(), ..seen });
        let part = site.ask("GET", "/large.txt", &[GZIP[0], ("Range", "bytes=0-1")]);
        assert_eq!((part.status, part.body.as_str()), (206, "xx"));
        assert_eq!(site.ask("GET", "/large.txt", &[GZIP[0], ("If-None-Match", "*")]).status, 304);
        assert_eq!(site.ask("GET", "/large.txt", &[GZIP[0], ("If-Match", "\"x\"")]).status, 412);
        assert_eq!(site.get("/large.txt").1.len(), (1 << 20) + 1);
    }
}

#[test]
fn siblings_go_before_the_compressor() {
    let options = Options { precompressed: vec![Coding::Gzip], ..compressing() };
    for site in Site::both(options) {
        site.write("a.txt", "x".repeat(5000));
        site.write("a.txt.gz", "sibling");
        assert_eq!(site.ask("GET", "/a.txt", &BROWSER).body, "sibling");
        assert!(site.ask("GET", "/a.txt", &[("Accept-Encoding", "zstd")]).fields.contains("ETag: W/"));
    }
}

#[test]
fn while_one_compresses_the_others_get_the_file_as_it_is() {
    let site = Site::plain();
    drop(site);
    let site = Site::new(compressing(), Limits::default(), |p| ::fs::Root::open(p));
    let text = "x".repeat(5000);
    site.write("a.txt", &text);
    let request = request("GET", "/a.txt", &GZIP);
    assert_eq!(site.get("/a.txt"), ok(&text));
    let Step::Blocking(work) = site.files.begin(&request, b"/a.txt", site.moment()) else { panic!("not compressed") };
    assert_eq!(site.ask("GET", "/a.txt", &GZIP).body, text);
    assert_eq!(unzip(&site.bytes("/a.txt", &[("Accept-Encoding", "gzip, identity;q=0")])), text);
    site.cache.remove(site.files.coded_owners[Coding::Gzip.index()].unwrap(), b"/a.txt");
    // Given up: the next one does it.
    drop(work);
    assert_eq!(unzip(&site.bytes("/a.txt", &GZIP)), text);
}

#[test]
fn siblings_are_found_by_the_first_who_takes_them() {
    let options = Options { precompressed: vec![Coding::Brotli, Coding::Gzip], ..compressing() };
    for mut site in Site::both(options) {
        let text = "x".repeat(5000);
        site.write("a.txt", &text);
        site.write("a.txt.br", "in brotli");
        site.write("a.txt.gz", "in gzip");
        for _ in 0..2 {
            // Each time in a coding that nobody took before, and again, while the file lies in the cache.
            let plain = site.ask("GET", "/a.txt", &[]);
            assert_eq!(plain.body, text);
            assert!(plain.fields.contains("Vary: Accept-Encoding\r\n"), "{}", plain.fields);
            for _ in 0..2 {
                assert_eq!(site.ask("GET", "/a.txt", &GZIP).body, "in gzip");
                assert_eq!(site.ask("GET", "/a.txt", &BROWSER).body, "in brotli");
            }
            assert_eq!(site.ask("GET", "/a.txt", &[]), plain);
            site.pass(1000);
        }
        // One that comes later, and nobody asks without taking it.
        site.write("b.txt", &text);
        assert_eq!(site.get("/b.txt"), ok(&text));
        assert!(site.ask("GET", "/b.txt", &GZIP).fields.contains("ETag: W/"));
        site.write("b.txt.gz", "in gzip");
        site.pass(1000);
        assert_eq!(site.get("/b.txt"), ok(&text));
        assert_eq!(site.ask("GET", "/b.txt", &GZIP).body, "in gzip");
        // A small one says Vary only because of its siblings: to everybody.
        site.write("c.txt", "small");
        site.write("c.txt.br", "in brotli");
        assert!(site.ask("GET", "/c.txt", &[]).fields.contains("Vary: Accept-Encoding\r\n"));
    }
}

#[test]
fn small_files_are_compressed_from_what_the_cache_holds() {
    let site = Site::new(compressing(), Limits::default(), |p| ::fs::Root::open(p));
    // In memory, and as a descriptor.
    let texts = ["once upon a time ".repeat(500), "and they lived happily ".repeat(2500)];
    for (name, text) in ["/a.txt", "/b.txt"].into_iter().zip(&texts) {
        site.write(&name[1..], text);
        let noise: Vec<u8> = (0..50_000u32).map(|n| ((n.wrapping_mul(2_654_435_761) >> 13) ^ (n * n)) as u8).collect();
        let noisy = format!("/noise-of-{}", &name[1..]);
        site.write(&noisy[1..], noise);
        std::thread::sleep(std::time::Duration::from_millis(150));
        let begin = |name: &str| {
            let request = request("GET", name, &GZIP);
            let Step::Blocking(work) = site.files.begin(&request, name.as_bytes(), site.moment()) else {
                panic!("not compressed")
            };
            (request, *work)
        };
        let (asked, work) = begin(name);
        let outcome = work.claim.coded.as_ref().unwrap().make_in_brief().unwrap();
        let step = site.files.conclude(&asked, name.as_bytes(), site.moment(), work, outcome);
        let Step::Ready(Answer::Send { head, body }) = step else { panic!("{step:?}") };
        assert!(head.fields.first(message::Known::Etag).unwrap().starts_with(b"W/\""));
        let bytes = bytes_of(body);
        assert_eq!(unzip(&bytes), *text);
        assert!(!site.answer("GET", name, &GZIP).1, "it was compressed again");
        assert_eq!(site.bytes(name, &GZIP), bytes);
        // The same as on another thread.
        site.cache.remove(site.files.coded_owners[Coding::Gzip.index()].unwrap(), name.as_bytes());
        assert!(site.answer("GET", name, &GZIP).1);
        assert_eq!(site.bytes(name, &GZIP), bytes);
        let (asked, work) = begin(&noisy);
        let outcome = work.claim.coded.as_ref().unwrap().make_in_brief().unwrap();
        let step = site.files.conclude(&asked, noisy.as_bytes(), site.moment(), work, outcome);
        assert!(matches!(&step, Step::Ready(Answer::Send { head, .. }) if head.status == 200), "{step:?}");
    }
}

#[test]
fn a_file_that_is_no_longer_what_it_was_is_not_compressed_from_its_descriptor() {
    let mut site = Site::new(compressing(), Limits::default(), |p| ::fs::Root::open(p));
    site.write("b.txt", "x".repeat(50_000));
    assert_eq!(site.get("/b.txt").0, 200);
    site.write("b.txt", "y".repeat(40_000));
    let asked = request("GET", "/b.txt", &GZIP);
    let Step::Blocking(work) = site.files.begin(&asked, b"/b.txt", site.moment()) else { panic!("not compressed") };
    assert!(work.claim.coded.as_ref().unwrap().make_in_brief().is_none());
    drop(work);
    site.pass(1000);
    assert_eq!(unzip(&site.bytes("/b.txt", &GZIP)), "y".repeat(40_000));
}
