//! Ranges and conditions, beside nginx where both mean the same.

use std::fs::File;
use std::time::{Duration, SystemTime};

use tests::{Reply, Tollgate, peers, peers::curl};

use crate::files::{large, site};
use crate::files_like_nginx::asked;

fn get(path: &str, lines: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: test\r\n{lines}\r\n")
}

/// The parts of a multipart answer: Content-Type, Content-Range, bytes.
fn parts(reply: &Reply) -> Vec<(String, String, Vec<u8>)> {
    assert_eq!(reply.status, 206);
    let kind = reply.field("content-type").expect("a type");
    let boundary = kind.strip_prefix("multipart/byteranges; boundary=").unwrap_or_else(|| panic!("{kind}"));
    let (delimiter, end) = (format!("\r\n--{boundary}\r\n"), format!("\r\n--{boundary}--\r\n"));
    let body = reply.body.strip_suffix(end.as_bytes()).expect("an end");
    let mut parts = Vec::new();
    let mut rest = body.strip_prefix(delimiter.as_bytes()).expect("a part");
    loop {
        let head_end = find(rest, b"\r\n\r\n").expect("a head");
        let head = String::from_utf8(rest[..head_end].to_vec()).expect("a head");
        let field = |name: &str| {
            let line = head.lines().find_map(|l| l.split_once(": ").filter(|(n, _)| n.eq_ignore_ascii_case(name)));
            line.unwrap_or_else(|| panic!("no {name}: {head}")).1.to_owned()
        };
        let content = &rest[head_end + 4..];
        let next = find(content, delimiter.as_bytes());
        let bytes = content[..next.unwrap_or(content.len())].to_vec();
        let kind = field("content-type").split(';').next().unwrap_or_default().to_owned();
        parts.push((kind, field("content-range"), bytes));
        match next {
            Some(at) => rest = &content[at + delimiter.len()..],
            None => return parts,
        }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|w| w == needle)
}

#[test]
fn several_ranges_come_in_parts_like_those_of_nginx() {
    let root = site();
    let ours = Tollgate::server(root.path());
    let theirs = peers::nginx(root.path(), "index index.html;");
    for ranges in ["0-9,1000000-1000009", "-5,0-0", "3000000-,0-4999,7-9,100000-200000", "0-1,99999999-,500-501"] {
        // One part of theirs touches another: they are one part of ours.
        let coalesced = ranges.contains("7-9");
        let request = get("/docs/large.bin", &format!("Range: bytes={ranges}\r\n"));
        let (ours, theirs) = (asked(ours.address(), "GET", &request), asked(theirs.address, "GET", &request));
        let (ours, mut theirs) = (parts(&ours), parts(&theirs));
        if coalesced {
            theirs.remove(2);
        }
        assert_eq!(ours, theirs, "{ranges}");
        let content = large();
        for (_, range, bytes) in ours {
            let (first, last) =
                range["bytes ".len()..].split_once('/').expect("a size").0.split_once('-').expect("a range");
            let (first, last): (usize, usize) = (first.parse().expect("a number"), last.parse().expect("a number"));
            assert!(content[first..=last] == bytes, "{range}");
        }
    }
}

/// Where nginx sends many parts, overlapping or side by side, we send each byte once and few heads.
#[test]
fn ranges_that_meet_are_one_and_too_many_are_none() {
    let root = site();
    let server = Tollgate::server(root.path());
    let ask =
        |ranges: &str| asked(server.address(), "GET", &get("/docs/large.bin", &format!("Range: bytes={ranges}\r\n")));
    let joined = ask("0-99,50-199,300-310");
    assert_eq!((joined.status, joined.field("content-range").as_deref()), (206, Some("bytes 0-310/3145768")));
    assert_eq!(joined.body.len(), 311);
    let many: Vec<String> = (0..200).map(|n| format!("{}-{}", n * 1000, n * 1000)).collect();
    let whole = ask(&many.join(","));
    assert_eq!((whole.status, whole.body.len()), (200, large().len()));
    let none = ask("9999999-,8888888-");
    assert_eq!((none.status, none.field("content-range").as_deref()), (416, Some("bytes */3145768")));
    // The connection is as good as before: the parts had the length that their head says.
    let mut client = tests::Client::connect(server.address());
    for _ in 0..3 {
        assert_eq!(client.ask(get("/docs/large.bin", "Range: bytes=0-9,100000-299999,-1\r\n")).status, 206);
        assert_eq!(client.get("/ten.txt").text(), "0123456789");
    }
}

#[test]
fn the_date_of_a_file_written_in_this_second_is_no_strong_validator() {
    let root = site();
    let server = Tollgate::server(root.path());
    let ask = |number: u32| {
        let path = format!("/young-{number}.txt");
        std::fs::write(root.path().join(&path[1..]), "0123456789").expect("a file of ours");
        let head = asked(server.address(), "HEAD", &format!("HEAD {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
        let date = head.field("last-modified").expect("a date");
        let lines = format!("If-Range: {date}\r\nRange: bytes=2-4\r\n");
        let reply = asked(server.address(), "GET", &get(&path, &lines));
        (reply.field("date") == Some(date)).then_some(reply.status)
    };
    // Seldom the second ends in between.
    assert_eq!((0..5).find_map(ask), Some(200));
}

#[test]
fn a_download_goes_on_where_it_stopped_only_if_the_file_is_the_same() {
    let root = site();
    // The date is a strong validator only when its second is over.
    let written = File::options().write(true).open(root.path().join("ten.txt")).expect("a file of ours");
    written.set_modified(SystemTime::now() - Duration::from_secs(10)).expect("a file of ours");
    let server = Tollgate::server(root.path());
    let head = asked(server.address(), "HEAD", "HEAD /ten.txt HTTP/1.1\r\nHost: test\r\n\r\n");
    let (tag, date) = (head.field("etag").expect("a tag"), head.field("last-modified").expect("a date"));
    for (lines, status) in [
        (format!("If-Range: {tag}\r\n"), 206),
        (format!("If-Range: {date}\r\n"), 206),
        (format!("If-Range: W/{tag}\r\n"), 200),
        ("If-Range: \"other\"\r\n".into(), 200),
        ("If-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n".into(), 200),
        (format!("If-Match: {tag}\r\n"), 206),
        ("If-Match: \"other\"\r\n".into(), 412),
        ("If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n".into(), 412),
        // If-Match is there: the date beside it is not looked at (RFC 9110 section 13.2.2).
        (format!("If-Match: {tag}\r\nIf-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n"), 206),
        (format!("If-None-Match: {tag}\r\n"), 304),
        (format!("If-None-Match: \"other\"\r\nIf-Modified-Since: {date}\r\n"), 206),
        (format!("If-Modified-Since: {date}\r\n"), 304),
        (format!("If-Match: \"other\"\r\nIf-None-Match: {tag}\r\n"), 412),
    ] {
        let reply = asked(server.address(), "GET", &get("/ten.txt", &format!("{lines}Range: bytes=2-4\r\n")));
        assert_eq!(reply.status, status, "{lines}");
        if status == 206 {
            assert_eq!(reply.text(), "234");
        }
    }
    // As a person does it: half of it, then the rest.
    let (part, whole) = (root.path().join("part"), large());
    std::fs::write(&part, &whole[..1_000_000]).expect("a file of ours");
    let to = part.display().to_string();
    let ended = curl(["-C", "-", "-o", &to, &server.url("/docs/large.bin")]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(std::fs::read(&part).expect("the download") == whole);
}
