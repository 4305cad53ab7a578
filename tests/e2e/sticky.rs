//! Clients that stay with their servers, and servers that are taken away from under them.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    thread,
};

use tests::{Client, Origin, Reply, Tollgate, answer, eventually};

const STICKY: &str = "sticky = { cookie = \"home\", ttl = \"1h\", secret = \"a secret of the test\" }";

fn named(names: &[&'static str]) -> Vec<Origin> {
    names.iter().map(|name| Origin::answering(answer("200 OK", name))).collect()
}

fn text(servers: &[(SocketAddr, u32)], more: &str) -> String {
    let server = |(address, weight): &(SocketAddr, u32)| format!("{{ address = \"{address}\", weight = {weight} }}");
    let servers: Vec<String> = servers.iter().map(server).collect();
    format!(
        "[runtime]\nworkers = 2\n[[route]]\nproxy = {{ upstream = \"api\" }}\n[upstream.api]\nservers = [{}]\n{more}\n",
        servers.join(", ")
    )
}

fn even(origins: &[Origin]) -> Vec<(SocketAddr, u32)> {
    origins.iter().map(|origin| (origin.address(), 1)).collect()
}

/// One request on a connection of its own, so that any worker may get it.
fn ask(proxy: &Tollgate, cookies: &str) -> Reply {
    Client::connect(proxy.address()).ask(format!("GET / HTTP/1.1\r\nHost: a\r\n{cookies}\r\n"))
}

/// The cookie that an answer sets, as a client sends it back.
fn cookie(reply: &Reply) -> String {
    let set = reply.field("set-cookie").expect("a cookie");
    format!("Cookie: a=b; {}; c=d\r\n", set.split(';').next().unwrap_or_default())
}

#[test]
fn a_client_with_its_cookie_stays_with_its_server() {
    let origins = named(&["a", "b", "c"]);
    let proxy = Tollgate::config(&text(&even(&origins), STICKY));
    let mut homes: Vec<(String, String)> = Vec::new();
    for _ in 0..12 {
        let first = ask(&proxy, "");
        let set = first.field("set-cookie").expect("a cookie");
        assert!(set.starts_with("home=") && set.ends_with("; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax"), "{set}");
        homes.push((first.text(), cookie(&first)));
    }
    for name in ["a", "b", "c"] {
        let cookies = homes.iter().filter(|(home, _)| home == name);
        let (_, cookie) = cookies.clone().next().expect("everyone has clients");
        assert!(cookies.clone().all(|(_, other)| other == cookie), "no more is told than which server");
        for _ in 0..10 {
            let reply = ask(&proxy, cookie);
            assert_eq!((reply.text(), reply.field("set-cookie")), (name.into(), None));
        }
    }
}

#[test]
fn a_cookie_that_was_not_made_here_is_replaced() {
    let origins = named(&["a", "b"]);
    let proxy = Tollgate::config(&text(&even(&origins), STICKY));
    let good = cookie(&ask(&proxy, ""));
    let forged = match good.strip_suffix("; c=d\r\n").expect("as made above") {
        good if good.ends_with('0') => format!("{}1\r\n", &good[..good.len() - 1]),
        good => format!("{}0\r\n", &good[..good.len() - 1]),
    };
    for wrong in [forged, "Cookie: home=\r\n".into(), "Cookie: home=127.0.0.1\r\n".into(), "Cookie: xhome=1\r\n".into()]
    {
        let replies: Vec<Reply> = (0..8).map(|_| ask(&proxy, &wrong)).collect();
        assert!(replies.iter().all(|r| r.status == 200 && r.field("set-cookie").is_some()), "{wrong}");
        assert!(["a", "b"].iter().all(|name| replies.iter().any(|r| r.text() == *name)), "{wrong} is balanced");
    }
}

#[test]
fn an_answer_that_streams_has_its_cookie_too_and_keeps_the_servers_own() {
    let origins = [Origin::start(|connection, _| {
        while connection.request().is_some() {
            let body = "x".repeat(100_000);
            let length = body.len();
            connection
                .send(format!("HTTP/1.1 200 OK\r\nSet-Cookie: session=1\r\nContent-Length: {length}\r\n\r\n{body}"));
        }
    })];
    let proxy = Tollgate::config(&text(&even(&origins), STICKY));
    let reply = ask(&proxy, "");
    assert_eq!((reply.status, reply.body.len(), reply.complete), (200, 100_000, true));
    let all = reply.field("set-cookie").expect("two cookies");
    assert!(all.contains("session=1") && all.contains("home="), "{all}");
}

#[test]
fn a_tunnel_stays_with_its_server_too() {
    let origin = |name: &'static str| {
        Origin::start(move |connection, _| {
            while connection.request().is_some() {
                connection.send(format!(
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n{name}"
                ));
            }
        })
    };
    let origins = [origin("a"), origin("b")];
    let proxy = Tollgate::config(&text(&even(&origins), STICKY));
    let switch = |cookie: &str| {
        let mut client = Client::connect(proxy.address());
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{cookie}\r\n"));
        let head = client.read_until("\r\n\r\n");
        (head, client.read_exactly(1))
    };
    let (head, home) = switch("");
    let set = head.lines().find_map(|line| line.strip_prefix("Set-Cookie: ")).expect("a cookie");
    let cookie = format!("Cookie: {}\r\n", set.split(';').next().expect("a value"));
    for _ in 0..6 {
        let (head, again) = switch(&cookie);
        assert!(again == home && !head.contains("Set-Cookie"), "{head}");
    }
}

#[test]
fn two_upstreams_keep_a_client_each_by_a_cookie_of_its_own() {
    let origins = named(&["a", "b"]);
    let secret = "sticky = { secret = \"a secret of the test\" }";
    let proxy = Tollgate::config(&format!(
        "[[route]]\npath = \"/one/*\"\nproxy = {{ upstream = \"one\" }}\n[[route]]\nproxy = {{ upstream = \"two\" }}\n\
         [upstream.one]\nservers = [\"{0}\", \"{1}\"]\n{secret}\n[upstream.two]\nservers = [\"{0}\", \"{1}\"]\n{secret}\n",
        origins[0].address(),
        origins[1].address()
    ));
    let sets = |path: &str| Client::connect(proxy.address()).get(path).field("set-cookie").expect("a cookie");
    assert!(sets("/one/").starts_with("tg_one=") && sets("/").starts_with("tg_two="));
}

#[test]
fn a_client_whose_server_is_gone_gets_another_and_keeps_that() {
    let mut origins = named(&["a", "b"]);
    let proxy = Tollgate::config(&text(&even(&origins), STICKY));
    let first = ask(&proxy, "");
    let (home, old) = (first.text(), cookie(&first));
    origins.remove(usize::from(home == "b"));
    let moved = ask(&proxy, &old);
    assert_eq!(moved.status, 200, "{}", moved.text());
    assert_ne!(moved.text(), home);
    // The failed connection has put a mark on the old server by now, at least on one worker.
    let settled = eventually("another home", || ask(&proxy, &old), |reply| reply.field("set-cookie").is_some());
    assert_eq!(ask(&proxy, &cookie(&settled)).text(), moved.text());
}

/// Clients that ask all the time until the value is dropped or asked; every answer has to be a good one.
fn under_load(address: SocketAddr, cookies: &[String], meanwhile: impl FnOnce(&dyn Fn())) -> u64 {
    let (stop, requests) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for (number, cookie) in cookies.iter().enumerate() {
            let (stop, requests) = (&stop, &requests);
            scope.spawn(move || {
                let mut client = Client::connect(address);
                while !stop.load(SeqCst) {
                    if number % 2 == 0 {
                        client = Client::connect(address);
                    }
                    let reply = client.ask(format!("GET / HTTP/1.1\r\nHost: a\r\n{cookie}\r\n"));
                    assert!(reply.status == 200 && reply.complete, "{} {}", reply.status, reply.text());
                    requests.fetch_add(1, SeqCst);
                }
            });
        }
        let go_on = || {
            let before = requests.load(SeqCst);
            eventually("requests go on", || requests.load(SeqCst), |n| *n > before + 50);
        };
        go_on();
        meanwhile(&go_on);
        stop.store(true, SeqCst);
    });
    requests.into_inner()
}

#[test]
fn a_server_is_drained_and_removed_under_load_without_an_error() {
    let origins = named(&["a", "b"]);
    let [a, b] = [origins[0].address(), origins[1].address()];
    let mut proxy = Tollgate::config(&text(&[(a, 1), (b, 1)], STICKY));
    let replies: Vec<Reply> = (0..8).map(|_| ask(&proxy, "")).collect();
    let with_b = replies.iter().find(|r| r.text() == "b").map(cookie).expect("b has clients");
    let seen_by_b = || origins[1].seen_text().matches("GET / ").count();
    let cookies = [String::new(), String::new(), with_b.clone(), with_b.clone()];
    under_load(proxy.address(), &cookies, |go_on| {
        // Draining: those that have b keep it, nobody new gets it.
        proxy.reload(&text(&[(a, 1), (b, 0)], STICKY));
        go_on();
        assert!((0..20).all(|_| ask(&proxy, "").text() == "a"));
        assert!((0..5).all(|_| ask(&proxy, &with_b).text() == "b"));
        // Gone: its clients move.
        proxy.reload(&text(&[(a, 1)], STICKY));
        go_on();
        let moved = ask(&proxy, &with_b);
        assert_eq!((moved.text(), moved.field("set-cookie").is_some()), ("a".into(), true));
        // What was under way at the change has ended by now.
        let settled = eventually("b is idle", || (seen_by_b(), go_on(), seen_by_b()), |(one, (), two)| one == two).0;
        go_on();
        assert_eq!(seen_by_b(), settled, "nothing more comes to it");
        // And back.
        proxy.reload(&text(&[(a, 1), (b, 1)], STICKY));
        eventually("b has new clients", || ask(&proxy, "").text(), |text| text == "b");
    });
    let complaints = proxy.process.complaints();
    assert!(complaints.is_empty(), "{complaints:#?}");
    proxy.stop();
}

#[test]
fn without_cookies_a_server_is_drained_under_load_by_every_policy() {
    for balance in ["\"round_robin\"", "\"least_connections\"", "\"ewma\"", "{ hash = \"path\" }"] {
        let origins = named(&["a", "b"]);
        let [a, b] = [origins[0].address(), origins[1].address()];
        let more = format!("balance = {balance}");
        let mut proxy = Tollgate::config(&text(&[(a, 1), (b, 1)], &more));
        under_load(proxy.address(), &[const { String::new() }; 4], |go_on| {
            proxy.reload(&text(&[(a, 1), (b, 0)], &more));
            go_on();
            assert!((0..20).all(|_| ask(&proxy, "").text() == "a"), "{balance}");
            proxy.reload(&text(&[(a, 1)], &more));
            go_on();
        });
        proxy.stop();
    }
}
