//! Lookups: the matching rules one by one, then against a plain scan.

use message::{Fields, FieldsBuilder};
use proptest::prelude::*;

use router::{Asked, Conditions, Found, HostPattern, MethodToken, PathPattern, RouteId, Router, Rule, Scheme, host_of};

fn rule(hosts: &[&str], path: &str, methods: &[&str]) -> Rule {
    Rule {
        hosts: hosts.iter().map(|h| HostPattern::parse(h).expect(h)).collect(),
        path: PathPattern::parse(path).expect(path),
        methods: methods.iter().map(|m| MethodToken::parse(m).expect(m)).collect(),
        conditions: Conditions::default(),
    }
}

/// A request without fields, query and address.
fn asked<'a>(method: &'a str, authority: &'a str, path: &'a str, fields: &'a Fields) -> Asked<'a> {
    let (method, authority, path) = (method.as_bytes(), authority.as_bytes(), path.as_bytes());
    Asked { method, authority, path, query: None, fields, client: None, scheme: Scheme::Http }
}

fn find(router: &Router, method: &str, authority: &str, path: &str) -> Result<u32, String> {
    match router.find(&asked(method, authority, path, &FieldsBuilder::new().finish())) {
        Found::Route(RouteId(id)) => Ok(id),
        Found::MethodNotAllowed(allow) => Err(allow.to_string()),
        Found::NoRoute => Err("none".into()),
    }
}

fn get(router: &Router, authority: &str, path: &str) -> Option<u32> {
    find(router, "GET", authority, path).ok()
}

#[test]
fn a_prefix_takes_itself_and_what_is_below() {
    let router = Router::build(&[rule(&[], "/api/*", &[])]).unwrap();
    for path in ["/api", "/api/", "/api/v1", "/api/v1/x", "/api//", "/api/*"] {
        assert_eq!(get(&router, "", path), Some(0), "{path}");
    }
    for path in ["/", "/apix", "/ap", "/x/api", "/API", "//api", "*", ""] {
        assert_eq!(get(&router, "", path), None, "{path}");
    }
}

#[test]
fn an_exact_path_takes_only_itself() {
    let router = Router::build(&[rule(&[], "/", &[]), rule(&[], "/a/b", &[]), rule(&[], "/a/b/", &[])]).unwrap();
    assert_eq!(get(&router, "", "/"), Some(0));
    assert_eq!(get(&router, "", "/a/b"), Some(1));
    assert_eq!(get(&router, "", "/a/b/"), Some(2));
    for path in ["/a", "/a/", "/a/b/c", "/a/bc", "//"] {
        assert_eq!(get(&router, "", path), None, "{path}");
    }
}

#[test]
fn the_first_match_from_top_to_bottom_wins_not_the_longest() {
    let router = Router::build(&[
        rule(&["a.test"], "/x/*", &[]),
        rule(&[], "~^/x/[0-9]+$", &[]),
        rule(&[], "/x/*", &[]),
        rule(&["a.test"], "/x/y", &[]),
        rule(&[], "/*", &[]),
        rule(&["*.test"], "/z", &[]),
    ])
    .unwrap();
    assert_eq!(get(&router, "a.test", "/x/y"), Some(0));
    assert_eq!(get(&router, "b.test", "/x/17"), Some(1));
    assert_eq!(get(&router, "b.test", "/x/y"), Some(2));
    assert_eq!(get(&router, "a.test", "/z"), Some(4));
}

#[test]
fn hosts_are_compared_without_case_port_and_trailing_dot() {
    let router = Router::build(&[
        rule(&["example.com", "[2001:db8::1]"], "/*", &[]),
        rule(&["*.Example.com"], "/*", &[]),
        rule(&["*.a.example.com"], "/*", &[]),
        rule(&["10.0.0.1"], "/*", &[]),
    ])
    .unwrap();
    for (authority, expected) in [
        ("example.com", Some(0)),
        ("EXAMPLE.com.", Some(0)),
        ("example.com:8080", Some(0)),
        ("example.com.:8080", Some(0)),
        ("[2001:DB8::1]:443", Some(0)),
        ("[2001:db8::1]", Some(0)),
        ("www.example.com", Some(1)),
        ("b.a.EXAMPLE.com:1", Some(1)),
        (".example.com", None),
        ("xexample.com", None),
        ("example.com.evil.test", None),
        ("com", None),
        ("10.0.0.1:80", Some(3)),
        ("", None),
        (".", None),
        (":", None),
    ] {
        assert_eq!(get(&router, authority, "/"), expected, "{authority}");
    }
    assert_eq!(get(&router, &format!("{}example.com", "a.".repeat(4000)), "/"), None, "longer than any name");
}

#[test]
fn a_rule_without_hosts_takes_requests_without_one() {
    let router = Router::build(&[rule(&["a.test"], "/*", &[]), rule(&[], "/any/*", &[])]).unwrap();
    assert_eq!(get(&router, "", "/any"), Some(1));
    assert_eq!(get(&router, "", "/"), None);
}

#[test]
fn a_wrong_method_goes_on_and_ends_as_405_with_every_method_that_fits() {
    let router = Router::build(&[
        rule(&[], "/a/*", &["POST", "PURGE"]),
        rule(&["h.test"], "/a/b", &["GET", "HEAD"]),
        rule(&[], "~^/a/c", &["PUT"]),
        rule(&[], "/d", &["GET"]),
        rule(&[], "/d", &[]),
    ])
    .unwrap();
    assert_eq!(find(&router, "PURGE", "", "/a/b"), Ok(0));
    assert_eq!(find(&router, "GET", "h.test", "/a/b"), Ok(1));
    assert_eq!(find(&router, "DELETE", "h.test", "/a/b"), Err("GET, HEAD, POST, PURGE".into()));
    assert_eq!(find(&router, "GET", "", "/a/b"), Err("POST, PURGE".into()));
    assert_eq!(find(&router, "BREW", "", "/a/c"), Err("POST, PUT, PURGE".into()));
    assert_eq!(find(&router, "get", "", "/a/c"), Err("POST, PUT, PURGE".into()), "methods have case");
    assert_eq!(find(&router, "BREW", "", "/d"), Ok(4));
    assert_eq!(find(&router, "POST", "", "/nothing"), Err("none".into()));
}

#[test]
fn one_catch_all_takes_everything_but_what_is_no_path() {
    let router = Router::build(&[Rule::any()]).unwrap();
    assert_eq!(find(&router, "BREW", "anything:80", "/a//b"), Ok(0));
    assert_eq!(find(&router, "OPTIONS", "", "*"), Err("none".into()));
    assert!(!router.is_empty());
    assert!(Router::build(&[]).unwrap().is_empty());
}

#[test]
fn methods_of_ones_own_are_bounded() {
    let rules = |n: usize| (0..n).map(|i| rule(&[], "/*", &[&format!("M{i}")])).collect::<Vec<_>>();
    let router = Router::build(&rules(54)).unwrap();
    assert_eq!(find(&router, "M53", "", "/"), Ok(53));
    assert_eq!(find(&router, "M54", "", "/").unwrap_err().split(", ").count(), 54);
    assert!(Router::build(&rules(55)).is_err());
}

#[test]
fn a_regular_expression_is_unanchored_and_over_bytes() {
    let router = Router::build(&[rule(&[], r"~\.(php|asp)$", &[]), rule(&[], "~(?i)/ADMIN", &[])]).unwrap();
    assert_eq!(get(&router, "", "/x/y.php"), Some(0));
    assert_eq!(get(&router, "", "/x/y.phpx"), None);
    assert_eq!(get(&router, "", "/x/admin/y"), Some(1));
}

#[test]
fn hosts_of_authorities() {
    for (authority, host) in
        [("a:1", "a"), ("a", "a"), ("a.", "a"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]"), ("", ""), ("a:", "a")]
    {
        assert_eq!(host_of(authority.as_bytes()), host.as_bytes());
    }
}

/// What the router must agree with: every rule in turn, by the words of the contract.
fn by_scan(rules: &[Rule], method: &str, authority: &str, path: &str) -> Result<u32, Vec<String>> {
    let host = authority.split(':').next().unwrap_or_default().trim_end_matches('.').to_lowercase();
    let mut allowed: Vec<String> = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        let host_fits = rule.hosts.is_empty()
            || rule.hosts.iter().any(|pattern| match pattern {
                HostPattern::Exact(name) => **name == host,
                HostPattern::Under(domain) => host.ends_with(&format!(".{domain}")) && host.len() > domain.len() + 1,
            });
        let path_fits = match &rule.path {
            PathPattern::Exact(exact) => **exact == *path,
            PathPattern::Prefix(prefix) => path == &**prefix || path.starts_with(&format!("{prefix}/")),
            PathPattern::Regex(regex) => regex.is_match(path.as_bytes()),
        };
        if !host_fits || !path_fits {
            continue;
        }
        if rule.methods.is_empty() || rule.methods.iter().any(|m| m.as_str() == method) {
            return Ok(index as u32);
        }
        allowed.extend(rule.methods.iter().map(|m| m.to_string()));
    }
    allowed.sort();
    allowed.dedup();
    Err(allowed)
}

fn some_rule() -> impl Strategy<Value = Rule> {
    let hosts = ["a.test", "b.test", "*.test", "*.a.test", "*.b.a.test", "a.b.a.test"];
    let paths = [
        "/*",
        "/",
        "/a",
        "/a/",
        "/a/*",
        "/a/b",
        "/a/b/*",
        "/ab/*",
        "/b",
        "//*",
        "~b",
        "~^/a/b$",
        "~/$",
        "~^/a/.",
        "~^/a/*b",
        "~^/a/b/(c|d)",
        "~^/a/x|^/b",
        "~^//a?",
    ];
    let methods = ["GET", "POST", "PURGE", "BREW"];
    (
        proptest::sample::subsequence(hosts.to_vec(), 0..3),
        proptest::sample::select(paths.to_vec()),
        prop_oneof![2 => Just(Vec::new()), 1 => proptest::sample::subsequence(methods.to_vec(), 1..3)],
    )
        .prop_map(|(hosts, path, methods)| rule(&hosts, path, &methods))
}

proptest! {
    #[test]
    fn agrees_with_a_scan_of_the_rules(
        rules in proptest::collection::vec(some_rule(), 0..12),
        method in proptest::sample::select(vec!["GET", "POST", "PURGE", "LOCK"]),
        authority in proptest::sample::select(vec!["", "a.test", "A.test.:80", "b.a.test", "a.b.a.test", "x.test", "test"]),
        path in proptest::sample::select(vec!["/", "/a", "/a/", "/a/b", "/a/b/c", "/ab", "/b", "//", "//a", "/c", "*"]),
    ) {
        let router = Router::build(&rules).unwrap();
        let found = find(&router, method, authority, path);
        let expected = by_scan(&rules, method, authority, path).map_err(|allowed| {
            if allowed.is_empty() { vec!["none".to_string()] } else { allowed }
        });
        let found = found.map_err(|text| {
            let mut allowed: Vec<String> = text.split(", ").map(String::from).collect();
            allowed.sort();
            allowed
        });
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn a_rule_that_covers_another_fits_whatever_that_fits(
        first in some_rule(),
        second in some_rule(),
        method in proptest::sample::select(vec!["GET", "POST", "PURGE", "LOCK"]),
        authority in proptest::sample::select(vec!["", "a.test", "b.test", "b.a.test", "a.b.a.test", "x.test"]),
        path in proptest::sample::select(vec!["/", "/a", "/a/", "/a/b", "/a/b/c", "/ab", "/b", "//", "//a"]),
    ) {
        if first.covers(&second) && by_scan(std::slice::from_ref(&second), method, authority, path).is_ok() {
            prop_assert!(by_scan(&[first], method, authority, path).is_ok());
        }
    }
}
