use super::*;

/// The target for the path as it was sent, or as `normalised` when that is given, and whether it was put together.
fn rewritten(line: &str, normalised: Option<&str>, strip: &str, add: &str) -> (String, bool) {
    let head = request_head(line, &["Host: h"]);
    let rewrite = PathRewrite::new(strip, add).expect("prefixes");
    let path = normalised.map_or_else(|| head.path_bytes().to_vec(), |n| n.as_bytes().to_vec());
    let mut scratch = b"left over".to_vec();
    let got = target(&head, &path, &rewrite, &mut scratch).to_vec();
    (String::from_utf8(got).expect("text"), scratch != b"left over")
}

#[test]
fn a_path_and_its_query_are_sent_on_under_the_rewrite() {
    for (target, strip, add, expected, copied) in [
        ("/", "", "", "/", false),
        ("/a/b?q=%2F?&x", "", "", "/a/b?q=%2F?&x", false),
        ("/a?", "", "", "/a?", false),
        ("/api/x?y", "/api", "", "/x?y", false),
        ("/api/", "/api", "", "/", false),
        ("/api/?y", "/api/", "", "/?y", false),
        ("/api//x", "/api", "", "//x", false),
        ("/api", "/api", "", "/", true),
        ("/api?y=1", "/api", "", "/?y=1", true),
        ("/apix", "/api", "", "/apix", false),
        ("/API/x", "/api", "", "/API/x", false),
        ("/other", "/api", "", "/other", false),
        ("/", "/", "", "/", false),
        ("/x", "/", "/", "/x", false),
        ("/x?y", "", "/v2", "/v2/x?y", true),
        ("/", "", "/v2/", "/v2/", true),
        ("/api/x", "/api", "/v2", "/v2/x", true),
        ("/api", "/api", "/v2", "/v2/", true),
        ("/apix", "/api", "/v2", "/v2/apix", true),
        ("http://o.test/a?b", "", "", "/a?b", false),
        ("http://o.test/api/x", "/api", "", "/x", false),
        ("http://o.test", "", "", "/", true),
        ("http://o.test?b", "", "", "/?b", true),
        ("http://o.test", "", "/v2", "/v2/", true),
    ] {
        let got = rewritten(&format!("GET {target} HTTP/1.1"), None, strip, add);
        assert_eq!(got, (expected.to_owned(), copied), "{target} - {strip} + {add}");
    }
}

#[test]
fn the_normalised_path_is_what_is_sent() {
    let line = "GET /a/%61/../c%2Fd?q=/../%61 HTTP/1.1";
    assert_eq!(rewritten(line, Some("/a/c%2Fd"), "", ""), ("/a/c%2Fd?q=/../%61".into(), true));
    assert_eq!(rewritten(line, Some("/a/c%2Fd"), "/a", "/z"), ("/z/c%2Fd?q=/../%61".into(), true));
}

#[test]
fn an_asterisk_stays_one() {
    assert_eq!(rewritten("OPTIONS * HTTP/1.1", Some("/"), "/x", "/y"), ("*".into(), false));
}

#[test]
fn prefixes_are_paths() {
    for bad in ["api", "/a b", "/a?b", "/a#b", "/a\r\n", "/\u{e9}", "*"] {
        assert_eq!(PathRewrite::new(bad, ""), Err(BadPrefix), "{bad}");
        assert_eq!(PathRewrite::new("", bad), Err(BadPrefix), "{bad}");
    }
    assert!(PathRewrite::new("", "/").is_ok_and(|r| r.is_none()));
    assert!(PathRewrite::new("/a", "").is_ok_and(|r| !r.is_none()));
    assert_eq!(PathRewrite::new("/a/", "//"), PathRewrite::new("/a", ""));
}
