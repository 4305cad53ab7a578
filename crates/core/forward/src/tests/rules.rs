use super::*;

#[derive(Clone, Copy)]
enum Rule {
    Set(&'static str, &'static str),
    Add(&'static str, &'static str),
    Remove(&'static str),
}
use Rule::{Add, Remove, Set};

fn compile(side: Side, list: &[Rule]) -> Result<FieldRules, RuleError> {
    let mut rules = FieldRules::none();
    for rule in list {
        match *rule {
            Set(name, value) => rules.set(side, name, value)?,
            Add(name, value) => rules.add(side, name, value)?,
            Remove(name) => rules.remove(side, name)?,
        }
    }
    Ok(rules)
}

fn requested(list: &[Rule], lines: &[&str]) -> Vec<String> {
    let rules = compile(Side::Request, list).expect("rules");
    Setup { rules, ..Setup::default() }.get(lines)
}

#[test]
fn rules_have_the_last_word_on_requests() {
    let lines = requested(
        &[Set("x-env", "prod"), Add("X-Tag", "b"), Add("x-tag", "c"), Remove("Cookie"), Remove("x-gone")],
        &["Host: h", "X-Env: dev", "cookie: a", "x-env: test", "X-Gone: 1", "X-Tag: a", "Accept: x"],
    );
    assert_eq!(lines[..3], ["Host: h", "X-Tag: a", "Accept: x"]);
    assert_eq!(lines[8..], ["x-env: prod", "X-Tag: b", "x-tag: c"]);
}

#[test]
fn rules_reach_what_is_added_here() {
    let told = |list: &[Rule]| {
        let lines = requested(list, &["Host: h", "Via: 1.1 x"]);
        lines[1..]
            .iter()
            .map(|l| l.replace(':', "").split(' ').next().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(told(&[Remove("via")]), ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded"]);
    assert_eq!(
        told(&[Remove("forwarded"), Remove("x-forwarded-host")]),
        ["X-Forwarded-For", "X-Forwarded-Proto", "Via"]
    );
    let lines = requested(&[Set("X-Forwarded-For", "hidden")], &["Host: h"]);
    let for_: Vec<_> = lines.iter().filter(|l| l.starts_with("X-Forwarded-For")).collect();
    assert_eq!(for_, ["X-Forwarded-For: hidden"]);
    assert!(lines.iter().any(|l| l.starts_with("Forwarded: ")));
    // Connection cannot take away what the operator sets.
    let lines = requested(&[Set("x-env", "prod")], &["Host: h", "Connection: x-env", "X-Env: mine"]);
    assert_eq!(lines.iter().filter(|l| l.starts_with("x-env: prod")).count(), 1);
    assert!(!lines.iter().any(|l| l.contains("mine")));
}

#[test]
fn a_host_that_is_set_is_the_only_one() {
    for list in [&[Set("host", "a.test")][..], &[Set("Host", "a.test"), Remove("x")]] {
        for host in [HostPolicy::Client, HostPolicy::Upstream] {
            let setup = Setup { host, rules: compile(Side::Request, list).expect("rules"), ..Setup::default() };
            let hosts: Vec<_> =
                setup.get(&["Host: h"]).into_iter().filter(|l| l.to_ascii_lowercase().starts_with("host")).collect();
            assert!(matches!(&hosts[..], [one] if one.ends_with(": a.test")), "{hosts:?}");
        }
    }
}

#[test]
fn set_stands_above_remove_and_beside_add() {
    for list in [[Set("x-a", "1"), Remove("X-A")], [Remove("X-A"), Set("x-a", "1")]] {
        let lines = requested(&list, &["Host: h", "x-a: 0"]);
        assert_eq!(lines.last().map(String::as_str), Some("x-a: 1"));
        assert!(!lines.contains(&"x-a: 0".into()));
    }
    let lines = requested(&[Set("x-a", "1"), Add("x-a", "2")], &["Host: h", "x-a: 0"]);
    assert_eq!(lines[lines.len() - 2..], ["x-a: 1", "x-a: 2"]);
}

#[test]
fn rules_work_on_responses() {
    let list = [Set("x-frame-options", "DENY"), Remove("server"), Remove("via"), Add("Set-Cookie", "b")];
    let rules = compile(Side::Response, &list).expect("rules");
    let head = response_head(200, BodyLength::Known(1), &["Server: x", "X-Frame-Options: ALLOW", "Set-Cookie: a"]);
    let options = ResponseOptions { rules: &rules, trailers: false, upgrade: false };
    let sent = respond_to(&head, &options).expect("it can be sent");
    assert_eq!(lines_of(&text_of(&sent)), ["Set-Cookie: a", "x-frame-options: DENY", "Set-Cookie: b"]);
    // For answers of our own.
    let mut own = FieldsBuilder::new();
    rules.write_but(KnownSet::of(&[]), &mut own);
    assert_eq!(lines_of(&text_of(&own.finish())), ["x-frame-options: DENY", "Set-Cookie: b"]);
    let mut own = FieldsBuilder::new();
    rules.write_but(KnownSet::of(&[Known::SetCookie]), &mut own);
    assert_eq!(lines_of(&text_of(&own.finish())), ["x-frame-options: DENY"]);
    assert!(rules.takes_out(Known::Server, b"Server") && rules.takes_out(Known::Other, b"X-FRAME-Options"));
    assert!(!rules.takes_out(Known::SetCookie, b"set-cookie") && !rules.takes_out(Known::Other, b"x-other"));
}

#[test]
fn rules_that_cannot_be_kept_are_refused() {
    use RuleProblem::*;
    for (side, rule, problem) in [
        (Side::Request, Set("", "x"), BadName),
        (Side::Request, Set("a b", "x"), BadName),
        (Side::Request, Add("a:", "x"), BadName),
        (Side::Response, Remove("a\r\n"), BadName),
        (Side::Response, Remove("\u{e9}"), BadName),
        (Side::Request, Set("x", "a\r\nb: c"), BadValue),
        (Side::Request, Set("x", "a\0"), BadValue),
        (Side::Request, Set("x", "a\nb"), BadValue),
        (Side::Request, Add("x", " a"), BadValue),
        (Side::Request, Add("x", "a\t"), BadValue),
        (Side::Request, Add("x", "\u{7f}"), BadValue),
        (Side::Request, Set("Connection", "close"), NotYours),
        (Side::Response, Set("content-length", "1"), NotYours),
        (Side::Response, Remove("Transfer-Encoding"), NotYours),
        (Side::Request, Add("upgrade", "x"), NotYours),
        (Side::Request, Set("te", "trailers"), NotYours),
        (Side::Request, Set("trailer", "x"), NotYours),
        (Side::Request, Set("Expect", "100-continue"), NotYours),
        (Side::Request, Add("host", "x"), OneHost),
        (Side::Request, Remove("Host"), OneHost),
    ] {
        let error = compile(side, &[rule]).expect_err("no such rule");
        assert_eq!(error.problem, problem, "{error}");
        assert!(!error.to_string().contains(['\r', '\n']));
    }
    assert!(
        compile(Side::Request, &[Set("x", "tab\tand \u{e9}"), Set("Proxy-Authorization", "Basic x"), Set("y", "")])
            .is_ok()
    );
    assert!(compile(Side::Response, &[Remove("host"), Set("date", "x")]).is_ok());
}

const JANE: ClientCertificate<'static> = ClientCertificate {
    subject: "CN=jane,O=Example",
    issuer: "CN=our authority",
    serial: "5e1f",
    fingerprint: "ba7816bf",
};

fn telling_of_certificates() -> FieldRules {
    let mut rules = FieldRules::none();
    for (name, (_, part)) in
        ["x-verify", "x-subject", "x-issuer", "x-serial", "x-print"].iter().zip(CertificatePart::NAMES)
    {
        rules.set_certificate(name, part).expect("a field");
    }
    rules
}

#[test]
fn a_server_is_told_of_the_clients_certificate() {
    let head = request_head("GET / HTTP/1.1", &["Host: a"]);
    let setup = Setup { rules: telling_of_certificates(), certificate: Some(JANE), ..Setup::default() };
    let (text, _) = setup.send(&head);
    let told = "x-verify: SUCCESS\r\nx-subject: CN=jane,O=Example\r\nx-issuer: CN=our authority\r\nx-serial: 5e1f\r\n\
                x-print: ba7816bf\r\n";
    assert!(text.ends_with(told), "{text}");
}

#[test]
fn what_a_client_says_of_certificates_itself_is_taken_out_in_every_spelling() {
    let head = request_head(
        "GET / HTTP/1.1",
        &[
            "Host: a",
            "X-Subject: CN=root",
            "x_subject: CN=root",
            "X-VERIFY: SUCCESS",
            "x_print: 1",
            "Connection: x-subject",
            "x-other: stays",
        ],
    );
    let setup = Setup { rules: telling_of_certificates(), ..Setup::default() };
    let (text, _) = setup.send(&head);
    assert!(!text.contains("root") && !text.contains("SUCCESS") && !text.to_lowercase().contains("print"), "{text}");
    assert!(text.contains("x-other: stays\r\n") && text.ends_with("x-verify: NONE\r\n"), "{text}");
}

#[test]
fn a_part_that_is_too_long_is_left_out_and_never_cut() {
    let long: &'static str = "x".repeat(ClientCertificate::PART_MAX + 1).leak();
    let head = request_head("GET / HTTP/1.1", &["Host: a"]);
    let certificate = Some(ClientCertificate { subject: long, ..JANE });
    let (text, _) = Setup { rules: telling_of_certificates(), certificate, ..Setup::default() }.send(&head);
    assert!(!text.contains("x-subject") && text.contains("x-issuer: CN=our authority\r\n"), "{text}");
}
