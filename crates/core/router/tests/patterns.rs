//! Patterns as users write them: what is taken, what is refused, and the words of the refusal.

use router::{HostPattern, MethodToken, PathPattern};

fn refusal<T: std::fmt::Debug>(parsed: Result<T, router::PatternError>) -> String {
    parsed.unwrap_err().to_string()
}

#[test]
fn paths_print_as_they_were_written() {
    for text in ["/", "/*", "/a", "/a/", "/a/*", "/a//b/*", "~^/x$", "/caf%C3%A9/*", "/.well-known/*"] {
        assert_eq!(PathPattern::parse(text).unwrap().to_string(), text);
    }
}

#[test]
fn paths_that_could_never_match_are_refused_with_what_would() {
    for (text, expected) in [
        ("", "must begin with `/`, or with `~` for a regular expression"),
        ("api", "must begin with `/`, or with `~` for a regular expression (write `/api`)"),
        ("/api/../x/*", "can never match: it is not in normal form (write `/x/*`)"),
        ("/%41", "can never match: it is not in normal form (write `/A`)"),
        ("/..", "can never match: the path climbs above the root"),
        ("/%zz", "can never match: the path holds a `%` without two hexadecimal digits behind it"),
        ("/a?b", "holds a `?` or `#`, but only the path is compared"),
        ("/a b", "holds ` `, which no request can send as it is (write it as `%20`)"),
        ("/caf\u{e9}", "holds `\\u{e9}`, which no request can send as it is (write it as `%C3%A9`)"),
        ("~", "has no regular expression behind its `~` (write `/*` to match every path)"),
        ("~(", "is not a regular expression: unclosed group"),
    ] {
        assert_eq!(refusal(PathPattern::parse(text)), expected, "{text}");
    }
    for text in ["/api*", "/*/x", "*", "/a/*/*"] {
        let refusal = refusal(PathPattern::parse(text));
        assert!(refusal.contains("`*`") || refusal.contains("begin with"), "{text}: {refusal}");
    }
    assert!(refusal(PathPattern::parse("~(a{1000}){1000}")).contains("1 MiB"));
}

#[test]
fn hosts_are_kept_in_lower_case() {
    for (text, expected) in [
        ("Example.COM.", "example.com"),
        ("*.Example.com", "*.example.com"),
        ("localhost", "localhost"),
        ("192.0.2.1", "192.0.2.1"),
        ("[2001:DB8::1]", "[2001:db8::1]"),
        ("my_host", "my_host"),
    ] {
        assert_eq!(HostPattern::parse(text).unwrap().to_string(), expected);
    }
}

#[test]
fn what_is_no_host_is_refused() {
    for (text, word) in [
        ("*", "leave `hosts` out"),
        ("a.*.com", "whole labels"),
        ("*a.com", "whole labels"),
        ("*.*.com", "whole labels"),
        ("example.com:80", "write `example.com`"),
        ("::1", "write `[::1]`"),
        ("[::1]:80", "IPv6"),
        ("http://a", "holds `:`"),
        ("a/b", "holds `/`"),
        ("b\u{fc}cher.de", "xn--"),
        ("", "empty"),
        ("*.", "empty"),
        ("a..b", "empty"),
    ] {
        let refusal = refusal(HostPattern::parse(text));
        assert!(refusal.contains(word), "{text}: {refusal}");
    }
}

#[test]
fn methods_are_tokens_with_case() {
    assert_eq!(MethodToken::parse("PURGE").unwrap().as_str(), "PURGE");
    assert_eq!(MethodToken::parse("purge").unwrap().as_str(), "purge");
    assert_eq!(refusal(MethodToken::parse("get")), "never matches: methods are case-sensitive (write `GET`)");
    for text in ["", "GET POST", "GET\r\n", "G\u{e9}T"] {
        assert!(refusal(MethodToken::parse(text)).contains("is not a method"), "{text}");
    }
}

#[test]
fn covering() {
    let path = |text: &str| PathPattern::parse(text).unwrap();
    for (a, b, expected) in [
        ("/*", "/a", true),
        ("/*", "~x", true),
        ("/a/*", "/a", true),
        ("/a/*", "/a/b/*", true),
        ("/a/*", "/ab", false),
        ("/a/b", "/a/*", false),
        ("/a", "/a", true),
        ("~^/a", "/a/b", true),
        ("~^/a", "/a/*", false),
        ("~^/a", "~^/a", true),
    ] {
        assert_eq!(path(a).covers(&path(b)), expected, "{a} {b}");
    }
}
