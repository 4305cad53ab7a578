use super::*;

fn respond(head: &ResponseHead, options: &ResponseOptions<'_>) -> Vec<String> {
    lines_of(&text_of(&respond_to(head, options).expect("it can be sent")))
}

fn plain(status: u16, body: BodyLength, lines: &[&str]) -> Vec<String> {
    let options = ResponseOptions { rules: &FieldRules::none(), trailers: false, upgrade: false };
    respond(&response_head(status, body, lines), &options)
}

#[test]
fn end_to_end_fields_pass_and_via_is_added() {
    let lines = ["Server: origin", "Date: Tue, 15 Nov 1994 08:12:31 GMT", "Set-Cookie: a", "set-cookie: b", "X_y: z"];
    let got = plain(200, BodyLength::Known(3), &lines);
    assert_eq!(got[..5], lines);
    assert_eq!(got[5..], ["Via: 1.1 tollgate"]);
    let old = ResponseHead { version: Version::Http10, ..response_head(200, BodyLength::UntilClose, &["Via: 1.0 x"]) };
    let options = ResponseOptions { rules: &FieldRules::none(), trailers: false, upgrade: false };
    assert_eq!(respond(&old, &options), ["Via: 1.0 x, 1.0 tollgate"]);
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
        let got = plain(200, BodyLength::Streamed, &["a: b", line, "c: d"]);
        assert_eq!(got, ["a: b", "c: d", "Via: 1.1 tollgate"], "{line}");
    }
    let got = plain(200, BodyLength::Streamed, &["x-a: 1", "Connection: X-A, via", "Via: 1.1 o", "x-b: 2"]);
    assert_eq!(got, ["x-b: 2", "Via: 1.1 o, 1.1 tollgate"]);
    // What protects requests has no meaning here.
    let lines = ["Connection: x-forwarded-port, host, forwarded", "X-Forwarded-Port: 1", "Host: x", "Forwarded: x"];
    assert_eq!(plain(200, BodyLength::Streamed, &lines), ["Via: 1.1 tollgate"]);
    let many: String = (0..40).map(|i| format!("x{i},")).collect();
    let head = response_head(200, BodyLength::Streamed, &[&format!("Connection: {many}")]);
    let options = ResponseOptions { rules: &FieldRules::none(), trailers: false, upgrade: false };
    assert_eq!(respond_to(&head, &options).map(|f| text_of(&f)), Err(TooManyOptions));
}

#[test]
fn the_length_of_a_body_that_is_not_sent_is_told() {
    let length = ["Content-Length: 1234"];
    let declared = |status, body| declared_length(&response_head(status, body, &length));
    assert_eq!(declared(200, BodyLength::None), Some(1234), "an answer to HEAD");
    assert_eq!(declared(304, BodyLength::None), Some(1234));
    assert_eq!(declared(204, BodyLength::None), None);
    assert_eq!(declared(103, BodyLength::None), None);
    assert_eq!(declared(200, BodyLength::Known(1234)), None, "the body says it");
    assert_eq!(declared_length(&response_head(304, BodyLength::None, &[])), None);
}

#[test]
fn only_a_length_that_says_exactly_that_of_the_body_passes() {
    const VIA: &str = "Via: 1.1 tollgate";
    for length in ["0", "7", "1024", "9999999999999999999"] {
        let body = BodyLength::Known(length.parse().expect("a number"));
        for name in ["Content-Length", "content-LENGTH"] {
            let line = format!("{name}: {length}");
            assert_eq!(plain(200, body, &["a: b", &line, "c: d"]), ["a: b", &line, "c: d", VIA]);
            assert_eq!(plain(200, body, &[&format!("{name}:\t{length} ")]), [&line, VIA]);
            // Twice, named by Connection, or without such a body.
            assert_eq!(plain(200, body, &["a: b", &line, "c: d", &line]), ["a: b", "c: d", VIA]);
            assert_eq!(plain(200, body, &["a: b", &line, &format!("Connection: {name}")]), ["a: b", VIA]);
            for other in [BodyLength::None, BodyLength::Streamed, BodyLength::UntilClose, BodyLength::Known(1)] {
                assert_eq!(plain(200, other, &["a: b", &line]), ["a: b", VIA], "{other:?}");
            }
        }
    }
    let not_that = ["1025", "01024", "024", "24", "11024", "+1024", "1024, 1024", "1 024", "", "0", "1024;", "0x400"];
    for value in not_that {
        let lines = ["a: b", &format!("Content-Length: {value}"), "c: d"];
        assert_eq!(plain(200, BodyLength::Known(1024), &lines), ["a: b", "c: d", VIA], "{value}");
    }
    assert_eq!(plain(200, BodyLength::Known(0), &["Content-Length: 00"]), [VIA]);
    // Twenty digits are not looked into: the encoder writes them.
    let most = format!("Content-Length: {}", u64::MAX);
    assert_eq!(plain(200, BodyLength::Known(u64::MAX), &[&most]), [VIA]);
}

#[test]
fn a_switch_of_protocols_passes_only_where_it_was_asked_for() {
    let lines = ["Upgrade: websocket", "Connection: upgrade", "Sec-WebSocket-Accept: x"];
    let rules = FieldRules::none();
    let asked = ResponseOptions { rules: &rules, trailers: false, upgrade: true };
    let head = |status| response_head(status, BodyLength::UntilClose, &lines);
    assert_eq!(respond(&head(101), &asked), ["Sec-WebSocket-Accept: x", "Via: 1.1 tollgate", "Upgrade: websocket"]);
    assert_eq!(respond(&head(200), &asked), ["Sec-WebSocket-Accept: x", "Via: 1.1 tollgate"]);
    let unasked = ResponseOptions { upgrade: false, ..asked };
    assert_eq!(respond(&head(101), &unasked), ["Sec-WebSocket-Accept: x", "Via: 1.1 tollgate"]);
}

#[test]
fn an_answer_that_requires_an_upgrade_says_to_what() {
    let lines = ["Upgrade: TLS/1.0, h2c", "upgrade: websocket", "Connection: Upgrade", "Content-Length: 0"];
    assert_eq!(plain(426, BodyLength::Streamed, &lines), ["Via: 1.1 tollgate", "Upgrade: TLS/1.0, websocket"]);
    // What the server offers is offered to us.
    for status in [200, 204, 400, 425] {
        assert_eq!(plain(status, BodyLength::Streamed, &lines), ["Via: 1.1 tollgate"]);
    }
    assert_eq!(plain(426, BodyLength::Streamed, &["Upgrade: h2c"]), ["Via: 1.1 tollgate", "Upgrade: h2c"]);
    assert_eq!(plain(426, BodyLength::Streamed, &["Upgrade: h2c", "upgrade:"]), ["Via: 1.1 tollgate", "Upgrade: h2c"]);
    assert_eq!(plain(426, BodyLength::Streamed, &["Upgrade:", "a: b"]), ["a: b", "Via: 1.1 tollgate"]);
}

#[test]
fn trailer_passes_where_trailers_are_relayed() {
    let rules = FieldRules::none();
    let options = ResponseOptions { rules: &rules, trailers: true, upgrade: false };
    let with = |body| respond(&response_head(200, body, &["Trailer: x-sum"]), &options);
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
    let out = out.finish();
    let kept = ["x-checksum: abc", "ETag: \"e\"", "Server-Timing: db;dur=5", "grpc-status: 0"];
    assert_eq!(lines_of(&text_of(&out)), kept);
}
