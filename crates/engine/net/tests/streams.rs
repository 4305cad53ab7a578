//! The same conversation over every kind of stream.

use std::cell::RefCell;
use std::fs::File;
use std::future::poll_fn;
use std::io::{IoSlice, Read, Write};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use buf::{Class, FileRange, ReadBuf};
use event_loop::{Driver, Worker, WorkerConfig, now, sleep, spawn, stats};
use net::memory::{self, Weather};
use net::{
    Address, ConnectOptions, FileSend, Listener, Share, Stream, Transport, bind, connect, connect_with, reserve,
};
use rustix::net::RecvFlags;

fn run<T>(driver: Driver, root: impl Future<Output = T>) -> T {
    let (worker, _) = Worker::new(WorkerConfig { driver, ..WorkerConfig::default() }).unwrap();
    worker.block_on(root).unwrap()
}

async fn write_all(stream: &Stream, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let n = poll_fn(|cx| stream.poll_write(cx, &[IoSlice::new(bytes)], false)).await.unwrap();
        bytes = &bytes[n..];
    }
}

async fn read_to_end(stream: &Stream) -> std::io::Result<Vec<u8>> {
    let mut all = Vec::new();
    let mut window = ReadBuf::new(Class::K16);
    loop {
        let n = poll_fn(|cx| stream.poll_read(cx, &mut window)).await?;
        if n == 0 {
            return Ok(all);
        }
        all.extend_from_slice(window.filled());
        window.consume(n);
    }
}

/// Sends a megabyte one way, then the answer the other way after a half-close.
async fn converse(listener: Listener, address: Address) {
    let sent: Vec<u8> = (0..1_000_000u32).map(|i| (i * 7 % 251) as u8).collect();
    let expected = sent.clone();
    let done = Rc::new(RefCell::new(false));
    let mark = Rc::clone(&done);
    spawn(async move {
        let accepted = poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
        let got = read_to_end(&accepted.stream).await.unwrap();
        assert!(got == expected);
        write_all(&accepted.stream, b"thanks").await;
        *mark.borrow_mut() = true;
    });
    let stream = connect(&address).await.unwrap();
    write_all(&stream, &sent).await;
    stream.shutdown_write().unwrap();
    assert_eq!(read_to_end(&stream).await.unwrap(), b"thanks");
    assert!(*done.borrow());
}

#[test]
fn what_is_reserved_refuses_until_somebody_listens() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("socket");
    for text in ["127.0.0.1:0".to_owned(), "[::1]:0".to_owned(), format!("unix:{}", file.display())] {
        run(Driver::Mio, async {
            let (mut sockets, reserved) = reserve(&text.parse().unwrap(), 1, 16, Share::WithNobody).unwrap();
            // On the reactor before it listens, when the system calls it closed.
            let listener = Listener::new(sockets.remove(0)).unwrap();
            let address = listener.address().clone();
            sleep(Duration::from_millis(5)).await;
            let refused = connect(&address).await.unwrap_err();
            assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused, "{text}");
            reserved.listen().unwrap();
            let turns = stats().turns;
            let accept = poll_fn(|cx| listener.poll_accept(cx));
            assert!(event_loop::within(now().after(Duration::from_millis(50)), accept).await.is_none());
            assert!(stats().turns - turns < 10, "{text}: it spins");
            converse(listener, address).await;
        });
    }
}

#[test]
fn an_address_of_ours_can_be_bound_more_widely() {
    run(Driver::Mio, async {
        // A port that is free here may be somebody else's at another address of this machine: then another one is tried.
        let widened = || {
            let narrow = bind(&"127.0.0.1:0".parse().unwrap(), 2, 16).unwrap();
            let Address::Tcp(address) = narrow[0].address().clone() else { panic!("{narrow:?}") };
            let everywhere: Address = format!("0.0.0.0:{}", address.port()).parse().unwrap();
            let taken = reserve(&everywhere, 1, 16, Share::WithNobody).unwrap_err();
            assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse);
            Some((narrow, address, reserve(&everywhere, 2, 16, Share::WithOurs).ok()?))
        };
        let (narrow, address, (mut wide, reserved)) =
            (0..20).find_map(|_| widened()).expect("a port for the whole machine");
        reserved.listen().unwrap();
        drop(narrow);
        wide.truncate(1);
        converse(Listener::new(wide.remove(0)).unwrap(), Address::Tcp(address)).await;
    });
}

fn bound(text: &str) -> (Listener, Address) {
    let bound = bind(&text.parse().unwrap(), 1, 16).unwrap().remove(0);
    let address = bound.address().clone();
    (Listener::new(bound).unwrap(), address)
}

#[test]
fn every_kind_of_stream_carries_a_conversation() {
    let dir = tempfile::tempdir().unwrap();
    let unix = format!("unix:{}", dir.path().join("s").display());
    for text in ["127.0.0.1:0", "[::1]:0", &unix] {
        run(Driver::Mio, async {
            let (listener, address) = bound(text);
            converse(listener, address).await;
            sleep(Duration::from_millis(5)).await;
            assert_eq!(stats().registrations, 0);
        });
    }
}

#[test]
fn memory_streams_carry_it_in_any_weather() {
    for seed in 0..40 {
        let weather = Weather { split_seed: seed, latency: Duration::from_millis(seed % 3 * 20), capacity: 5000 };
        run(Driver::Simulated { seed }, async {
            memory::set_weather(7, weather);
            let (listener, address) = (Listener::new(net::Bound::memory(7)).unwrap(), Address::Memory(7));
            converse(listener, address).await;
        });
        assert_eq!(buf::stats().leased, 0);
    }
}

#[test]
fn a_waiting_reader_holds_no_buffer() {
    run(Driver::Mio, async {
        let (listener, address) = bound("127.0.0.1:0");
        let client = connect(&address).await.unwrap();
        let accepted = poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
        spawn(async move {
            let _ = read_to_end(&accepted.stream).await;
        });
        sleep(Duration::from_millis(10)).await;
        assert_eq!(buf::stats().leased, 0);
        drop(client);
    });
}

#[test]
fn a_deadline_ends_a_wait_and_can_be_renewed() {
    run(Driver::Simulated { seed: 3 }, async {
        let (a, _b) = memory::pair(Weather::default());
        let a = Stream::from(a);
        a.set_deadline(now().after(Duration::from_secs(5)), 9);
        let error = read_to_end(&a).await.unwrap_err();
        assert_eq!((error.kind(), now().0), (std::io::ErrorKind::TimedOut, 5000));
        a.set_deadline(now().after(Duration::from_secs(1)), 9);
        write_all(&a, b"still usable").await;
    });
}

#[test]
fn a_cut_and_a_reset_are_seen_as_errors() {
    run(Driver::Simulated { seed: 4 }, async {
        let (a, b) = memory::pair(Weather::default());
        let cutter = a.cutter();
        let b = Stream::from(b);
        cutter.cut();
        assert_eq!(read_to_end(&b).await.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
        let (a, b) = memory::pair(Weather::default());
        a.reset_on_close();
        drop(a);
        let b = Stream::from(b);
        assert_eq!(poll_fn(|cx| b.poll_broken(cx)).await.kind(), std::io::ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_reset_by_the_peer_breaks_a_socket() {
    run(Driver::Mio, async {
        let (listener, address) = bound("127.0.0.1:0");
        let client = connect(&address).await.unwrap();
        let accepted = poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
        client.reset_on_close();
        drop(client);
        assert_eq!(poll_fn(|cx| accepted.stream.poll_broken(cx)).await.kind(), std::io::ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_half_close_does_not_break_it() {
    run(Driver::Mio, async {
        let (listener, address) = bound("127.0.0.1:0");
        let client = connect(&address).await.unwrap();
        let accepted = poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
        client.shutdown_write().unwrap();
        let broken =
            event_loop::within(now().after(Duration::from_millis(30)), poll_fn(|cx| accepted.stream.poll_broken(cx)));
        assert!(broken.await.is_none());
        assert!(accepted.stream.maybe_readable());
    });
}

#[test]
fn files_are_sent_from_any_offset() {
    let mut file = tempfile::tempfile().unwrap();
    let content: Vec<u8> = (0..3_000_000u32).map(|i| (i % 253) as u8).collect();
    file.write_all(&content).unwrap();
    let file = Rc::new(file);
    let send = async |stream: &Stream, file: &Rc<File>| {
        let mut range = FileRange { file: Rc::clone(file), offset: 1000, len: 2_999_000 };
        while range.len > 0 {
            let sent = poll_fn(|cx| stream.poll_send_file(cx, &range, false)).await;
            let FileSend::Sent(n) = sent.unwrap() else { panic!("not asked to check") };
            range.offset += n as u64;
            range.len -= n as u64;
        }
    };
    run(Driver::Mio, async {
        let (listener, address) = bound("127.0.0.1:0");
        let Address::Tcp(addr) = address else { panic!() };
        let thread = std::thread::spawn(move || {
            let mut got = Vec::new();
            std::net::TcpStream::connect(addr).unwrap().read_to_end(&mut got).unwrap();
            got
        });
        let accepted = poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
        send(&accepted.stream, &file).await;
        drop(accepted);
        assert!(thread.join().unwrap() == content[1000..]);
    });
    run(Driver::Simulated { seed: 1 }, async {
        let (a, b) = memory::pair(Weather { split_seed: 5, ..Weather::default() });
        let (a, b) = (Stream::from(a), Stream::from(b));
        let file = Rc::clone(&file);
        spawn(async move { send(&a, &file).await });
        assert!(read_to_end(&b).await.unwrap() == content[1000..]);
    });
}

#[test]
fn a_file_for_a_fast_reader_leaves_the_others_their_turns() {
    const MIB: u64 = 1 << 20;
    run(Driver::Mio, async {
        let (listener, address) = bound("127.0.0.1:0");
        let Address::Tcp(addr) = address else { panic!() };
        let thread = std::thread::spawn(move || {
            let client = std::net::TcpStream::connect(addr).unwrap();
            let mut room = vec![0; MIB as usize];
            // The kernel drops what is received so: faster than anybody reads.
            while rustix::net::recv(&client, &mut room[..], RecvFlags::TRUNC).unwrap().1 > 0 {}
        });
        let accepted = poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
        let file = tempfile::tempfile().unwrap();
        file.set_len(256 * MIB).unwrap();
        let mut range = FileRange { file: Rc::new(file), offset: 0, len: 256 * MIB };
        let mut most = 0;
        poll_fn(|cx| {
            let begin = range.offset;
            while range.len > 0 {
                let sent = accepted.stream.poll_send_file(cx, &range, false);
                let Poll::Ready(sent) = sent else { break };
                let FileSend::Sent(n) = sent.unwrap() else { panic!("not asked to check") };
                range.offset += n as u64;
                range.len -= n as u64;
            }
            most = most.max(range.offset - begin);
            if range.len > 0 { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
        drop(accepted);
        thread.join().unwrap();
        assert!(most <= 2 * MIB + MIB / 4, "{most}");
    });
}

#[test]
fn a_file_that_became_shorter_is_an_error_not_a_hang() {
    run(Driver::Mio, async {
        let (listener, address) = bound("127.0.0.1:0");
        let _client = connect(&address).await.unwrap();
        let accepted = poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
        let range = FileRange { file: Rc::new(tempfile::tempfile().unwrap()), offset: 0, len: 10 };
        let sent = poll_fn(|cx| accepted.stream.poll_send_file(cx, &range, true)).await;
        assert_eq!(sent.unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);

        // It ends in the middle of a call: there is room in the socket, so that no edge will tell when to ask again.
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"short").unwrap();
        let range = FileRange { file: Rc::new(file), offset: 0, len: 10 };
        let sent = poll_fn(|cx| accepted.stream.poll_send_file(cx, &range, false)).await;
        assert!(matches!(sent, Ok(FileSend::Sent(5))), "{sent:?}");
        let range = FileRange { offset: 5, len: 5, ..range };
        let again = event_loop::within(
            now().after(Duration::from_secs(5)),
            poll_fn(|cx| accepted.stream.poll_send_file(cx, &range, false)),
        );
        assert_eq!(again.await.expect("no hang").unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
    });
}

#[test]
fn a_taken_address_is_refused_and_workers_share_one() {
    let four = bind(&"127.0.0.1:0".parse().unwrap(), 4, 16).unwrap();
    assert!(four.iter().all(|b| b.address() == four[0].address()));
    let again = bind(four[0].address(), 1, 16).unwrap_err();
    assert_eq!(again.kind(), std::io::ErrorKind::AddrInUse);
    drop(four);

    let dir = tempfile::tempdir().unwrap();
    let path: Address = format!("unix:{}", dir.path().join("s").display()).parse().unwrap();
    let first = bind(&path, 2, 16).unwrap();
    assert_eq!(bind(&path, 1, 16).unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
    drop(first);
    let full = bind(&path, 1, 1).expect("a socket file that nobody listens on is replaced");
    let Address::Unix(file) = &path else { panic!() };
    let client = || {
        let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM.nonblocking(), None).unwrap();
        socket.connect(&socket2::SockAddr::unix(file).unwrap()).map(|()| socket)
    };
    let waiting: Vec<_> = std::iter::from_fn(|| client().ok()).take(100).collect();
    assert!(waiting.len() < 100, "the queue never fills");
    assert_eq!(
        bind(&path, 1, 16).unwrap_err().kind(),
        std::io::ErrorKind::AddrInUse,
        "a full queue is no reason to wait"
    );
    drop(full);
}

#[test]
fn exhaustion_is_told_from_a_lost_connection() {
    // By their numbers here, so that a wrong name shows: EMFILE, ENFILE, ENOBUFS, ENOMEM, ENOSPC; ECONNABORTED, EPERM.
    for (number, exhausted) in [(24, true), (23, true), (105, true), (12, true), (28, true), (103, false), (1, false)] {
        let error = std::io::Error::from_raw_os_error(number);
        assert_eq!(net::is_exhausted(&error), exhausted, "{error}");
    }
    assert!(!net::is_exhausted(&std::io::ErrorKind::OutOfMemory.into()));
}

#[test]
fn connecting_to_nobody_is_refused() {
    run(Driver::Mio, async {
        let (listener, address) = bound("127.0.0.1:0");
        drop(listener);
        assert_eq!(connect(&address).await.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
        let missing: Address = "unix:/nonexistent/socket".parse().unwrap();
        assert_eq!(connect(&missing).await.unwrap_err().kind(), std::io::ErrorKind::NotFound);
        assert_eq!(connect(&Address::Memory(99)).await.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    });
}

#[test]
fn connects_from_the_source_it_is_given() {
    run(Driver::Mio, async {
        let bound = bind(&"127.0.0.1:0".parse().unwrap(), 1, 16).unwrap().remove(0);
        let address = bound.address().clone();
        let listener = Listener::new(bound).unwrap();
        let source = "127.0.0.7".parse().unwrap();
        let options = ConnectOptions { source: Some(source), receive_buffer: Some(4096), unpaced_loopback: false };
        let near = connect_with(&address, &options).await.unwrap();
        let far = poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
        assert_eq!(far.peer.ip(), Some(source));
        write_all(&far.stream, b"hello").await;
        far.stream.shutdown_write().unwrap();
        assert_eq!(read_to_end(&near).await.unwrap(), b"hello");
    });
}

#[test]
fn a_source_that_is_not_ours_is_refused() {
    run(Driver::Mio, async {
        let options =
            ConnectOptions { source: Some("192.0.2.1".parse().unwrap()), receive_buffer: None, unpaced_loopback: true };
        let error = connect_with(&"127.0.0.1:9".parse().unwrap(), &options).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::AddrNotAvailable);
    });
}
