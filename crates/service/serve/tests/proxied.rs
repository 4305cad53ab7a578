//! Connections that begin with a PROXY header, over in-memory streams and virtual time.

mod common;

use std::time::Duration;

use client_address::{Network, Networks};
use event_loop::{now, sleep};
use net::memory::Weather;
use observe::Kind;
use serve::{Local, Settings};

use common::{TestClient, serving_at};

const V1: &[u8] = b"PROXY TCP4 192.0.2.77 198.51.100.1 4097 80\r\n";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f\xc0\x00\x02\x4d\xc6\x33\x64\x01\x10\x01\x00\x50\x04\x00\x00";
const WHO: &[u8] = b"GET /who HTTP/1.1\r\nHost: a\r\n\r\n";

/// In-memory clients come from 127.0.0.1.
fn required(from: &str) -> impl Fn(&Local) {
    let trusted = Networks::new(&[Network::parse(from).unwrap()]);
    move |local| local.trust(trusted.clone(), true)
}

#[test]
fn a_header_is_taken_off_in_any_weather() {
    for seed in 0..60 {
        let weather = Weather { split_seed: seed, latency: Duration::from_millis(seed % 4 * 10), ..Weather::default() };
        serving_at(Settings::default(), weather, required("127.0.0.1"), async |context, _| {
            for (header, who) in [(V1, "192.0.2.77"), (V2, "192.0.2.77"), (b"PROXY UNKNOWN\r\n", "127.0.0.1")] {
                let mut client = TestClient::connect();
                client.send([header, WHO].concat()).await;
                client.until(&format!("\r\n\r\n{who}")).await;
                client.send(WHO).await;
                client.until(&format!("\r\n\r\n{who}")).await;
            }
            assert_eq!(context.counters().requests.value(), 6);
        });
    }
}

/// Behind UNKNOWN is anybody, behind LOCAL the balancer alone.
#[test]
fn who_is_not_known_is_not_believed() {
    const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    const UNSPEC: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\0\0\0";
    serving_at(Settings::default(), Weather::default(), required("127.0.0.1"), async |_, _| {
        for (header, who) in [(LOCAL, "10.1.1.1"), (UNSPEC, "127.0.0.1"), (b"PROXY UNKNOWN\r\n", "127.0.0.1")] {
            let mut client = TestClient::connect();
            client.send(header).await;
            client.send("GET /who HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.1.1.1\r\n\r\n").await;
            client.until(&format!("\r\n\r\n{who}")).await;
        }
    });
}

#[test]
fn a_header_and_the_head_behind_it_have_the_time_of_one() {
    serving_at(Settings::default(), Weather::default(), required("127.0.0.1"), async |context, _| {
        let began = now();
        let mut silent = TestClient::connect();
        silent.send(&V1[..20]).await;
        assert_eq!(silent.rest().await.unwrap_or_default(), "");
        let took = now().since(began);
        assert!(took >= Duration::from_secs(9) && took < Duration::from_secs(11), "{took:?}");
        assert_eq!(*context.site().failures.borrow(), [Kind::ProxyHeader]);
        let mut late = TestClient::connect();
        sleep(Duration::from_secs(8)).await;
        late.send(V1).await;
        sleep(Duration::from_secs(1)).await;
        late.send(WHO).await;
        late.until("192.0.2.77").await;
        let began = now();
        let mut later = TestClient::connect();
        sleep(Duration::from_secs(8)).await;
        later.send(V1).await;
        later.send(&WHO[..10]).await;
        assert!(later.rest().await.unwrap_or_default().starts_with("HTTP/1.1 408 "));
        let took = now().since(began);
        assert!(took >= Duration::from_secs(9) && took < Duration::from_secs(12), "{took:?}");
    });
}

#[test]
fn a_drain_does_not_wait_for_a_header() {
    serving_at(Settings::default(), Weather::default(), required("127.0.0.1"), async |context, stop| {
        let mut client = TestClient::connect();
        client.send(&V1[..20]).await;
        sleep(Duration::from_millis(10)).await;
        stop.raise();
        context.drain();
        let began = now();
        client.send(&V1[20..]).await;
        assert_eq!(client.rest().await.unwrap_or_default(), "");
        assert!(now().since(began) < Duration::from_secs(6));
    });
}

#[test]
fn strangers_and_other_beginnings_are_refused_and_counted() {
    for (from, bytes, kinds) in [
        ("10.0.0.0/8", V1, &[Kind::ProxyHeader][..]),
        ("127.0.0.1", WHO, &[Kind::ProxyHeader]),
        ("127.0.0.1", b"", &[Kind::ClientGone]),
    ] {
        serving_at(Settings::default(), Weather::default(), required(from), async |context, _| {
            let mut client = TestClient::connect();
            client.send(bytes).await;
            if bytes.is_empty() {
                sleep(Duration::from_millis(10)).await;
                drop(client);
            } else {
                assert_eq!(client.rest().await.unwrap_or_default(), "");
            }
            context.empty().await;
            assert_eq!(*context.site().failures.borrow(), kinds);
            assert_eq!(context.counters().requests.value(), 0);
        });
    }
}
