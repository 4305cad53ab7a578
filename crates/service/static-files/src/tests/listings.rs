//! Folders that show what is in them.

use std::os::unix::fs::symlink;

use super::*;

fn listing(options: Options) -> [Site; 2] {
    let sites = Site::both(Options { listing: true, ..options });
    for site in &sites {
        site.write("a.txt", "12345");
        site.write("sub/b <i>.txt", "1");
        site.write("sub/.hidden", "1");
        site.write("sub/deeper/x", "1");
        site.write("indexed/index.html", "index");
        symlink("/etc", site.at("sub/out")).unwrap();
    }
    sites
}

#[test]
fn a_folder_without_index_is_listed() {
    for site in listing(Options::default()) {
        let seen = site.ask("GET", "/sub/?sort=size&order=desc", &[]);
        assert_eq!(seen.status, 200);
        assert!(seen.fields.contains("Content-Type: text/html; charset=utf-8\r\n"), "{}", seen.fields);
        assert!(
            seen.fields.contains("Vary: Accept\r\n") && seen.fields.contains("X-Content-Type-Options: nosniff\r\n")
        );
        assert!(seen.body.contains("b &lt;i&gt;.txt") && seen.body.contains("href=\"./deeper/\""), "{}", seen.body);
        assert!(!seen.body.contains("hidden") && !seen.body.contains("out"), "{}", seen.body);
        assert!(seen.body.contains("aria-sort=\"descending\"><a href=\"?sort=size&amp;order=asc\""));
        let json = site.ask("GET", "/sub/", &[("Accept", "application/json")]);
        assert!(json.fields.contains("Content-Type: application/json\r\n"));
        assert!(json.body.contains("{\"name\":\"b \\u003ci>.txt\",\"type\":\"file\",\"size\":1,"), "{}", json.body);
        assert_eq!(site.ask("HEAD", "/sub/", &[]).body, "");
        assert_eq!(site.get("/indexed/"), ok("index"));
        assert!(site.get("/").1.contains("href=\"./indexed/\""));
        assert_eq!(site.ask("GET", "/sub", &[]).status, 301);
        for absent in ["/absent/", "/a.txt/", "/.git/", "/sub/%2e%2e%2f/"] {
            assert_eq!(site.get(absent), not_found(), "{absent}");
        }
        assert_eq!(site.ask("POST", "/sub/", &[]).status, 405);
    }
}

#[test]
fn a_long_listing_is_compressed_for_who_takes_it() {
    use std::io::Read;
    let options = Options { compress: vec![crate::Coding::Zstd, crate::Coding::Gzip], ..Options::default() };
    for site in listing(options) {
        (0..100).for_each(|n| site.write(&format!("many/file-{n}.txt"), "1"));
        let plain = site.ask("GET", "/many/", &[]);
        assert!(plain.fields.contains("Vary: Accept, Accept-Encoding\r\n"), "{}", plain.fields);
        for (accept, json) in [("gzip", ""), ("gzip, zstd;q=0", "application/json")] {
            let lines = [("Accept-Encoding", accept), ("Accept", json)];
            let seen = site.ask("GET", "/many/", &lines);
            assert!(seen.fields.contains("Content-Encoding: gzip\r\n"), "{}", seen.fields);
            let bytes = site.bytes("/many/", &lines);
            let mut text = String::new();
            flate2::read::GzDecoder::new(&*bytes).read_to_string(&mut text).unwrap();
            assert!(bytes.len() * 5 < text.len() && text.contains("file-99.txt"));
            assert!(!json.is_empty() || text == plain.body);
            assert_eq!(site.ask("HEAD", "/many/", &lines), Seen { body: String::new(), ..seen });
        }
        // Nothing is gained by it, or nobody takes it.
        for (target, accept) in [("/sub/deeper/", "gzip"), ("/many/", "br"), ("/many/", "gzip;q=0")] {
            let json = ("Accept", "application/json");
            let seen = site.ask("GET", target, &[("Accept-Encoding", accept), json]);
            assert!(!seen.fields.contains("Content-Encoding"), "{}", seen.fields);
        }
    }
}

#[test]
fn what_is_new_is_listed_at_once() {
    for site in listing(Options::default()) {
        assert!(!site.get("/sub/").1.contains("fresh"));
        site.write("sub/fresh", "1");
        assert!(site.get("/sub/").1.contains("fresh"));
        site.write("sub/index.html", "an index");
        assert_eq!(site.get("/sub/"), ok("an index"));
    }
}

#[test]
fn nothing_is_listed_unless_it_is_wanted() {
    for site in Site::both(Options::default()) {
        site.write("sub/a", "1");
        assert_eq!(site.get("/sub/"), not_found());
        assert_eq!(site.get("/"), not_found());
    }
    let [site, _] = listing(Options { hidden: true, ..Options::default() });
    assert!(site.get("/sub/").1.contains(".hidden"));
    // A fallback is for what is not there; the folder is.
    let [site, _] = listing(Options { fallback: Some("/a.txt".into()), ..Options::default() });
    assert!(site.get("/sub/").1.contains("deeper"));
    assert_eq!(site.get("/nowhere/"), ok("12345"));
}

#[test]
fn of_a_large_folder_the_beginning_is_listed_and_the_rest_counted() {
    let [site, _] = listing(Options::default());
    for n in 0..crate::listing::NAMES_MAX + 3 {
        site.write(&format!("large/{n:05}"), "");
    }
    let page = site.get("/large/").1;
    assert!(page.contains("0 folders, 10000 files, 0 B; 3 more, which come behind these by name, are not shown"));
    let names: Vec<usize> = page.split("href=\"./").filter_map(|rest| rest.get(..5)?.parse().ok()).collect();
    assert!(names.into_iter().eq(0..crate::listing::NAMES_MAX));
    let json = site.ask("GET", "/large/?order=desc", &[("Accept", "application/json")]).body;
    assert!(json.contains("\"complete\":false,\"left_out\":3,\"entries\":[\n{\"name\":\"09999\""), "{}", &json[..200]);
}

#[test]
fn what_is_never_served_is_not_listed() {
    for site in listing(Options { hidden: true, ..Options::default() }) {
        site.write("odd/back\\slash.txt", "1");
        site.write("odd/back\\folder/x", "1");
        site.write("odd/new\nline", "1");
        let page = site.get("/odd/").1;
        assert!(page.contains("0 folders, 1 file") && page.contains("./new%0Aline\""), "{page}");
        assert_eq!(site.get("/odd/new%0Aline"), ok("1"));
        assert_eq!(site.get("/odd/back%5Cslash.txt"), not_found());
    }
}

#[test]
fn a_listing_that_is_live_has_what_is_put_to_the_end_of_pages() {
    let suffix: Arc<str> = "<script src=\"/live.js\"></script>\n".into();
    let live = Options { page_suffix: Some(Rc::new(std::cell::RefCell::new(suffix))), ..Options::default() };
    for site in listing(live) {
        let page = site.ask("GET", "/sub/", &[]);
        assert!(page.body.ends_with("</html>\n<script src=\"/live.js\"></script>\n"), "{}", page.body);
        assert!(page.fields.contains("script-src 'self'; connect-src 'self'"), "{}", page.fields);
        let json = site.ask("GET", "/sub/", &[("Accept", "application/json")]);
        assert!(!json.body.contains("script") && !json.fields.contains("script-src"), "{json:?}");
    }
    for site in listing(Options::default()) {
        assert!(!site.ask("GET", "/sub/", &[]).fields.contains("script-src"));
    }
}

#[test]
fn only_so_much_of_long_lists_is_on_its_way_at_a_time() {
    let site = Site::new(Options { listing: true, ..Options::default() }, Limits::default(), |p| ::fs::Root::open(p));
    (0..150).for_each(|n| site.write(&format!("long/{n}"), ""));
    site.write("short/1", "");
    let length = site.get("/long/").1.len();
    let status = |answer: &Answer| match answer {
        Answer::Send { head, .. } => head.status,
        Answer::Stream { head, .. } => head.status,
        Answer::Refuse(failure) => failure.status,
    };
    let mut held: Vec<Answer> = (0..(32 << 20) / length).map(|_| site.answer("GET", "/long/", &[]).0).collect();
    assert!(held.iter().all(|answer| status(answer) == 200));
    assert_eq!(status(&site.answer("GET", "/long/", &[]).0), 503);
    assert_eq!((site.get("/short/").0, site.ask("HEAD", "/long/", &[]).status), (200, 200));
    held.pop();
    assert_eq!(site.get("/long/").0, 200);
}

#[test]
fn only_what_is_listed_takes_a_cpu() {
    let [_, site] = listing(Options::default());
    for (path, is_listed) in [("/sub/", true), ("/indexed/", false)] {
        let asked = request("GET", path, &[]);
        let mut step = site.files.begin(&asked, path.as_bytes(), site.moment());
        let mut kinds = Vec::new();
        let answer = loop {
            match step {
                Step::Ready(answer) => break answer,
                Step::Blocking(work) => {
                    let Work { lookup, claim } = *work;
                    kinds.push(lookup.is_cpu_bound());
                    let (lookup, outcome) = lookup.wait();
                    step = site.files.conclude(&asked, path.as_bytes(), site.moment(), Work { lookup, claim }, outcome);
                }
            }
        };
        assert!(matches!(answer, Answer::Send { head, .. } if head.status == 200), "{path}");
        assert_eq!(kinds, if is_listed { &[false, true][..] } else { &[false] }, "{path}");
    }
}
