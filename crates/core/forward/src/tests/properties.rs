use proptest::prelude::*;

use super::*;

const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Names that mean something, in odd cases, and some that mean nothing.
fn name() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "Connection",
        "CONNECTION",
        "Content-Length",
        "Keep-Alive",
        "Proxy-Authorization",
        "proxy-connection",
        "TE",
        "te",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
        "Expect",
        "Via",
        "Forwarded",
        "X-Forwarded-For",
        "x-forwarded-host",
        "X-Forwarded-Proto",
        "X-Forwarded-Port",
        "X_Forwarded_For",
        "Cookie",
        "Accept",
        "x-a",
        "x-b",
        "X-C",
    ]);
    prop_oneof![4 => known.prop_map(str::to_owned), 1 => "[a-zA-Z0-9!#$%&'*+.^_`|~-]{1,12}"]
}

fn value() -> impl Strategy<Value = String> {
    let list = prop::collection::vec(name(), 0..5).prop_map(|names| names.join(", "));
    prop_oneof![
        2 => list,
        1 => Just("keep-alive".to_owned()),
        1 => Just("upgrade, x-a".to_owned()),
        1 => "[ -~\t\u{80}-\u{ff}]{0,20}".prop_map(|v| v.trim_matches([' ', '\t']).to_owned()),
    ]
}

fn lines() -> impl Strategy<Value = Vec<String>> {
    // Half of the heads are laid out as ours are.
    let spaces = prop_oneof![Just(vec![" "]), Just(vec![" ", "", "\t", "  "])];
    spaces.prop_flat_map(|spaces| {
        let space = prop::sample::select(spaces);
        prop::collection::vec((name(), space, value()).prop_map(|(n, s, v)| format!("{n}:{s}{v}")), 0..14)
    })
}

fn flags() -> impl Strategy<Value = [bool; 3]> {
    prop::array::uniform3(any::<bool>())
}

/// Everything Connection names in these fields, in lower case.
fn nominated(fields: &Fields) -> Vec<String> {
    fields
        .all(Known::Connection)
        .flat_map(|v| v.split(|b| *b == b','))
        .map(|o| String::from_utf8_lossy(o.trim_ascii()).to_ascii_lowercase())
        .collect()
}

/// Whether a name is one that is ours to write, whatever Connection names. Many back ends read `_` as `-`.
fn is_ours(name: &str) -> bool {
    matches!(name, "host" | "via" | "forwarded") || name.replace('_', "-").starts_with("x-forwarded-")
}

fn check(sent: &Fields, named: &[String], allowed: &[&str], is_ours: fn(&str) -> bool) -> Result<(), TestCaseError> {
    prop_assert!(sent.bytes().is_empty() || sent.bytes().ends_with(b"\r\n"));
    prop_assert_eq!(sent.bytes().split(|b| *b == b'\n').count(), sent.len() + 1, "one line a field");
    for field in sent.iter() {
        let name = String::from_utf8_lossy(field.name).to_ascii_lowercase();
        prop_assert!(!field.value.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)), "{field:?}");
        if allowed.contains(&name.as_str()) {
            continue;
        }
        prop_assert!(!HOP_BY_HOP.contains(&name.as_str()), "{field:?}");
        prop_assert!(is_ours(&name) || !named.contains(&name), "{field:?} was named in Connection");
    }
    Ok(())
}

proptest! {
    #[test]
    fn nothing_of_one_connection_reaches_the_next(
        mut lines in lines(), [trusted, trailers, upgrade] in flags(), chunked in any::<bool>(),
    ) {
        lines.insert(0, "Host: example.com".into());
        if chunked {
            lines.push("Transfer-Encoding: chunked".into());
        }
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let head = request_head("POST /p HTTP/1.1", &lines);
        let setup = Setup { trusted, trailers, upgrade, ..Setup::default() };
        let Ok((fields, sent)) = setup.try_send(&head) else {
            prop_assert!(nominated(&head.fields).len() > NOMINATED_MAX);
            return Ok(());
        };
        prop_assert!(!sent.upgrade || (upgrade && head.upgrade));
        let mut allowed = Vec::new();
        allowed.extend(sent.upgrade.then_some("upgrade"));
        allowed.extend((trailers).then_some("te"));
        allowed.extend((head.body == BodyLength::Streamed).then_some("trailer"));
        let named = nominated(&head.fields);
        check(&fields, &named, &allowed, is_ours)?;
        prop_assert_eq!(fields.all(Known::Host).count(), 1);
        for once in [Known::Via, Known::Forwarded, Known::XForwardedFor, Known::XForwardedHost, Known::XForwardedProto] {
            prop_assert_eq!(fields.all(once).count(), 1, "{:?}", once);
        }
        prop_assert!(fields.first(Known::Expect).is_none());
        let told = fields.first(Known::XForwardedFor).expect("counted above");
        prop_assert!(told.ends_with(b"192.0.2.7"));
        if !trusted {
            prop_assert_eq!(told, b"192.0.2.7");
            let foreign = fields.iter().any(|f| f.name.to_ascii_lowercase().starts_with(b"x_forwarded"));
            prop_assert!(!foreign);
        }
    }

    /// What may pass does: the end-to-end fields arrive, all of them and in order.
    #[test]
    fn everything_else_arrives(lines in lines(), trusted in any::<bool>()) {
        let mut all = vec!["Host: example.com"];
        all.extend(lines.iter().map(String::as_str));
        let head = request_head("GET /p HTTP/1.1", &all);
        let setup = Setup { trusted, ..Setup::default() };
        let sent = setup.try_send(&head);
        prop_assume!(sent.is_ok());
        let Ok((sent, _)) = sent else { return Ok(()) };
        let named = nominated(&head.fields);
        let plain = |fields: &Fields| -> Vec<(Vec<u8>, Vec<u8>)> {
            fields
                .iter()
                .filter(|f| {
                    let name = String::from_utf8_lossy(f.name).to_ascii_lowercase();
                    let ours = is_ours(&name.replace('_', "-"));
                    !ours && name != "expect" && !HOP_BY_HOP.contains(&name.as_str()) && !named.contains(&name)
                })
                .map(|f| (f.name.to_vec(), f.value.to_vec()))
                .collect()
        };
        prop_assert_eq!(plain(&sent), plain(&head.fields));
    }

    #[test]
    fn nothing_of_the_servers_connection_reaches_the_client(
        lines in lines(), [trailers, upgrade, chunked] in flags(), status in prop::sample::select(vec![101u16, 103, 200, 304, 426]),
    ) {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let body = if chunked { BodyLength::Streamed } else { BodyLength::None };
        let head = response_head(status, body, &lines);
        let rules = FieldRules::none();
        let options = ResponseOptions { rules: &rules, trailers, upgrade };
        let Ok(fields) = respond_to(&head, &options) else {
            prop_assert!(nominated(&head.fields).len() > NOMINATED_MAX);
            return Ok(());
        };
        let mut allowed = Vec::new();
        allowed.extend((status == 101 && upgrade || status == 426).then_some("upgrade"));
        allowed.extend((trailers && chunked).then_some("trailer"));
        check(&fields, &nominated(&head.fields), &allowed, |name| name == "via")?;
        prop_assert_eq!(fields.all(Known::Via).count(), 1);
    }

    /// A length passes only if it is the one line of it there is, in the very digits of the body's.
    #[test]
    fn a_length_that_passes_is_that_of_the_body(
        mut lines in lines(), length in prop_oneof![Just(0u64), 1..2000u64, any::<u64>()],
        said in prop_oneof!["0{0,2}[0-9]{0,4}", "[0-9, +;x-]{0,6}"], exact in any::<bool>(), at in 0..14usize,
    ) {
        let said = if exact { length.to_string() } else { said.trim().to_owned() };
        lines.insert(at.min(lines.len()), format!("Content-Length: {said}"));
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let head = response_head(200, BodyLength::Known(length), &lines);
        let rules = FieldRules::none();
        let options = ResponseOptions { rules: &rules, trailers: true, upgrade: false };
        let Ok(fields) = respond_to(&head, &options) else { return Ok(()) };
        let passed: Vec<&[u8]> = fields.all(Known::ContentLength).collect();
        prop_assert!(passed.is_empty() || passed == [length.to_string().as_bytes()], "{passed:?}");
        prop_assert!(passed.is_empty() || head.fields.all(Known::ContentLength).count() == 1);
    }

    #[test]
    fn a_target_is_always_a_path_and_keeps_its_query(
        path in "(/[a-c.]{0,3}){1,4}", query in prop::option::of("[a-c/?&=%]{0,8}"),
        strip in prop::sample::select(vec!["", "/", "/a", "/a/b", "/c/"]),
        add in prop::sample::select(vec!["", "/", "/v2", "/v2/x/"]),
        as_sent in any::<bool>(),
    ) {
        let query_part = query.as_ref().map(|q| format!("?{q}")).unwrap_or_default();
        // When the path was rewritten before, what was sent is something else.
        let sent = if as_sent { path.clone() } else { format!("/%61/..{path}") };
        let head = request_head(&format!("GET {sent}{query_part} HTTP/1.1"), &["Host: h"]);
        let rewrite = PathRewrite::new(strip, add).expect("prefixes");
        let mut scratch = Vec::new();
        let got = String::from_utf8(target(&head, path.as_bytes(), &rewrite, &mut scratch).to_vec()).expect("text");
        let (strip, add) = (strip.trim_end_matches('/'), add.trim_end_matches('/'));
        let rest = match path.strip_prefix(strip) {
            Some("") => "/",
            Some(rest) if rest.starts_with('/') => rest,
            _ => &path,
        };
        prop_assert_eq!(got, format!("{add}{rest}{query_part}"));
    }
}
