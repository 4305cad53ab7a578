//! nginx over the same folder: what it answers, we answer, but where the difference is meant.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;

use tests::{Client, Reply, Tollgate, peers};

use crate::files::site;

/// What is compared of an answer.
#[derive(Debug, PartialEq, Eq)]
struct Essence {
    status: u16,
    content_type: Option<String>,
    content_range: Option<String>,
    length: Option<String>,
    body: Vec<u8>,
}

fn essence(reply: &Reply) -> Essence {
    let ok = matches!(reply.status, 200 | 206);
    // The pages of errors and redirects are each server's own.
    let only_ok = |value: Option<String>| if ok { value } else { None };
    // nginx has no charset unless told, and we name it for text: compared without.
    let content_type = only_ok(reply.field("content-type")).map(|t| t.split(';').next().unwrap_or_default().to_owned());
    Essence {
        status: reply.status,
        content_type: content_type.map(|t| if t == "application/javascript" { "text/javascript".into() } else { t }),
        content_range: reply.field("content-range"),
        length: only_ok(reply.field("content-length")),
        body: if ok { reply.body.clone() } else { Vec::new() },
    }
}

#[test]
fn the_same_answers_as_nginx() {
    let root = site();
    let ours = Tollgate::server(root.path());
    let theirs = peers::nginx(root.path(), "index index.html;");
    for (method, path, lines) in &cases() {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: test\r\n{lines}\r\n");
        let (ours, theirs) = (asked(ours.address(), method, &request), asked(theirs.address, method, &request));
        assert_eq!(essence(&ours), essence(&theirs), "{method} {path} {lines}");
    }
}

/// Method, path, field lines.
fn cases() -> Vec<(&'static str, &'static str, String)> {
    let mut cases: Vec<(&'static str, &'static str, String)> = [
        "/",
        "/index.html",
        "/docs/",
        "/docs",
        "/docs?x",
        "/ten.txt",
        "/ten.txt?x",
        "/empty.txt",
        "/style.css",
        "/app.js",
        "/data.json",
        "/logo.svg",
        "/pixel.png",
        "/noextension",
        "/a%20b.txt",
        "/caf%C3%A9.txt",
        "/100%25.txt",
        "/a+b&c.txt",
        "/none",
        "/none/",
        "/docs/none",
        "/docs/../ten.txt",
        "/docs/./large.bin",
        "/docs/%2e%2e/ten.txt",
        "//ten.txt",
        "/docs//large.bin",
        "/%74en.txt",
        "/..",
        "/../ten.txt",
        "/%00",
        "/%zz",
        "/docs/large.bin",
    ]
    .map(|path| ("GET", path, String::new()))
    .to_vec();
    let ranges = [
        "bytes=0-0",
        "bytes=2-5",
        "bytes=7-",
        "bytes=-3",
        "bytes=-99",
        "bytes=5-99",
        "bytes=10-",
        "bytes=99-",
        "lines=0-1",
        "bytes=10-,99-",
    ];
    let fields = ranges.map(|range| format!("Range: {range}\r\n"));
    cases.extend(fields.map(|line| ("GET", "/ten.txt", line)));
    let others = [
        ("HEAD", "/ten.txt", ""),
        ("HEAD", "/docs/large.bin", ""),
        ("HEAD", "/none", ""),
        ("GET", "/ten.txt", "If-None-Match: *\r\n"),
        ("GET", "/ten.txt", "If-None-Match: \"x\"\r\n"),
        ("GET", "/ten.txt", "If-Match: \"x\"\r\n"),
        ("GET", "/ten.txt", "If-Match: *\r\n"),
        ("GET", "/ten.txt", "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n"),
        ("GET", "/ten.txt", "If-Range: \"x\"\r\nRange: bytes=0-1\r\n"),
        ("POST", "/ten.txt", "Content-Length: 0\r\n"),
        ("DELETE", "/ten.txt", ""),
    ];
    cases.extend(others.map(|(method, path, lines)| (method, path, lines.to_owned())));
    cases
}

/// Where we differ from nginx, and mean to.
#[test]
fn the_meant_differences_to_nginx() {
    let root = site();
    fs::write(root.path().join("back\\slash"), "x").expect("a file of ours");
    symlink("/etc/hostname", root.path().join("out")).expect("a link of ours");
    let ours = Tollgate::server(root.path());
    let theirs = peers::nginx(root.path(), "index index.html;");
    for (method, path, lines, our_status, their_status, reason) in [
        ("GET", "/.hidden", "", 404, 200, "names that start with a dot are rarely meant for the public"),
        ("GET", "/docs/empty/", "", 404, 403, "a folder that is not shown does not reveal that it exists"),
        ("GET", "/ten.txt", "Range: bytes=5-2\r\n", 200, 416, "an invalid range is ignored (RFC 9110 section 14.2)"),
        ("HEAD", "/ten.txt", "Range: bytes=0-1\r\n", 200, 206, "Range counts for GET only (RFC 9110 section 14.2)"),
        ("OPTIONS", "/ten.txt", "", 204, 405, "OPTIONS says what is allowed"),
        ("GET", "/out", "", 403, 200, "a link out of the root is followed only where `symlinks` says so"),
        ("GET", "/back%5Cslash", "", 404, 200, "browsers and programs behind take a backslash for a slash"),
    ] {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: test\r\n{lines}\r\n");
        let statuses = (asked(ours.address(), method, &request).status, asked(theirs.address, method, &request).status);
        assert_eq!(statuses, (our_status, their_status), "{method} {path} {lines}: {reason}");
    }
}

pub(crate) fn asked(address: SocketAddr, method: &str, request: &str) -> Reply {
    let mut client = Client::connect(address);
    client.send(request);
    let reply = if method == "HEAD" { client.reply_to_head() } else { client.reply() };
    assert!(reply.complete, "{request}");
    reply
}
