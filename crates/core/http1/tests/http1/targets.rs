//! The forms of a request target.

use message::TargetForm;

use crate::requests::{head_of, status_of};

fn request(line: &str) -> Vec<u8> {
    format!("{line} HTTP/1.1\r\nHost: host.example\r\n\r\n").into_bytes()
}

#[test]
fn the_four_forms() {
    use TargetForm::*;
    let cases: &[(&str, TargetForm, &str, &str, Option<&str>)] = &[
        ("GET /", Origin, "host.example", "/", None),
        ("GET /a?", Origin, "host.example", "/a", Some("")),
        ("GET /a?b?c", Origin, "host.example", "/a", Some("b?c")),
        ("GET //a//b", Origin, "host.example", "//a//b", None),
        ("GET /a://b", Origin, "host.example", "/a://b", None),
        ("GET /*", Origin, "host.example", "/*", None),
        ("OPTIONS /a", Origin, "host.example", "/a", None),
        ("GET /%zz|^{}\"<>\\`", Origin, "host.example", "/%zz|^{}\"<>\\`", None),
        ("GET http://other.example/a?b", Absolute, "other.example", "/a", Some("b")),
        ("GET HTTP://other.example:81", Absolute, "other.example:81", "/", None),
        ("GET https://other.example?b", Absolute, "other.example", "/", Some("b")),
        ("GET http://[::1]:80/", Absolute, "[::1]:80", "/", None),
        ("OPTIONS http://other.example", Absolute, "other.example", "/", None),
        ("OPTIONS *", Asterisk, "host.example", "", None),
        ("CONNECT other.example:443", Authority, "other.example:443", "", None),
        ("CONNECT [::1]:443", Authority, "[::1]:443", "", None),
    ];
    for (line, form, authority, path, query) in cases {
        let (head, _) = head_of(&request(line));
        assert_eq!(head.form, *form, "{line}");
        assert_eq!(head.authority_bytes(), authority.as_bytes(), "{line}");
        assert_eq!(head.path_bytes(), path.as_bytes(), "{line}");
        assert_eq!(head.query_bytes(), query.map(str::as_bytes), "{line}");
        assert_eq!(head.target_bytes(), line.split(' ').nth(1).unwrap_or_default().as_bytes());
    }
}

#[test]
fn targets_that_are_refused() {
    let bad = [
        "GET *",
        "OPTIONS **",
        "OPTIONS *?a",
        "GET a",
        "GET a/b",
        "GET ?a",
        "GET /a#b",
        "GET /a?b#c",
        "GET #",
        "GET http://a#b",
        "GET http://a/#b",
        "GET http://",
        "GET http:///a",
        "GET http://?a",
        "GET http:/a",
        "GET http:a",
        "GET ftp://a/",
        "GET //",
        "GET http://u@a/",
        "GET http://u:p@a/",
        "GET http://a b/",
        "GET http://a:b/",
        "GET http://a,b/",
        "GET http://[::1/",
        "GET host.example:80",
        "CONNECT /",
        "CONNECT *",
        "CONNECT a",
        "CONNECT a:",
        "CONNECT a:b",
        "CONNECT :80",
        "CONNECT http://a:80/",
        "CONNECT a:80/",
        "CONNECT a:99999",
        "CONNECT u@a:80",
    ];
    for line in bad {
        let status = if line == "GET //" { None } else { Some(400) };
        assert_eq!(status_of(&request(line)), status, "{line}");
    }
}
