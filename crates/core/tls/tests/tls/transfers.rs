//! Bytes in and out of an open connection.

use std::io::IoSlice;

use buf::{Class, ReadBuf};
use testkit::Rng;
use tls::{Error, Received, Session, Versions};

use crate::common::{Pair, carry, client_options, noise, pump, server_options};

#[test]
fn megabytes_go_both_ways_through_any_window() {
    for version in [Versions::Only12, Versions::Only13] {
        let mut client = client_options();
        client.versions = version;
        let mut pair = Pair::with(client, server_options());
        pair.shake(usize::MAX).unwrap();
        let message = noise(3_000_000);
        for (piece, class) in [(usize::MAX, Class::K16), (1000, Class::K4), (17_000, Class::K64)] {
            assert!(carry(&mut pair.client, &mut pair.server, &message, piece, class) == message);
            assert!(carry(&mut pair.server, &mut pair.client, &message, piece, class) == message);
        }
        assert_eq!(buf::stats().leased, 0, "an idle connection holds no buffer");
    }
}

#[test]
fn records_are_full_and_small_answers_take_one() {
    let mut pair = Pair::open();
    let body = noise(100_000);
    let taken = pair.server.send(&[IoSlice::new(b"head"), IoSlice::new(&body)]).unwrap();
    assert_eq!(taken, 3 * 16_384);
    assert_eq!(record_lengths(pair.server.flight().bytes()), [16_384 + 17; 3]);
    pair = Pair::open();
    assert_eq!(pair.server.send(&[IoSlice::new(b"head"), IoSlice::new(b"body")]).unwrap(), 8);
    assert_eq!(record_lengths(pair.server.flight().bytes()), [8 + 17]);
    assert_eq!(buf::stats().leased_bytes, Class::K2.bytes());
    assert_eq!(pair.server.send(&[]).unwrap(), 0);
}

fn record_lengths(mut bytes: &[u8]) -> Vec<usize> {
    let mut lengths = Vec::new();
    while let [23, 3, 3, high, low, rest @ ..] = bytes {
        let len = usize::from(*high) << 8 | usize::from(*low);
        lengths.push(len);
        bytes = &rest[len..];
    }
    assert!(bytes.is_empty());
    lengths
}

#[test]
fn what_waits_in_the_session_is_known_without_the_socket() {
    let mut pair = Pair::open();
    for _ in 0..3 {
        pair.client.send(&[IoSlice::new(&noise(5000))]).unwrap();
        pump(&mut pair.client, &mut pair.server, usize::MAX);
    }
    let mut window = ReadBuf::new(Class::K4);
    let mut got = 0;
    while pair.server.has_more() {
        let Received::Plain(n) = pair.server.receive(&mut window).unwrap() else { panic!("it had more") };
        assert!(n > 0);
        got += n;
        window.clear();
    }
    assert_eq!(got, 15_000);
    assert_eq!(pair.server.receive(&mut window), Ok(Received::Nothing));
    assert!(!pair.server.has_more());
    // Half a record is nothing to read.
    pair.client.send(&[IoSlice::new(b"hello")]).unwrap();
    pump(&mut pair.client, &mut pair.server, 10);
    assert_eq!(pair.server.receive(&mut window), Ok(Received::Nothing));
    assert!(!pair.server.has_more());
    pair.server.release();
    assert_eq!(
        buf::stats().leased_bytes,
        Class::K2.bytes() + Class::K4.bytes(),
        "ten bytes do not keep a large buffer"
    );
}

#[test]
fn one_may_write_while_records_wait_to_be_read() {
    let mut pair = Pair::open();
    let big = noise(45_000);
    for chunk in big.chunks(15_000) {
        for record in chunk.chunks(5000) {
            pair.client.send(&[IoSlice::new(record)]).unwrap();
            pump(&mut pair.client, &mut pair.server, usize::MAX);
        }
        let mut window = ReadBuf::new(Class::K4);
        assert_eq!(pair.server.receive(&mut window), Ok(Received::Plain(4096)));
        assert!(window.filled() == &chunk[..4096]);
        assert_eq!(carry(&mut pair.server, &mut pair.client, b"meanwhile", 99, Class::K4), b"meanwhile");
        let mut got = window.filled().to_vec();
        window.clear();
        while let Ok(Received::Plain(_)) = pair.server.receive(&mut window) {
            got.extend_from_slice(window.filled());
            window.clear();
        }
        assert!(got == chunk);
    }
}

#[test]
fn a_close_is_told_apart_from_a_cut() {
    let mut pair = Pair::open();
    let mut window = ReadBuf::new(Class::K16);
    pair.client.send(&[IoSlice::new(b"last words")]).unwrap();
    pair.client.close();
    pair.client.close();
    pump(&mut pair.client, &mut pair.server, usize::MAX);
    assert_eq!(pair.server.receive(&mut window), Ok(Received::Plain(10)));
    assert!(pair.server.has_more());
    assert_eq!(pair.server.receive(&mut window), Ok(Received::End));
    assert_eq!(pair.server.receive(&mut window), Ok(Received::End));
    assert!(pair.server.peer_closed() && pair.client.is_closed());
    assert_eq!(pair.server.transport_ended(), Ok(()));
    // The other direction stays open.
    window.clear();
    assert_eq!(carry(&mut pair.server, &mut pair.client, b"answer", 99, Class::K4), b"answer");
    assert_eq!(pair.client.send(&[IoSlice::new(b"more")]), Err(Error::Closed));

    let mut pair = Pair::open();
    pair.client.send(&[IoSlice::new(b"cut off")]).unwrap();
    pump(&mut pair.client, &mut pair.server, 20);
    assert_eq!(pair.server.receive(&mut window), Ok(Received::Nothing));
    assert_eq!(pair.server.transport_ended(), Err(Error::Truncated));
    assert_eq!(pair.server.receive(&mut window), Err(Error::Truncated));
    assert!(pair.server.has_more(), "so that it is asked, and says so");
}

/// One direction under random operations: how much of [`noise`] without end went in, and came out.
#[derive(Default)]
struct Way {
    sent: usize,
    got: usize,
}

impl Way {
    /// Noise repeats itself after so many bytes.
    const PERIOD: usize = 251;

    fn next<'b>(&self, bytes: &'b [u8], len: usize) -> &'b [u8] {
        &bytes[self.sent % Way::PERIOD..][..len]
    }

    /// Checks and takes at most `most` bytes from the window.
    fn take(&mut self, window: &mut ReadBuf, bytes: &[u8], most: usize) {
        let n = window.len().min(most);
        assert!(window.filled()[..n] == bytes[self.got % Way::PERIOD..][..n]);
        window.consume(n);
        self.got += n;
    }
}

#[test]
fn any_order_of_operations_carries_the_same_bytes() {
    let bytes = noise(100_000);
    for seed in 0..150 {
        let mut random = Rng::new(seed);
        let mut client = client_options();
        client.versions = *random.pick(&[Versions::Only12, Versions::Only13]).unwrap();
        let mut pair = Pair::with(client, server_options());
        pair.shake(1 + random.index(3000)).unwrap();
        let classes = [Class::K4, Class::K16, Class::K20, Class::K64];
        let mut windows = [0, 1].map(|_| ReadBuf::new(*random.pick(&classes).unwrap()));
        let mut ways = [Way::default(), Way::default()];
        for i in (0..200).map(|_| random.next_u64() as usize % 2).collect::<Vec<_>>() {
            let Pair { client, server } = &mut pair;
            let (from, to) = if i == 0 { (client, server) } else { (server, client) };
            let (way, window) = (&mut ways[i], &mut windows[i]);
            match random.below(10) {
                0..3 if from.flight().len() < 10_000 => {
                    let most = if random.chance(1, 4) { 60_000 } else { 2000 };
                    let len = random.index(most);
                    let (a, b) = way.next(&bytes, len).split_at(random.index(len));
                    let n = from.send(&[IoSlice::new(a), IoSlice::new(b)]).unwrap();
                    assert_eq!(n, len.min(Session::SEND));
                    way.sent += n;
                }
                3..6 => drop(pump(from, to, 1 + random.index(20_000))),
                6 => way.take(window, &bytes, random.index(5000)),
                7 => to.release(),
                _ => drop(to.receive(window).unwrap()),
            }
        }
        for (i, (way, window)) in ways.iter_mut().zip(&mut windows).enumerate() {
            let Pair { client, server } = &mut pair;
            let (from, to) = if i == 0 { (client, server) } else { (server, client) };
            from.close();
            while {
                pump(from, to, usize::MAX);
                let received = to.receive(window).unwrap();
                way.take(window, &bytes, usize::MAX);
                received != Received::End
            } {}
            assert_eq!(way.got, way.sent, "seed {seed}");
        }
        drop((pair, windows));
        assert_eq!(buf::stats().leased, 0, "seed {seed}");
    }
}
