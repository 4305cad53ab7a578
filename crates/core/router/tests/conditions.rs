//! Rules with conditions.

use client_address::{Network, Networks};
use message::{Fields, FieldsBuilder, Known};
use router::{Asked, Conditions, Found, MethodToken, PathPattern, RouteId, Router, Rule, Scheme, ValuePattern};

fn pairs(texts: &[(&str, &str)]) -> Vec<(Box<[u8]>, ValuePattern)> {
    texts.iter().map(|(name, value)| (name.as_bytes().into(), ValuePattern::parse(value).unwrap())).collect()
}

fn rule(path: &str, methods: &[&str], conditions: Conditions) -> Rule {
    let methods = methods.iter().map(|m| MethodToken::parse(m).unwrap()).collect();
    Rule { path: PathPattern::parse(path).unwrap(), methods, conditions, ..Rule::any() }
}

fn field(name: &str, value: &str) -> Conditions {
    Conditions { fields: pairs(&[(name, value)]), ..Conditions::default() }
}

fn fields(lines: &[(&str, &str)]) -> Fields {
    let mut fields = FieldsBuilder::new();
    for (name, value) in lines {
        fields.push_known(Known::of(name.as_bytes()), name.as_bytes(), value.as_bytes());
    }
    fields.finish()
}

struct Get<'a>(&'a str, Option<&'a str>, &'a [(&'a str, &'a str)], Option<[u8; 4]>);

fn find(router: &Router, Get(path, query, lines, client): Get<'_>) -> Result<u32, String> {
    let fields = fields(lines);
    let asked = Asked {
        method: b"GET",
        authority: b"a.test",
        path: path.as_bytes(),
        query: query.map(str::as_bytes),
        fields: &fields,
        client: client.map(Into::into),
        scheme: Scheme::Http,
    };
    match router.find(&asked) {
        Found::Route(RouteId(id)) => Ok(id),
        Found::MethodNotAllowed(allow) => Err(allow.to_string()),
        Found::NoRoute => Err("none".into()),
    }
}

#[test]
fn a_rule_whose_conditions_do_not_hold_is_passed_over() {
    let clients = Networks::new(&[Network::parse("10.0.0.0/8").unwrap()]);
    let router = Router::build(&[
        rule("/*", &[], field("X-Canary", "1")),
        rule("/*", &[], Conditions { query: pairs(&[("v", "2"), ("w", "*")]), ..Conditions::default() }),
        rule("/*", &[], Conditions { clients: Some(clients), ..Conditions::default() }),
        rule("/*", &[], field("cookie", "~(^|; )beta=1(;|$)")),
        rule("/*", &[], Conditions::default()),
    ])
    .unwrap();
    let v2 = Some("w&v=2");
    assert_eq!(find(&router, Get("/", None, &[], None)), Ok(4));
    assert_eq!(find(&router, Get("/a", v2, &[("x-canary", "1")], None)), Ok(0));
    assert_eq!(find(&router, Get("/a", v2, &[("x-canary", "2"), ("X-CANARY", "1")], None)), Ok(0));
    assert_eq!(find(&router, Get("/a", v2, &[("x-canary", "2")], Some([10, 1, 1, 1]))), Ok(1));
    assert_eq!(find(&router, Get("/a", Some("v=2"), &[], Some([10, 1, 1, 1]))), Ok(2));
    assert_eq!(find(&router, Get("/a", None, &[("Cookie", "a=b; beta=1")], Some([11, 1, 1, 1]))), Ok(3));
    assert_eq!(find(&router, Get("/a", None, &[("Cookie", "a=b; beta=11")], None)), Ok(4));
    assert!(router.sole(b"/").is_none());
}

#[test]
fn a_rule_for_one_scheme_is_for_no_other() {
    let only = |scheme| rule("/*", &[], Conditions { scheme: Some(scheme), ..Conditions::default() });
    let router = |scheme| Router::build(&[only(scheme), Rule::any()]).unwrap();
    assert_eq!(find(&router(Scheme::Http), Get("/", None, &[], None)), Ok(0));
    assert_eq!(find(&router(Scheme::Https), Get("/", None, &[], None)), Ok(1));
    assert!(!only(Scheme::Http).covers(&Rule::any()) && !only(Scheme::Http).covers(&only(Scheme::Https)));
}

#[test]
fn what_conditions_keep_from_fitting_allows_no_method() {
    let router =
        Router::build(&[rule("/a", &["POST"], field("x", "1")), rule("/a", &["PUT"], field("x", "2"))]).unwrap();
    assert_eq!(find(&router, Get("/a", None, &[], None)), Err("none".into()));
    assert_eq!(find(&router, Get("/a", None, &[("x", "1")], None)), Err("POST".into()));
    let first = rule("/*", &[], field("x", "1"));
    assert!(!Router::build(std::slice::from_ref(&first)).unwrap().is_empty());
    assert!(!first.covers(&Rule::any()) && first.covers(&first.clone()) && Rule::any().covers(&first));
}
