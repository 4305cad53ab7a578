//! What docs/guide/proxy.md walks through, under load: a canary that comes and goes, and a server that is drained.

use std::{
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
};

use tests::{Client, Tollgate, eventually, peers};

fn config(servers: &[(SocketAddr, u32)]) -> String {
    let servers: Vec<String> =
        servers.iter().map(|(s, weight)| format!("{{ address = \"{s}\", weight = {weight} }}")).collect();
    format!(
        "[[route]]\npath = \"/*\"\nproxy = {{ upstream = \"api\" }}\n\n[upstream.api]\nservers = [{}]\n",
        servers.join(", ")
    )
}

#[test]
fn a_canary_and_a_drain_lose_no_request() {
    let [mut old, new] =
        ["old", "new"].map(|name| peers::node(&format!("setTimeout(() => response.end('{name}'), 2)")));
    let mut proxy = Tollgate::config(&config(&[(old.address, 1)]));
    let address = proxy.address();
    let (stop, answers) = (AtomicBool::new(false), Mutex::new(Vec::<String>::new()));
    thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = Client::connect(address);
                    while !stop.load(SeqCst) {
                        let reply = client.get("/");
                        assert_eq!((reply.status, reply.complete), (200, true), "{}", reply.text());
                        answers.lock().expect("no panic").push(reply.text());
                    }
                })
            })
            .collect();
        // The share of the new version in the next so many answers.
        let share = |of: usize| {
            answers.lock().expect("no panic").clear();
            let enough = |n: &usize| *n >= of || clients.iter().any(|c| c.is_finished());
            eventually("answers", || answers.lock().expect("no panic").len(), enough);
            let answers = answers.lock().expect("no panic");
            answers.iter().filter(|a| *a == "new").count() as f64 / answers.len() as f64
        };
        assert_eq!(share(50), 0.0);
        proxy.reload(&config(&[(old.address, 9), (new.address, 1)]));
        share(10);
        let canary = share(400);
        assert!((0.06..0.14).contains(&canary), "{canary}");
        proxy.reload(&config(&[(old.address, 9)]));
        share(10);
        assert_eq!(share(100), 0.0, "it was withdrawn");
        proxy.reload(&config(&[(new.address, 1)]));
        share(10);
        assert_eq!(share(100), 1.0, "the old one is drained");
        old.process.signal(tests::Signal::KILL);
        old.process.wait();
        assert_eq!(share(100), 1.0);
        stop.store(true, SeqCst);
    });
}
