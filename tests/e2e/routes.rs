//! Which route a request takes, who may come in, where redirects lead, how a route is split.

use std::time::{Duration, Instant};

use tests::{Client, Origin, Tollgate, answer};

fn get(client: &mut Client, target: &str, fields: &str) -> (u16, String) {
    let reply = client.ask(format!("GET {target} HTTP/1.1\r\nHost: a.test:81\r\n{fields}\r\n"));
    (reply.status, reply.field("location").unwrap_or_else(|| reply.text()))
}

#[test]
fn fields_query_and_client_choose_the_route() {
    let server = Tollgate::config(
        r#"
        [[route]]
        match.headers = { x-canary = "1", cookie = "~(^|; )beta=" }
        respond = { body = "canary" }
        [[route]]
        match.query = { v = "2" }
        respond = { body = "two" }
        [[route]]
        path = "/elsewhere"
        match.clients = ["10.0.0.0/8", "::1"]
        respond = { body = "from elsewhere" }
        [[route]]
        path = "/here"
        match.clients = ["127.0.0.0/8"]
        respond = { body = "from here" }
        [[route]]
        path = "/only-here"
        allow = ["127.0.0.0/8"]
        deny = ["127.0.0.2"]
        respond = { body = "come in" }
        [[route]]
        path = "/only-others"
        deny = ["127.0.0.0/8"]
        respond = { body = "come in" }
        [[route]]
        path = "~^/items/[0-9]+$"
        methods = ["GET"]
        respond = { body = "an item" }
        [[route]]
        respond = { body = "the rest" }
        "#,
    );
    let client = &mut Client::connect(server.address());
    let ok = |text: &str| (200, text.to_owned());
    assert_eq!(get(client, "/", "X-Canary: 1\r\nCookie: a=b; beta=x\r\n"), ok("canary"));
    assert_eq!(get(client, "/", "X-Canary: 1\r\n"), ok("the rest"));
    assert_eq!(get(client, "/?a&%76=2", "X-Canary: 1\r\n"), ok("two"));
    assert_eq!(get(client, "/elsewhere", ""), ok("the rest"));
    assert_eq!(get(client, "/here", "X-Forwarded-For: 10.0.0.1\r\n"), ok("from here"), "nobody is believed");
    assert_eq!(get(client, "/only-here", ""), ok("come in"));
    let (status, page) = get(client, "/only-others", "");
    assert!(status == 403 && page.contains("at your address"), "{page}");
    assert_eq!(get(client, "/items/17", ""), ok("an item"));
    assert_eq!(get(client, "/items/x", ""), ok("the rest"));
}

#[test]
fn redirects_are_filled_in() {
    let server = Tollgate::config(
        r#"
        [[route]]
        path = "/old/*"
        redirect = { to = "/new{rest}?was={path}&{query}", status = 302 }
        [[route]]
        path = "/moved/*"
        redirect = { to = "/to{rest}?{query}" }
        [[route]]
        path = "/tls"
        redirect = { to = "https://{host}{uri}" }
        [[route]]
        redirect = { to = "{scheme}://{authority}/all{uri}" }
        "#,
    );
    let client = &mut Client::connect(server.address());
    assert_eq!(get(client, "/old/a/%62?q=%20", ""), (302, "/new/a/b?was=/old/a/b&q=%20".into()));
    assert_eq!(get(client, "/old", ""), (302, "/new?was=/old&".into()));
    for (from, to) in [("/moved/a?q", "/to/a?q"), ("/moved/a", "/to/a"), ("/moved?", "/to"), ("/moved/a??", "/to/a??")]
    {
        assert_eq!(get(client, from, ""), (308, to.into()));
    }
    assert_eq!(get(client, "/tls?x", ""), (308, "https://a.test/tls?x".into()));
    assert_eq!(get(client, "//evil.test/", ""), (308, "http://a.test:81/all//evil.test/".into()));
    let nameless = Client::connect(server.address()).ask("GET /x HTTP/1.0\r\n\r\n");
    assert_eq!(nameless.status, 400);
}

#[test]
fn a_split_gives_each_upstream_its_share() {
    let origin = |body: &str| Origin::answering(answer("200 OK", body));
    let (stable, canary) = (origin("stable"), origin("canary"));
    let text = |weights: (u32, u32), by: &str| {
        format!(
            r#"
            [[route]]
            proxy = {{ split = [{{ upstream = "stable", weight = {} }}, {{ upstream = "canary", weight = {} }}], split_by = "{by}" }}
            [upstream.stable]
            servers = ["{}"]
            [upstream.canary]
            servers = ["{}"]
            "#,
            weights.0,
            weights.1,
            stable.address(),
            canary.address(),
        )
    };
    let mut server = Tollgate::config(&text((90, 10), "request"));
    let canaries = |server: &Tollgate, requests: usize| {
        let mut client = Client::connect(server.address());
        (0..requests).filter(|_| get(&mut client, "/", "") == (200, "canary".into())).count()
    };
    let ten = canaries(&server, 200);
    assert!((18..=22).contains(&ten), "{ten} of 200");
    server.reload(&text((0, 1), "request"));
    assert_eq!(canaries(&server, 20), 20);
    server.reload(&text((1, 1), "client"));
    let one_client = canaries(&server, 20);
    assert!(one_client == 0 || one_client == 20, "{one_client} of 20");
}

#[test]
fn a_route_limits_the_whole_exchange_and_the_body() {
    let dripping = Origin::start(|connection, _| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
        while connection.send("x") {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let silent = Origin::start(|connection, _| {
        connection.request();
        connection.wait_for_end();
    });
    let server = Tollgate::config(&format!(
        r#"
        [[route]]
        path = "/drip"
        timeout = "300ms"
        proxy = {{ upstream = "drip" }}
        [[route]]
        path = "/silent"
        timeout = "300ms"
        body_bytes = "4B"
        proxy = {{ upstream = "silent" }}
        [upstream.drip]
        servers = ["{}"]
        [upstream.silent]
        servers = ["{}"]
        "#,
        dripping.address(),
        silent.address()
    ));
    let began = Instant::now();
    assert_eq!(get(&mut Client::connect(server.address()), "/silent", "").0, 504);
    let mut client = Client::connect(server.address());
    client.send("GET /drip HTTP/1.1\r\nHost: a\r\n\r\n");
    let (bytes, _) = client.read_to_end();
    assert!(bytes.starts_with(b"HTTP/1.1 200") && bytes.len() < 1000, "cut in the middle");
    let took = began.elapsed();
    assert!(took > Duration::from_millis(590) && took < Duration::from_secs(5), "{took:?}");
    let large = "POST /silent HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(Client::connect(server.address()).ask(large).status, 413);
}
