use std::path::Path;

use arc_swap::ArcSwap;
use crossbeam::channel::{Receiver, bounded, unbounded};
use net::Address;

use super::*;
use crate::listeners::{self, Binding, Listening};
use crate::log::Log;
use crate::worker::{Ended, Spec};

const SHORT: Duration = Duration::from_millis(200);

fn prepared(listener: &str) -> Arc<Prepared> {
    let text = format!("[[listener]]\naddress = \"{listener}\"\n[[route]]\nrespond = {{}}\n");
    Arc::new(Prepared::new(config::parse(&text, "a test", Path::new("/")).unwrap().plan).unwrap())
}

/// Workers that listen on nothing.
fn workers(count: usize) -> (Vec<Remote>, Receiver<Ended>) {
    let (send, ended) = unbounded();
    let start = |number| {
        let spec = Spec {
            number,
            workers: count,
            pin: false,
            snapshot: Arc::new(ArcSwap::new(prepared("127.0.0.1:0"))),
            listeners: Vec::new(),
            max_connections: 10,
            counters: Arc::default(),
            notices: None,
            log: Log::silent(),
        };
        worker::start(spec, send.clone()).unwrap()
    };
    ((0..count).map(start).collect(), ended)
}

/// Sockets for two workers, listened on already, and where they are.
fn bind(prepared: &Prepared) -> (Vec<Vec<Socket>>, Address) {
    let Binding { by_worker, bound, reserved } = listeners::bind(prepared, &Listening::new(), 2).unwrap();
    Binding::listen(reserved).unwrap();
    (by_worker, bound.into_values().next().unwrap().address.clone())
}

#[test]
fn a_worker_that_does_not_answer_stops_the_reload_and_keeps_no_address() {
    let (workers, ended) = workers(2);
    let (let_go, stuck) = bounded::<()>(0);
    workers[1].send(move || assert!(stuck.recv().is_err())).unwrap();
    let any = prepared("127.0.0.1:0");
    let (sockets, address) = bind(&any);
    let why = prepare(&workers, &any, sockets, SHORT).unwrap_err().to_string();
    assert_eq!(why, "worker 1 did not answer within 200ms");
    // What is stuck has not even read its order, and nobody listens all the same.
    let again = prepared(&address.to_string());
    let (sockets, _) = bind(&again);
    drop(let_go);
    prepare(&workers, &again, sockets, PATIENCE).unwrap();
    assert!(change_over(&workers, PATIENCE).is_empty());
    let Address::Tcp(address) = address else { panic!("{address}") };
    std::net::TcpStream::connect(address).expect("the new listener is there");
    workers.iter().for_each(worker::order_stop);
    assert!((0..2).all(|_| ended.recv_timeout(PATIENCE).is_ok_and(|e| e.result == Ok(0))));
}

#[test]
fn a_worker_that_has_ended_stops_the_reload() {
    let (workers, ended) = workers(2);
    worker::order_stop(&workers[0]);
    assert_eq!(ended.recv_timeout(PATIENCE).unwrap().number, 0);
    let any = prepared("127.0.0.1:0");
    let (sockets, address) = bind(&any);
    let why = prepare(&workers, &any, sockets, PATIENCE).unwrap_err().to_string();
    assert_eq!(why, "worker 0 has ended");
    let Address::Tcp(address) = address else { panic!("{address}") };
    assert!(std::net::TcpStream::connect(address).is_err(), "the other worker dropped what it had prepared");
    assert_eq!(change_over(&workers, PATIENCE), [0], "the other one had nothing to change to, and said so");
    worker::order_stop(&workers[1]);
    assert_eq!(ended.recv_timeout(PATIENCE).unwrap().number, 1);
}
