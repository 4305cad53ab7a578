//! What a session takes from the heap.

use std::io::IoSlice;

use allocation_counter::measure;
use buf::{Class, ReadBuf};
use tls::{
    ClientConfig, ClientOptions, Identity, Received, Roots, Secret, ServerConfig, ServerOptions, Session, Tickets,
    server_name,
};

fn configs() -> (ClientConfig, ServerConfig) {
    let made = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).unwrap();
    let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let mut client = ClientOptions::new(Roots::from_pem(chain.as_bytes()).unwrap());
    // What it keeps of tickets is the configuration's.
    client.resumption = false;
    let server = ServerOptions {
        identities: vec![Identity::from_pem(chain.as_bytes(), key.as_bytes()).unwrap()],
        tickets: Some(Tickets::new(&Secret::new().unwrap(), b"")),
        ..ServerOptions::default()
    };
    (ClientConfig::new(client).unwrap(), ServerConfig::new(server).unwrap())
}

fn pump(from: &mut Session, to: &mut Session) {
    let n = from.flight().len();
    if n > 0 {
        to.incoming().fill_from(from.flight().bytes());
        from.flight().advance(n);
    }
}

fn shake(client: &mut Session, server: &mut Session) {
    while !(client.handshake().unwrap() & server.handshake().unwrap()) {
        pump(client, server);
        pump(server, client);
    }
}

fn exchange(from: &mut Session, to: &mut Session, window: &mut ReadBuf, message: &[u8]) {
    assert_eq!(from.send(&[IoSlice::new(message)]), Ok(message.len()));
    pump(from, to);
    assert_eq!(to.receive(window), Ok(Received::Plain(message.len())));
    window.clear();
}

fn open((client, server): &(ClientConfig, ServerConfig)) -> (Box<Session>, Box<Session>) {
    let mut client = Box::new(Session::client(client, server_name("a.example").unwrap()).unwrap());
    let mut server = Box::new(Session::server(server).unwrap());
    shake(&mut client, &mut server);
    let mut window = ReadBuf::new(Class::K16);
    exchange(&mut client, &mut server, &mut window, b"request");
    exchange(&mut server, &mut client, &mut window, b"answer");
    (client, server)
}

#[test]
fn an_idle_session_holds_little() {
    let configs = configs();
    // What is made once, for all.
    drop(open(&configs));
    buf::trim();
    let mut kept = None;
    let held = measure(|| {
        let (client, server) = open(&configs);
        drop(client);
        kept = Some(server);
        buf::trim();
    });
    // aws-lc's own memory is not Rust's and not counted here: four key schedules of some hundred bytes each.
    assert!(held.bytes_current <= 2600, "{held:?}");
    drop(kept);
}

#[test]
fn a_record_costs_one_allocation_each_way() {
    let configs = configs();
    let (mut client, mut server) = open(&configs);
    let mut window = ReadBuf::new(Class::K16);
    let message = [7; 1000];
    exchange(&mut client, &mut server, &mut window, &message);
    let counted = measure(|| {
        for _ in 0..100 {
            exchange(&mut client, &mut server, &mut window, &message);
        }
    });
    assert_eq!(counted.count_total, 200, "{counted:?}");
    assert_eq!(counted.count_current, 0);
}
