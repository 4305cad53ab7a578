use message::{Method, Version};

use super::*;
use crate::target;

/// Behind the line, so that the look of a block finds something.
const BEHIND: &[u8] = b"Host: a\r\nUser-Agent: test/1.0\r\n\r\n";

/// What httparse and `target` make of a line that ends the window's first LF.
fn reference(window: &[u8]) -> Option<(Method, Vec<u8>, Version, Target)> {
    let end = window.iter().position(|b| *b == b'\n')? + 1;
    let line = &window[..end];
    let mut theirs = httparse::Request::new(&mut []);
    if !line.ends_with(b"\r\n") || theirs.parse(line) != Ok(httparse::Status::Partial) {
        return None;
    }
    let (method, path) = (theirs.method?, theirs.path?);
    let span = crate::head::span_in(line, path.as_bytes());
    let known = Method::of(method.as_bytes());
    let version = if theirs.version? == 0 { Version::Http10 } else { Version::Http11 };
    Some((known, path.as_bytes().to_vec(), version, target::split(known, line, span)?))
}

/// Reads a line in both ways. Says whether it was plain.
fn check(window: &[u8]) -> bool {
    let Some((ours, end)) = request(window) else { return false };
    let theirs = reference(window).unwrap_or_else(|| panic!("{} is no request line", window.escape_ascii()));
    assert_eq!((ours.method, ours.target_span.of(window).to_vec(), ours.version, ours.target), theirs);
    assert_eq!(window[..end].iter().position(|b| *b == b'\n'), Some(end - 1));
    true
}

#[test]
fn the_usual_lines_are_plain() {
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        for version in ["HTTP/1.0", "HTTP/1.1"] {
            for len in 1..70 {
                for query in ["", "?", "?a=b&c=%20", "?x?y/z", "?0123456789abcdef0123456789abcdef"] {
                    let line = format!("{method} /{}{query} {version}\r\n", "p".repeat(len - 1));
                    assert!(check(line.as_bytes()), "{line:?}");
                    assert!(check(&[line.as_bytes(), BEHIND].concat()), "{line:?}");
                    for cut in 0..line.len() {
                        assert!(!check(&line.as_bytes()[..cut]), "{line:?} cut at {cut}");
                    }
                }
            }
        }
    }
}

#[test]
fn every_byte_at_every_place() {
    for good in [
        "GET /index.html HTTP/1.1\r\n",
        "OPTIONS /a?b HTTP/1.0\r\n",
        "POST /0123456789abcdef?x=0123456789abcdef HTTP/1.1\r\n",
    ] {
        for at in 0..good.len() {
            for byte in 0..=255 {
                let mut window = [good.as_bytes(), BEHIND].concat();
                window[at] = byte;
                check(&window);
                window.truncate(good.len());
                check(&window);
                window.insert(at, byte);
                check(&window);
                window.drain(at..at + 2);
                check(&window);
            }
        }
    }
}

#[test]
fn the_rest_is_left_to_httparse() {
    for line in [
        "get / HTTP/1.1",
        "GETS / HTTP/1.1",
        "GET  / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET /  HTTP/1.1",
        "GET /a#b HTTP/1.1",
        "GET /a?b#c HTTP/1.1",
        "GET http://a/ HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "CONNECT a:1 HTTP/1.1",
        "CONNECT /a HTTP/1.1",
        "TRACE / HTTP/1.1",
        "GET / HTTP/1.2",
        "GET / HTTP/2.0",
        "GET / http/1.1",
        "GET /",
        "GET",
    ] {
        assert!(request(format!("{line}\r\n").as_bytes()).is_none(), "{line}");
        assert!(request(format!("{line}\r\nHost: a\r\nAccept: */*\r\n\r\n").as_bytes()).is_none(), "{line}");
    }
    assert!(request("GET /\u{e9} HTTP/1.1\r\n\r\n".as_bytes()).is_none());
    assert!(request(b"GET / HTTP/1.1\n\r\n\r\n").is_none() && request(b"GET / HTTP/1.1\r\r\n\r\n").is_none());
}

#[test]
fn status_lines() {
    let read = |line: &str| status(line.as_bytes()).map(|(line, end)| (line.version, line.status, end));
    for code in 0..1000 {
        let want = (100..=599).contains(&code).then_some((Version::Http11, code, 17));
        assert_eq!(read(&format!("HTTP/1.1 {code:03} OK\r\n\r\n")), want, "{code}");
    }
    assert_eq!(read("HTTP/1.0 404\r\n\r\n"), Some((Version::Http10, 404, 14)));
    assert_eq!(read("HTTP/1.1 200 \r\n"), Some((Version::Http11, 200, 15)));
    for len in 0..80 {
        for behind in ["", "Server: x\r\n\r\n", "\r\n"] {
            let line = format!("HTTP/1.1 200 {}\r\n", "r".repeat(len));
            assert_eq!(read(&format!("{line}{behind}")), Some((Version::Http11, 200, line.len())));
            assert_eq!(read(&line[..line.len() - 1]), None);
        }
    }
    for line in [
        "HTTP/1.2 200 OK",
        "HTTP/1.1  200 OK",
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 2x0 OK",
        "HTTP/1.1 200\tOK",
        "HTTP/1.1 200 a\tb",
    ] {
        assert_eq!(read(&format!("{line}\r\n\r\n")), None, "{line}");
    }
}

/// In debug builds `status` itself compares with httparse.
#[test]
fn every_byte_at_every_place_of_a_status_line() {
    for good in ["HTTP/1.1 200 OK\r\n", "HTTP/1.0 301\r\n", "HTTP/1.1 503 0123456789abcdef0123456789\r\n"] {
        for at in 0..good.len() {
            for byte in 0..=255 {
                let mut window = [good.as_bytes(), BEHIND].concat();
                window[at] = byte;
                let mut theirs = httparse::Response::new(&mut []);
                let end = window.iter().position(|b| *b == b'\n').map_or(0, |n| n + 1);
                let good = theirs.parse(&window[..end]) == Ok(httparse::Status::Partial);
                if let Some((line, ours)) = status(&window) {
                    assert!(good && ours == end && theirs.code == Some(line.status), "{}", window.escape_ascii());
                }
            }
        }
    }
}
