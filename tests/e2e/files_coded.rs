//! Content codings: siblings as nginx serves them, and what is compressed here, decoded by curl.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use tests::{Client, Tollgate, peers, peers::curl};

use crate::files::site;
use crate::files_like_nginx::asked;

fn get(path: &str, accept: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: test\r\nAccept-Encoding: {accept}\r\n\r\n")
}

fn page() -> String {
    (0..2000).map(|n| format!("<li>item {} of the list</li>\n", n * 7919 % 2000)).collect()
}

/// A file whose stamps are old enough to be trusted.
fn write(root: &Path, name: &str, content: impl AsRef<[u8]>) {
    let file = root.join(name);
    fs::write(&file, content).expect("a file of ours");
    let hour_ago = SystemTime::now() - Duration::from_secs(3600);
    fs::File::options().write(true).open(file).and_then(|f| f.set_modified(hour_ago)).expect("a file of ours");
    // Nobody can set back when it was last changed; what is younger than a file system's stamps can tell is not kept.
    sleep(Duration::from_millis(150));
}

#[test]
fn siblings_are_served_as_nginx_does() {
    let root = site();
    write(root.path(), "page.html", page());
    write(root.path(), "page.html.gz", "in gzip");
    let ours = Tollgate::server(root.path());
    let theirs = peers::nginx(root.path(), "gzip_static on; gzip_vary on;");
    for (path, accept) in [
        ("/page.html", "gzip"),
        ("/page.html", "gzip, deflate"),
        ("/page.html", "gzip;q=0.5"),
        ("/page.html", "gzip;q=0"),
        ("/page.html", "deflate"),
        ("/page.html", "identity"),
        ("/page.html.gz", "gzip"),
        ("/ten.txt", "gzip"),
    ] {
        let request = get(path, accept);
        let (ours, theirs) = (asked(ours.address(), "GET", &request), asked(theirs.address, "GET", &request));
        for name in ["content-encoding", "content-length"] {
            assert_eq!(ours.field(name), theirs.field(name), "{name} of {path} for {accept}");
        }
        assert!(ours.body == theirs.body, "{path} for {accept}");
        if path == "/page.html" {
            assert_eq!(ours.field("vary"), theirs.field("vary"), "{accept}");
        }
    }
}

#[test]
fn a_sibling_that_is_older_than_its_file_is_named_in_the_log_and_not_sent() {
    let root = site();
    write(root.path(), "page.html.gz", "in gzip");
    fs::write(root.path().join("page.html"), page()).expect("a file of ours");
    let server = Tollgate::server(root.path());
    let reply = asked(server.address(), "GET", &get("/page.html", "gzip"));
    assert_eq!(reply.field("content-encoding").as_deref(), Some("gzip"), "compressed here");
    assert!(reply.body.starts_with(&[0x1f, 0x8b]) && reply.body != b"in gzip");
    server.process.logged("page.html.gz is older than ", 1);
}

#[test]
fn what_curl_decodes_is_the_file() {
    let root = site();
    write(root.path(), "page.html", page());
    let server = Tollgate::server(root.path());
    let supported = curl(["--version"]).out;
    for (coding, name) in [("gzip", "libz"), ("br", "brotli"), ("zstd", "zstd")] {
        let reply = asked(server.address(), "GET", &get("/page.html", coding));
        assert_eq!(reply.field("content-encoding").as_deref(), Some(coding));
        assert!(reply.field("etag").is_some_and(|tag| tag.starts_with("W/")), "{}", reply.head);
        assert!(reply.body.len() < page().len() / 4, "{coding}: {}", reply.body.len());
        if supported.contains(name) {
            let accept = format!("Accept-Encoding: {coding}");
            let ended = curl(["--compressed", "-H", &accept, &server.url("/page.html")]);
            assert_eq!((ended.code, ended.out == page()), (Some(0), true), "{coding}: {}", ended.err);
        }
    }
    let plain = asked(server.address(), "GET", &get("/page.html", "identity"));
    assert_eq!((plain.field("content-encoding"), plain.text() == page()), (None, true));
    assert_eq!(plain.field("vary").as_deref(), Some("Accept-Encoding"));
}

#[test]
fn many_at_once_get_the_same_file_in_one_form_or_another() {
    let root = site();
    write(root.path(), "page.html", page());
    let server = Tollgate::server(root.path());
    let mut clients: Vec<Client> = (0..20).map(|_| Client::connect(server.address())).collect();
    for round in 0..3 {
        clients.iter_mut().for_each(|client| client.send(get("/page.html", "zstd")));
        for client in &mut clients {
            let reply = client.reply();
            assert_eq!((reply.status, reply.complete), (200, true));
            match reply.field("content-encoding").as_deref() {
                Some("zstd") => assert!(reply.body.starts_with(&[0x28, 0xb5, 0x2f, 0xfd])),
                // While the first of them has it compressed.
                None if round == 0 => assert!(reply.text() == page()),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn a_head_says_what_a_get_would() {
    let root = site();
    write(root.path(), "page.html", page());
    let server = Tollgate::server(root.path());
    let got = asked(server.address(), "GET", &get("/page.html", "gzip"));
    let head = asked(server.address(), "HEAD", &get("/page.html", "gzip").replace("GET", "HEAD"));
    for name in ["content-encoding", "content-length", "content-type", "etag", "vary", "last-modified"] {
        assert_eq!(got.field(name), head.field(name), "{name}");
        assert!(got.field(name).is_some(), "{name}");
    }
}

#[test]
fn a_large_file_is_compressed_on_its_way() {
    let root = site();
    let text: String = (0..200_000).map(|n| format!("line {} of the log\n", n * 7919 % 200_000)).collect();
    write(root.path(), "log.txt", &text);
    let server = Tollgate::server(root.path());
    for coding in ["gzip", "br", "zstd"] {
        let head = asked(server.address(), "HEAD", &get("/log.txt", coding).replace("GET", "HEAD"));
        assert_eq!((head.status, head.field("content-length")), (200, None), "{coding}");
        let reply = asked(server.address(), "GET", &get("/log.txt", coding));
        assert_eq!(reply.field("content-encoding").as_deref(), Some(coding));
        assert_eq!(reply.field("transfer-encoding").as_deref(), Some("chunked"));
        assert!(reply.body.len() < text.len() / 3, "{coding}: {}", reply.body.len());
        // The next one gets the same without a compressor.
        let again = asked(server.address(), "GET", &get("/log.txt", coding));
        assert_eq!(again.field("content-length"), Some(again.body.len().to_string()), "{coding}");
        for name in ["content-encoding", "content-type", "etag", "last-modified", "vary"] {
            assert_eq!(again.field(name), reply.field(name), "{name}");
        }
        assert!(again.body == reply.body, "{coding}");
        let tag = again.field("etag").expect("a tag");
        let held = get("/log.txt", coding).replace("Host", &format!("If-None-Match: {tag}\r\nHost"));
        assert_eq!(asked(server.address(), "GET", &held).status, 304);
    }
    let ended = curl(["--compressed", "-H", "Accept-Encoding: gzip", &server.url("/log.txt")]);
    assert!(ended.code == Some(0) && ended.out == text, "{}", ended.err);
    // A change shows, and is compressed on its way.
    let text = text + "more\n";
    write(root.path(), "log.txt", &text);
    // An old client is told the end by the end of the connection.
    let ended = curl(["--http1.0", "--compressed", "-H", "Accept-Encoding: gzip", &server.url("/log.txt")]);
    assert!(ended.code == Some(0) && ended.out == text, "{}", ended.err);
    // The connection is as good as before.
    let mut client = Client::connect(server.address());
    for _ in 0..3 {
        assert!(client.ask(get("/log.txt", "zstd")).complete);
        assert_eq!(client.get("/ten.txt").text(), "0123456789");
    }
}

#[test]
fn what_is_too_large_for_the_cache_is_compressed_each_time() {
    let root = site();
    let noise = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let text: String = (0..400_000).map(|n| format!("{:x}\n", noise(n) ^ noise(n) >> 31)).collect();
    write(root.path(), "noise.txt", &text);
    let server = Tollgate::server(root.path());
    for _ in 0..2 {
        let reply = asked(server.address(), "GET", &get("/noise.txt", "gzip"));
        assert!(reply.body.len() > 2 << 20, "{}", reply.body.len());
        assert_eq!(reply.field("transfer-encoding").as_deref(), Some("chunked"));
    }
}

#[test]
fn a_client_that_does_not_read_holds_up_nobody_and_no_memory() {
    let root = site();
    let text: String =
        (0..400_000).map(|n| format!("{:x}\n", (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
    write(root.path(), "noise.txt", &text);
    let server = Tollgate::server(root.path());
    let mut slow: Vec<Client> = (0..24).map(|_| Client::connect_narrow(server.address())).collect();
    slow.iter_mut().for_each(|client| client.send(get("/noise.txt", "gzip")));
    for _ in 0..50 {
        assert_eq!(Client::connect(server.address()).get("/ten.txt").text(), "0123456789");
    }
    let status = fs::read_to_string(format!("/proc/{}/status", server.id())).expect("the status of the program");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    let kilobytes: u64 = resident.trim().trim_end_matches(" kB").parse().expect("a number");
    assert!(kilobytes < 200 << 10, "{kilobytes} KiB");
    // Those beyond what is compressed at a time got the file as it is. All get all of it.
    for mut client in slow {
        let reply = client.reply();
        assert_eq!((reply.status, reply.complete), (200, true));
        let coding = reply.field("content-encoding");
        assert!(coding.as_deref() == Some("gzip") || (coding.is_none() && reply.text() == text), "{coding:?}");
    }
}
