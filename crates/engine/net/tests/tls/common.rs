//! Certificates, configurations, and how to talk over a stream.

use std::future::poll_fn;
use std::io::IoSlice;
use std::sync::LazyLock;

use buf::{Class, ReadBuf};
use event_loop::{Driver, Worker, WorkerConfig};
use net::{Address, Listener, Stream, Transport, bind, connect_tls};
use tls::{ClientConfig, ClientOptions, Identity, Roots, Secret, ServerConfig, ServerOptions, Tickets, server_name};

/// A certificate that is its own authority, and its key.
pub(crate) static ISSUED: LazyLock<(String, String)> = LazyLock::new(|| {
    let made = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
});

pub(crate) fn server_config() -> ServerConfig {
    let identity = Identity::from_pem(ISSUED.0.as_bytes(), ISSUED.1.as_bytes()).unwrap();
    ServerConfig::new(ServerOptions {
        identities: vec![identity],
        alpn: vec![b"http/1.1".to_vec()],
        tickets: Some(Tickets::new(&Secret::new().unwrap(), b"")),
        ..ServerOptions::default()
    })
    .unwrap()
}

pub(crate) fn client_config() -> ClientConfig {
    ClientConfig::new(ClientOptions::new(Roots::from_pem(ISSUED.0.as_bytes()).unwrap())).unwrap()
}

pub(crate) fn run<T>(driver: Driver, root: impl Future<Output = T>) -> T {
    let (worker, _) = Worker::new(WorkerConfig { driver, ..WorkerConfig::default() }).unwrap();
    worker.block_on(root).unwrap()
}

pub(crate) fn bound(text: &str) -> (Listener, Address) {
    let bound = bind(&text.parse().unwrap(), 1, 16).unwrap().remove(0);
    let address = bound.address().clone();
    (Listener::new(bound).unwrap(), address)
}

pub(crate) async fn accept(listener: &Listener) -> Stream {
    poll_fn(|cx| listener.poll_accept(cx)).await.unwrap().stream
}

pub(crate) async fn secured(stream: Stream) -> Stream {
    connect_tls(stream, &client_config(), server_name("a.example").unwrap()).await.unwrap()
}

pub(crate) async fn write_all(stream: &Stream, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let (a, b) = bytes.split_at(bytes.len().min(9));
        let n = poll_fn(|cx| stream.poll_write(cx, &[IoSlice::new(a), IoSlice::new(b)], false)).await.unwrap();
        assert!(n > 0);
        bytes = &bytes[n..];
    }
}

pub(crate) async fn read_to_end(stream: &Stream) -> std::io::Result<Vec<u8>> {
    let mut all = Vec::new();
    let mut window = ReadBuf::new(Class::K16);
    loop {
        let n = poll_fn(|cx| stream.poll_read(cx, &mut window)).await?;
        if n == 0 {
            return Ok(all);
        }
        all.extend_from_slice(window.filled());
        window.clear();
    }
}

pub(crate) fn noise(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 % 251) as u8).collect()
}
