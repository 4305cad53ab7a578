use super::*;

fn respond(head: &ResponseHead, options: &ResponseOptions<'_>) -> (Vec<String>, Passed) {
    let mut out = FieldsBuilder::new();
    let passed = crate::response(head, options, &mut out).expect("it can be sent");
    (lines_of(&text_of(out)), passed)
}

fn plain(status: u16, body: BodyLength, lines: &[&str]) -> (Vec<String>, Passed) {
    let options = ResponseOptions { rules: &FieldRules::none(), trailers: false, upgrade: false };
    respond(&response_head(status, body, lines), &options)
}

#[test]
fn end_to_end_fields_pass_and_via_is_added() {
    let lines = ["Server: origin", "Date: Tue, 15 Nov 1994 08:12:31 GMT", "Set-Cookie: a", "set-cookie: b", "X_y: z"];
    let (got, passed) = plain(200, BodyLength::Known(3), &lines);
    assert_eq!(got[..5], lines);
    assert_eq!(got[5..], ["Via: 1.1 tollgate"]);
    assert_eq!(passed.declared_length, None);
    let old = ResponseHead { version: Version::Http10, ..response_head(200, BodyLength::UntilClose, &["Via: 1.0 x"]) };
    let options = ResponseOptions { rules: &FieldRules::none(), trailers: false, upgrade: false };
    assert_eq!(respond(&old, &options).0, ["Via: 1.0 x, 1.0 tollgate"]);
}

#[test]
fn hop_by_hop_fields_and_framing_stay_behind() {
    for line in [
        "Connection: close",
        "Keep-Alive: timeout=5, max=100",
        "Proxy-Connection: close",
        "Proxy-Authenticate: Basic",
        "Transfer-Encoding: chunked",
        "Content-Length: 3",
        "Trailer: x",
        "TE: x",
        "Upgrade: h2c",
    ] {
        let (got, _) = plain(200, BodyLength::Streamed, &["a: b", line, "c: d"]);
        assert_eq!(got, ["a: b", "c: d", "Via: 1.1 tollgate"], "{line}");
    }
    let (got, _) = plain(200, BodyLength::Streamed, &["x-a: 1", "Connection: X-A, via", "Via: 1.1 o", "x-b: 2"]);
    assert_eq!(got, ["x-b: 2", "Via: 1.1 o, 1.1 tollgate"]);
    // What protects requests has no meaning here.
    let lines = ["Connection: x-forwarded-port, host, forwarded", "X-Forwarded-Port: 1", "Host: x", "Forwarded: x"];
    assert_eq!(plain(200, BodyLength::Streamed, &lines).0, ["Via: 1.1 tollgate"]);
    let many: String = (0..40).map(|i| format!("x{i},")).collect();
    let head = response_head(200, BodyLength::Streamed, &[&format!("Connection: {many}")]);
    let options = ResponseOptions { rules: &FieldRules::none(), trailers: false, upgrade: false };
    assert_eq!(crate::response(&head, &options, &mut FieldsBuilder::new()), Err(TooManyOptions));
}

#[test]
fn the_length_of_a_body_that_is_not_sent_is_told() {
    let declared = |status, body| plain(status, body, &["Content-Length: 1234"]).1.declared_length;
    assert_eq!(declared(200, BodyLength::None), Some(1234), "an answer to HEAD");
    assert_eq!(declared(304, BodyLength::None), Some(1234));
    assert_eq!(declared(204, BodyLength::None), None);
    assert_eq!(declared(103, BodyLength::None), None);
    assert_eq!(declared(200, BodyLength::Known(1234)), None, "the body says it");
    assert_eq!(plain(304, BodyLength::None, &[]).1.declared_length, None);
}

#[test]
fn a_switch_of_protocols_passes_only_where_it_was_asked_for() {
    let lines = ["Upgrade: websocket", "Connection: upgrade", "Sec-WebSocket-Accept: x"];
    let rules = FieldRules::none();
    let asked = ResponseOptions { rules: &rules, trailers: false, upgrade: true };
    let head = |status| response_head(status, BodyLength::UntilClose, &lines);
    assert_eq!(respond(&head(101), &asked).0, ["Sec-WebSocket-Accept: x", "Via: 1.1 tollgate", "Upgrade: websocket"]);
    assert_eq!(respond(&head(200), &asked).0, ["Sec-WebSocket-Accept: x", "Via: 1.1 tollgate"]);
    let unasked = ResponseOptions { upgrade: false, ..asked };
    assert_eq!(respond(&head(101), &unasked).0, ["Sec-WebSocket-Accept: x", "Via: 1.1 tollgate"]);
}

#[test]
fn trailer_passes_where_trailers_are_relayed() {
    let rules = FieldRules::none();
    let options = ResponseOptions { rules: &rules, trailers: true, upgrade: false };
    let with = |body| respond(&response_head(200, body, &["Trailer: x-sum"]), &options).0;
    assert_eq!(with(BodyLength::Streamed), ["Trailer: x-sum", "Via: 1.1 tollgate"]);
    assert_eq!(with(BodyLength::Known(3)), ["Via: 1.1 tollgate"]);
}

#[test]
fn trailers_that_would_change_the_head_stay_behind() {
    let mut rules = FieldRules::none();
    rules.set(Side::Request, "x-env", "prod").expect("a rule");
    rules.remove(Side::Request, "X-Secret").expect("a rule");
    let lines = fields(&[
        "x-checksum: abc",
        "Content-Length: 3",
        "Transfer-Encoding: chunked",
        "Host: evil",
        "Authorization: x",
        "Cookie: x",
        "Set-Cookie: x",
        "Cache-Control: x",
        "Content-Type: x",
        "Content-Encoding: x",
        "Connection: x",
        "X-Forwarded-For: x",
        "X-Forwarded-Port: 1",
        "x_forwarded_user: root",
        "Forwarded: x",
        "Via: x",
        "Pragma: x",
        "Age: 1",
        "WWW-Authenticate: x",
        "Trailer: x",
        "Location: x",
        "X-Env: other",
        "x-secret: 1",
        "ETag: \"e\"",
        "Server-Timing: db;dur=5",
        "grpc-status: 0",
    ]);
    let mut out = FieldsBuilder::new();
    trailers(&lines, &rules, &mut out);
    let kept = ["x-checksum: abc", "ETag: \"e\"", "Server-Timing: db;dur=5", "grpc-status: 0"];
    assert_eq!(lines_of(&text_of(out)), kept);
}
