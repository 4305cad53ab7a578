use super::*;

const HOST: &str = "Host: example.com";

/// What is added for an ordinary client.
const TOLD: [&str; 5] = [
    "X-Forwarded-For: 192.0.2.7",
    "X-Forwarded-Proto: http",
    "X-Forwarded-Host: example.com",
    "Forwarded: for=192.0.2.7;host=example.com;proto=http",
    "Via: 1.1 tollgate",
];

/// The lines that passed, when nothing of what is told of the client is out of the ordinary.
fn passed(setup: &Setup, lines: &[&str]) -> Vec<String> {
    let all = setup.get(lines);
    let (passed, told) = all.split_at(all.len() - TOLD.len());
    assert_eq!(told, TOLD);
    passed.to_vec()
}

#[test]
fn end_to_end_fields_pass_in_order_and_as_they_are() {
    let lines = [HOST, "Accept: */*", "X_Odd~Name: \u{e9}", "cookie: a=b", "Cookie: c=d", "empty:", "Range: bytes=0-1"];
    let mut expected = lines.map(str::to_owned);
    expected[5] = "empty: ".into();
    assert_eq!(passed(&Setup::default(), &lines), expected);
}

#[test]
fn odd_white_space_is_not_passed_on() {
    let lines = [HOST, "a:b", "c:\t d \t", "e:   f", "g: h"];
    assert_eq!(passed(&Setup::default(), &lines), [HOST, "a: b", "c: d", "e: f", "g: h"]);
}

#[test]
fn hop_by_hop_fields_and_framing_stay_behind() {
    for line in [
        "Connection: keep-alive",
        "connection: close",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "Proxy-Authorization: Basic x",
        "Proxy-Authenticate: Basic",
        "TE: trailers",
        "te: gzip",
        "Trailer: x-sum",
        "Upgrade: websocket",
        "Content-Length: 5",
        "Expect: 100-continue",
    ] {
        assert_eq!(passed(&Setup::default(), &[HOST, line, "a: b"]), [HOST, "a: b"], "{line}");
    }
    let chunked = request_head("POST / HTTP/1.1", &[HOST, "Transfer-Encoding: chunked", "Trailer: x"]);
    assert!(Setup::default().send(&chunked).0.contains("\r\nTrailer: x\r\n"));
    let buffered = Setup { buffered: true, trailers: true, ..Setup::default() };
    assert!(!buffered.send(&chunked).0.contains("Tra"), "its body has a length now");
}

#[test]
fn what_connection_names_stays_behind() {
    let setup = Setup::default();
    for (connection, expected) in [
        ("Connection: x-a", &["x-b: 2", "Cookie: 3"][..]),
        ("Connection: X-A ,, x-B,", &["Cookie: 3"]),
        ("Connection: close, cookie", &["x-a: 1", "x-b: 2"]),
        ("Connection: keep-alive", &["x-a: 1", "x-b: 2", "Cookie: 3"]),
        ("Connection: x-", &["x-a: 1", "x-b: 2", "Cookie: 3"]),
        ("Connection:", &["x-a: 1", "x-b: 2", "Cookie: 3"]),
    ] {
        let got = passed(&setup, &["x-a: 1", HOST, connection, "x-b: 2", "Cookie: 3"]);
        let got: Vec<_> = got.iter().filter(|l| *l != HOST).collect();
        assert_eq!(got, expected, "{connection}");
    }
    let two = passed(&setup, &[HOST, "Connection: x-a", "x-a: 1", "x-b: 2", "x-c: 3", "connection: x-c"]);
    assert_eq!(two, [HOST, "x-b: 2"]);
}

#[test]
fn connection_cannot_remove_what_is_ours_to_say() {
    let named = "Connection: host, x-forwarded-for, X-Forwarded-Host, x-forwarded-proto, forwarded, via, content-length, \
                 x-forwarded-port";
    assert_eq!(passed(&Setup::default(), &[HOST, named]), [HOST]);
    // Nor what a trusted proxy has said.
    let setup = Setup { trusted: true, ..Setup::default() };
    let lines = setup.get(&[HOST, named, "X-Forwarded-For: 198.51.100.1", "X-Forwarded-Port: 443", "Via: 1.1 edge"]);
    assert!(lines.contains(&"X-Forwarded-For: 198.51.100.1, 192.0.2.7".into()), "{lines:?}");
    assert!(lines.contains(&"X-Forwarded-Port: 443".into()));
    assert!(lines.contains(&"Via: 1.1 edge, 1.1 tollgate".into()));
}

#[test]
fn a_connection_that_names_too_much_is_refused() {
    let list = |n: usize| format!("Connection: {}", (0..n).map(|i| format!("x-{i}")).collect::<Vec<_>>().join(","));
    let most = list(NOMINATED_MAX);
    assert_eq!(passed(&Setup::default(), &[HOST, &most, "x-31: a", "x-32: b"]), [HOST, "x-32: b"]);
    let head = request_head("GET / HTTP/1.1", &[HOST, &list(NOMINATED_MAX + 1)]);
    assert_eq!(Setup::default().try_send(&head).map(|(_, sent)| sent), Err(TooManyOptions));
    // Well-known names and repetitions of `close` do not count: they cost nothing.
    let known = format!("Connection: {}", "close, keep-alive, te, ".repeat(50));
    assert_eq!(passed(&Setup::default(), &[HOST, &known]), [HOST]);
}

#[test]
fn host_follows_the_policy() {
    let name = || HostPolicy::Name(b"fixed.test"[..].into());
    let absolute = "GET http://other.test:81/p HTTP/1.1";
    for (host, line, lines, expected) in [
        (HostPolicy::Client, "GET / HTTP/1.1", &["a: b", "hOST: Example.com:80"][..], "hOST: Example.com:80"),
        (HostPolicy::Upstream, "GET / HTTP/1.1", &[HOST], "Host: origin:3000"),
        (name(), "GET / HTTP/1.1", &[HOST], "Host: fixed.test"),
        // RFC 9112 §3.2.2: the target's authority replaces the Host that was received.
        (HostPolicy::Client, absolute, &[HOST], "Host: other.test:81"),
        (name(), absolute, &[HOST], "Host: fixed.test"),
        (HostPolicy::Client, "GET / HTTP/1.0", &[], "Host: origin:3000"),
        (HostPolicy::Client, "GET http://other.test/ HTTP/1.0", &[], "Host: other.test"),
    ] {
        let setup = Setup { host, ..Setup::default() };
        let sent = lines_of(&setup.send(&request_head(line, lines)).0);
        let hosts: Vec<_> = sent.iter().filter(|l| l.to_ascii_lowercase().starts_with("host:")).collect();
        assert_eq!(hosts, [expected], "{line} {lines:?}");
    }
}

#[test]
fn the_client_is_told_of() {
    let get = |address, scheme, host: &str| {
        let setup = Setup { address, scheme, ..Setup::default() };
        setup.get(&[host])[1..].to_vec()
    };
    assert_eq!(get("192.0.2.7", Scheme::Http, HOST), TOLD);
    assert_eq!(
        get("2001:db8::7", Scheme::Https, "Host: [2001:db8::1]:8443"),
        [
            "X-Forwarded-For: 2001:db8::7",
            "X-Forwarded-Proto: https",
            "X-Forwarded-Host: [2001:db8::1]:8443",
            "Forwarded: for=\"[2001:db8::7]\";host=\"[2001:db8::1]:8443\";proto=https",
            "Via: 1.1 tollgate",
        ]
    );
    assert_eq!(get("::ffff:192.0.2.7", Scheme::Http, HOST), TOLD);
}

#[test]
fn a_client_of_1_0_without_host_is_told_of_without_host() {
    let sent = Setup::default().send(&request_head("GET / HTTP/1.0", &[])).0;
    assert_eq!(
        lines_of(&sent)[1..],
        [
            "X-Forwarded-For: 192.0.2.7",
            "X-Forwarded-Proto: http",
            "Forwarded: for=192.0.2.7;proto=http",
            "Via: 1.0 tollgate"
        ]
    );
}

#[test]
fn an_authority_that_could_end_the_element_is_not_told() {
    // No decoder lets these through; were one to, nothing could be smuggled in.
    for bad in ["a\"b", "a;for=1.2.3.4", "a,b", "a\\b", "a b", "\u{e9}"] {
        let lines = Setup::default().get(&[&format!("Host: {bad}")]);
        let told: Vec<_> = lines.iter().filter(|l| l.contains("orwarded")).collect();
        assert_eq!(
            told,
            ["X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: http", "Forwarded: for=192.0.2.7;proto=http"],
            "{bad}"
        );
    }
}

#[test]
fn what_an_untrusted_client_claims_is_replaced() {
    let claims = [
        HOST,
        "X-Forwarded-For: 10.0.0.1",
        "x-forwarded-for: 10.0.0.2",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: bank.test",
        "Forwarded: for=10.0.0.1;proto=https",
        "X-Forwarded-Port: 443",
        "x-FORWARDED-prefix: /admin",
        "X_Forwarded_For: 10.0.0.3",
        "x-forwarded_user: root",
        "X-Forward: passes",
        "X-Forwarded-: passes",
    ];
    assert_eq!(passed(&Setup::default(), &claims), [HOST, "X-Forward: passes", "X-Forwarded-: passes"]);
}

#[test]
fn what_a_trusted_proxy_says_is_appended_to() {
    let setup = Setup { trusted: true, asked: Some(Scheme::Https), ..Setup::default() };
    let lines = setup.get(&[
        HOST,
        "X-Forwarded-For: 198.51.100.1",
        "X-Forwarded-Port: 443",
        "X-Forwarded-Proto: https",
        "Forwarded: for=198.51.100.1",
        "x-forwarded-for: 10.0.0.9, 10.0.0.10",
        "X-Forwarded-Host:",
    ]);
    // Neither is written anew from the other while both are there.
    assert_eq!(
        lines,
        [
            HOST,
            "X-Forwarded-Port: 443",
            "X-Forwarded-For: 198.51.100.1, 10.0.0.9, 10.0.0.10, 192.0.2.7",
            "X-Forwarded-Proto: https",
            "X-Forwarded-Host: example.com",
            "Forwarded: for=198.51.100.1, for=192.0.2.7;host=example.com;proto=http",
            "Via: 1.1 tollgate",
        ]
    );
    // Nothing to append to: as for any client.
    assert_eq!(passed(&Setup { trusted: true, ..Setup::default() }, &[HOST]), [HOST]);
}

/// Servers look for one of each: gunicorn, uvicorn and Werkzeug take `https, http` for http, and Django refuses two hosts.
#[test]
fn a_server_is_told_one_scheme_and_one_host_the_clients() {
    let told = |asked, scheme, lines: &[&str]| {
        let setup = Setup { trusted: true, asked: Some(asked), scheme, ..Setup::default() };
        let lines = setup.get(&[&[HOST, "X-Forwarded-For: 5.5.5.5"], lines].concat());
        ["X-Forwarded-Proto: ", "X-Forwarded-Host: "].map(|name| {
            let mut values = lines.iter().filter_map(|line| line.strip_prefix(name));
            let value = values.next().map(str::to_owned);
            assert_eq!(values.next(), None, "{lines:?}");
            value.expect("each is told")
        })
    };
    let (http, https) = (Scheme::Http, Scheme::Https);
    assert_eq!(told(https, http, &["X-Forwarded-Proto: https"]), ["https", "example.com"]);
    assert_eq!(
        told(https, http, &["X-Forwarded-Proto: wss, http", "x-forwarded-proto: http"]),
        ["https", "example.com"]
    );
    assert_eq!(
        told(http, https, &["X-Forwarded-Proto: http", "X-Forwarded-Host: shop.test:81"]),
        ["http", "shop.test:81"]
    );
    // As they were told.
    let hosts = ["x-forwarded-host: a.test", "X-Forwarded-Host: b.test"];
    assert_eq!(told(http, http, &hosts), ["http", "a.test, b.test"]);
}

/// The lines of a trusted proxy's request that tell of clients, less their beginning `X-Forwarded-` or `Forwarded: `.
fn carried(lines: &[&str]) -> Vec<String> {
    let setup = Setup { trusted: true, asked: Some(Scheme::Https), ..Setup::default() };
    let lines = [&[HOST], lines].concat();
    let told = setup.get(&lines).into_iter().filter(|line| !line.contains("-Host") && !line.starts_with("Via"));
    told.skip(1)
        .map(|line| line.replace("X-Forwarded-", "").replace("Forwarded: ", ""))
        .filter(|line| line != "Proto: https")
        .collect()
}

#[test]
fn forwarded_goes_on_from_what_x_forwarded_for_lists() {
    for (lines, [addresses, hops]) in [
        (&["X-Forwarded-For: 5.5.5.5"][..], ["5.5.5.5", "for=5.5.5.5"]),
        (&["X-Forwarded-For: 5.5.5.5", "X-Forwarded-Proto: https"], ["5.5.5.5", "for=5.5.5.5;proto=https"]),
        (
            &["X-Forwarded-For: 5.5.5.5:80", "x-forwarded-proto: HTTPS , http", "x-forwarded-for: 2001:db8::1"],
            ["5.5.5.5:80, 2001:db8::1", "for=\"5.5.5.5:80\";proto=https, for=\"[2001:db8::1]\";proto=http"],
        ),
        // A single scheme is the first client's.
        (
            &["X-Forwarded-For: 5.5.5.5, 6.6.6.6", "X-Forwarded-Proto: https"],
            ["5.5.5.5, 6.6.6.6", "for=5.5.5.5;proto=https, for=6.6.6.6"],
        ),
        // Nobody can say whose these are.
        (&["X-Forwarded-For: 5.5.5.5", "X-Forwarded-Proto: https,http"], ["5.5.5.5", "for=5.5.5.5"]),
        (
            &[
                "X-Forwarded-For: a\"b;for=1.1.1.1, unknown, _x, , \u{e9}",
                "Forwarded:",
                "X-Forwarded-Proto: a;b, http, , x, y",
            ],
            ["a\"b;for=1.1.1.1, unknown, _x, , \u{e9}", "for=unknown, for=unknown;proto=http, for=_x, for=unknown"],
        ),
    ] {
        let expected =
            [format!("For: {addresses}, 192.0.2.7"), format!("{hops}, for=192.0.2.7;host=example.com;proto=http")];
        assert_eq!(carried(lines), expected, "{lines:?}");
    }
}

#[test]
fn x_forwarded_for_goes_on_from_what_forwarded_lists() {
    for (value, addresses) in [
        ("for=5.5.5.5", "5.5.5.5"),
        ("for=\"5.5.5.5:80\";proto=https, For=\"[2001:db8::1]:1\";host=a", "5.5.5.5, 2001:db8::1"),
        ("for=_x;proto=http, for=unknown, proto=https, for=1.1.1.1;for=2.2.2.2", "_x, unknown, unknown, unknown"),
        ("for=5.5.5.5;host=\"a, for=6.6.6.6\"", "5.5.5.5"),
    ] {
        let expected =
            [format!("For: {addresses}, 192.0.2.7"), format!("{value}, for=192.0.2.7;host=example.com;proto=http")];
        assert_eq!(carried(&[&format!("Forwarded: {value}")]), expected, "{value}");
    }
    let lines = carried(&["Forwarded: for=5.5.5.5;proto=http", "forwarded: for=6.6.6.6", "X-Forwarded-For: ,"]);
    assert_eq!(lines[0], "For: 5.5.5.5, 6.6.6.6, 192.0.2.7");
}

#[test]
fn what_is_taken_out_is_not_carried_into_its_own_field() {
    let mut rules = FieldRules::none();
    rules.remove(Side::Request, "forwarded").expect("a good rule");
    let setup = Setup { trusted: true, rules, ..Setup::default() };
    let lines = setup.get(&[HOST, "Forwarded: for=5.5.5.5"]);
    assert!(lines.contains(&"X-Forwarded-For: 5.5.5.5, 192.0.2.7".into()), "{lines:?}");
    assert!(!lines.iter().any(|line| line.starts_with("Forwarded")), "{lines:?}");
}

/// A server that turns fields into variables cannot tell these from a proxy's own.
#[test]
fn what_a_client_smuggles_past_a_trusted_proxy_stays() {
    let setup = Setup { trusted: true, ..Setup::default() };
    let lines = ["X_Forwarded_For: 10.0.0.1", "x-forwarded_proto: https", "X_FORWARDED-Port: 1"];
    let kept = ["X-Forwarded-Port: 443", "x_y: 1", "X-Forwarded-User_Id: 7"];
    let lines = [&[HOST], &lines[..], &kept].concat();
    assert_eq!(passed(&setup, &lines), [&[HOST], &kept[..]].concat());
    let named = ["Connection: x_forwarded_for, x-forwarded-port", kept[0], "X_Forwarded_For: 10.0.0.1", HOST];
    assert_eq!(passed(&setup, &named), [kept[0], HOST]);
}

/// Behind a Unix socket: a hop that nobody could look for, which has said whom it speaks for.
#[test]
fn a_trusted_proxy_without_an_address_is_no_hop() {
    let setup = Setup { trusted: true, address: "unknown", asked: Some(Scheme::Https), ..Setup::default() };
    let get = |lines: &[&str]| setup.get(&[&[HOST], lines].concat())[1..].to_vec();
    let both = [
        "X-Forwarded-For: 5.5.5.5",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: example.com",
        "Forwarded: for=5.5.5.5;proto=https",
        "Via: 1.1 tollgate",
    ];
    assert_eq!(get(&["X-Forwarded-For: 5.5.5.5", "X-Forwarded-Proto: https"]), both);
    assert_eq!(get(&["Forwarded: for=5.5.5.5;proto=https"]), both);
    assert_eq!(
        get(&["X-Forwarded-For: 5.5.5.5", "Forwarded: for=5.5.5.5"])[1..4],
        [both[1], both[2], "Forwarded: for=5.5.5.5"]
    );
    // It speaks for itself.
    let alone = get(&["X-Forwarded-Proto: https", "X-Forwarded-For:"]);
    assert_eq!(alone[..2], ["X-Forwarded-For: unknown", "X-Forwarded-Proto: https"]);
    // Anybody else there is a client.
    let stranger = Setup { address: "unknown", ..Setup::default() };
    assert_eq!(stranger.get(&[HOST, "X-Forwarded-For: 5.5.5.5"])[1], "X-Forwarded-For: unknown");
}

#[test]
fn via_grows_whoever_sent_it() {
    for trusted in [false, true] {
        let setup = Setup { trusted, ..Setup::default() };
        let lines = setup.get(&["Via: 1.0 fred", HOST, "via: 1.1 p.example.net (x)"]);
        assert_eq!(lines.last().map(String::as_str), Some("Via: 1.0 fred, 1.1 p.example.net (x), 1.1 tollgate"));
        assert_eq!(lines.iter().filter(|l| l.to_ascii_lowercase().starts_with("via")).count(), 1);
    }
}

#[test]
fn te_and_trailer_pass_where_trailers_are_relayed() {
    let setup = Setup { trailers: true, ..Setup::default() };
    let lines = [HOST, "TE: deflate, Trailers", "Trailer: x-sum", "Connection: te", "Transfer-Encoding: chunked"];
    let (text, sent) = setup.send(&request_head("POST / HTTP/1.1", &lines));
    assert!(text.contains("\r\nTE: trailers\r\n") && text.contains("\r\nTrailer: x-sum\r\n"), "{text}");
    assert!(!text.contains("deflate") && !text.contains("Transfer-Encoding"));
    assert_eq!(sent, Sent { connection: Some("te"), upgrade: false });
    // A body of known length has no trailers to announce.
    let (text, sent) =
        setup.send(&request_head("POST / HTTP/1.1", &[HOST, "TE: gzip", "Trailer: x", "Content-Length: 1"]));
    assert!(!text.contains("TE:") && !text.contains("Trailer"), "{text}");
    assert_eq!(sent, Sent { connection: None, upgrade: false });
}

#[test]
fn an_upgrade_is_passed_on_only_where_it_is_allowed_and_asked_for() {
    let websocket = [HOST, "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: x"];
    let on = Setup { upgrade: true, ..Setup::default() };
    let (text, sent) = on.send(&request_head("GET / HTTP/1.1", &websocket));
    assert!(text.contains("\r\nUpgrade: websocket\r\n") && text.contains("\r\nSec-WebSocket-Key: x\r\n"), "{text}");
    assert_eq!(sent, Sent { connection: Some("upgrade"), upgrade: true });
    let both = Setup { upgrade: true, trailers: true, ..Setup::default() };
    let (_, sent) = both.send(&request_head(
        "GET / HTTP/1.1",
        &[websocket[0], websocket[1], "Connection: upgrade, te", "te: trailers"],
    ));
    assert_eq!(sent.connection, Some("upgrade, te"));

    let off = Setup::default().send(&request_head("GET / HTTP/1.1", &websocket));
    assert!(!off.0.contains("Upgrade") && !off.1.upgrade);
    let unnamed = on.send(&request_head("GET / HTTP/1.1", &[HOST, "Upgrade: websocket"]));
    assert!(!unnamed.0.contains("Upgrade") && !unnamed.1.upgrade);
}

#[test]
fn http_2_is_never_upgraded_to() {
    let on = Setup { upgrade: true, ..Setup::default() };
    let head = |upgrade: &str| {
        request_head("GET / HTTP/1.1", &[HOST, upgrade, "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAM"])
    };
    let (text, sent) = on.send(&head("Upgrade: H2C"));
    assert!(!text.contains("pgrade") && !text.contains("HTTP2"), "{text}");
    assert_eq!(sent, Sent { connection: None, upgrade: false });
    let (text, sent) = on.send(&head("Upgrade: h2c,, websocket , foo/2"));
    assert!(text.contains("\r\nUpgrade: websocket, foo/2\r\n"), "{text}");
    assert!(sent.upgrade);
}

#[test]
fn max_forwards_counts_down_for_options_only() {
    let head = |method: &str, value: &str| {
        request_head(&format!("{method} / HTTP/1.1"), &[HOST, &format!("Max-Forwards: {value}")])
    };
    for (method, value, hops, expected) in [
        ("OPTIONS", "7", Some(7), "6"),
        ("OPTIONS", "1", Some(1), "0"),
        ("OPTIONS", "0", Some(0), "0"),
        ("OPTIONS", "ten", None, "ten"),
        ("OPTIONS", "+5", None, "+5"),
        ("OPTIONS", "99999999999999999999", None, "99999999999999999999"),
        ("GET", "7", None, "7"),
    ] {
        let head = head(method, value);
        assert_eq!(max_forwards(&head), hops, "{method} {value}");
        let text = Setup::default().send(&head).0;
        assert!(text.contains(&format!("\r\nMax-Forwards: {expected}\r\n")), "{method} {value}: {text}");
    }
    assert_eq!(max_forwards(&request_head("OPTIONS / HTTP/1.1", &[HOST])), None);
}

#[test]
fn a_head_that_grows_too_large_is_noticed() {
    let filler = format!("x: {}", "v".repeat(60_000));
    let head = request_head("GET / HTTP/1.1", &[&format!("Host: {}", "h".repeat(3_000)), &filler]);
    assert!(Setup::default().overflows(&head));
}

#[test]
fn only_a_length_that_says_exactly_that_of_the_body_passes() {
    let send = |body, line: &str| {
        let head = RequestHead { body, ..request_head("POST / HTTP/1.1", &[HOST, "a: b", line, "c: d"]) };
        lines_of(&Setup::default().send(&head).0)[1..3].to_vec()
    };
    for length in ["5", "0", "1234567890"] {
        let line = format!("content-length: {length}");
        let body = BodyLength::Known(length.parse().expect("a number"));
        assert_eq!(send(body, &line), ["a: b", &line]);
        assert_eq!(send(BodyLength::None, &line), ["a: b", "c: d"]);
        assert_eq!(send(BodyLength::Streamed, &line), ["a: b", "c: d"]);
    }
    for other in ["05", "+5", "5,5", "5 5", "6", "55", ""] {
        assert_eq!(send(BodyLength::Known(5), &format!("Content-Length: {other}")), ["a: b", "c: d"], "{other}");
    }
}
