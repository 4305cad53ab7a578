//! Two workers and a server behind: a connection that the one does not use serves the other.

use std::{path::Path, thread, time::Duration};

use tests::{Authority, Client, Origin, Tollgate, answer, folder, peers, peers::curl};

use crate::tls_upstreams::node;

/// Longer than a connection must be idle to be handed over.
const APART: Duration = Duration::from_millis(70);

/// How often requests used a connection of another worker, as is told at the end.
fn handed_over(mut proxy: Tollgate) -> u64 {
    proxy.process.signal(tests::Signal::TERM);
    let ended = proxy.process.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let told = ended.err.lines().find_map(|line| line.split_once("connections to servers: ")).expect("the totals").1;
    let moved = told.split(", ").find_map(|part| part.strip_suffix(" times by another worker"));
    moved.map_or(0, |count| count.parse().expect("a number"))
}

fn two_workers(server: &str, lines: &str) -> String {
    format!(
        "[runtime]\nworkers = 2\n[[route]]\nproxy = {{ upstream = \"api\" }}\n[upstream.api]\nservers = [\"{server}\"]\n{lines}\n"
    )
}

#[test]
fn a_connection_serves_both_workers() {
    let node = peers::node("response.end(String(request.socket.remotePort))");
    for (lines, hands_over) in [("", true), ("keep_alive = { hand_over = false }", false)] {
        let proxy = Tollgate::config(&two_workers(&node.address.to_string(), lines));
        // Which worker a client comes to is the system's choice.
        for _ in 0..30 {
            let reply = Client::connect(proxy.address()).get("/");
            assert!(reply.status == 200 && reply.text().parse::<u16>().is_ok(), "{}", reply.text());
            thread::sleep(APART);
        }
        assert_eq!(handed_over(proxy) > 0, hands_over, "{lines}");
    }
}

#[test]
fn a_connection_over_tls_too() {
    let files = folder();
    let authority = Authority::new("all");
    authority.write(files.path(), "ca");
    authority.issue(&["localhost"]).write(files.path(), "site");
    let (_node, port) = node(files.path(), "site", "");
    let ca: &Path = &files.path().join("ca.pem");
    let lines = format!("tls = {{ ca = {ca:?} }}");
    let proxy = Tollgate::config(&two_workers(&format!("https://localhost:{port}"), &lines));
    for _ in 0..30 {
        let got = curl(["-w", "%{http_code}", &proxy.url("/")]);
        assert!(got.out.ends_with("200"), "{} {}", got.out, got.err);
        thread::sleep(APART);
    }
    assert!(handed_over(proxy) > 0);
}

#[test]
fn a_reload_that_changes_the_upstream_costs_no_connection() {
    let origin = Origin::answering(answer("200 OK", "ok"));
    let text = |seconds: u32| {
        format!(
            "[runtime]\nworkers = 1\n[[route]]\nproxy = {{ upstream = \"api\" }}\n\
             [upstream.api]\nservers = [\"{}\"]\ntimeouts = {{ header = \"{seconds}s\" }}\n",
            origin.address()
        )
    };
    let mut proxy = Tollgate::config(&text(30));
    let mut client = Client::connect(proxy.address());
    for seconds in 31..34 {
        assert_eq!(client.get("/").status, 200);
        proxy.reload(&text(seconds));
    }
    assert_eq!((client.get("/").status, origin.connections()), (200, 1));
    proxy.stop();
}
