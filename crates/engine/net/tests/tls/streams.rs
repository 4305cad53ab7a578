//! The same conversations as over plain streams, and what is only TLS's.

use std::cell::Cell;
use std::fs::File;
use std::future::poll_fn;
use std::io::{IoSlice, Read, Write};
use std::rc::Rc;
use std::time::Duration;

use buf::{Class, FileRange, ReadBuf};
use event_loop::{Driver, now, sleep, spawn, stats, within};
use net::memory::{self, Weather};
use net::{
    Accepted, Address, Bound, FileSend, HandshakeFailure, Listener, Stream, Transport, accept_tls, connect,
    connect_tls, tls_error,
};
use tls::{Error, Reason, Session, server_name};

use crate::common::{accept, bound, client_config, noise, read_to_end, run, secured, server_config, write_all};

/// Sends a megabyte one way, then the answer the other way after a half-close.
async fn converse(listener: Listener, address: Address) {
    let sent = noise(1_000_000);
    let expected = sent.clone();
    let done = Rc::new(Cell::new(false));
    let mark = Rc::clone(&done);
    spawn(async move {
        let stream = accept_tls(accept(&listener).await, &server_config()).await.unwrap();
        assert_eq!(stream.tls().unwrap().server_name(), Some("a.example"));
        assert!(read_to_end(&stream).await.unwrap() == expected);
        write_all(&stream, b"thanks").await;
        mark.set(true);
        stream.shutdown_write().unwrap();
        assert_eq!(read_to_end(&stream).await.unwrap(), b"");
    });
    let stream = secured(connect(&address).await.unwrap()).await;
    write_all(&stream, &sent).await;
    stream.shutdown_write().unwrap();
    assert_eq!(read_to_end(&stream).await.unwrap(), b"thanks");
    assert!(done.get());
}

#[test]
fn the_conversation_is_the_same_over_tls() {
    let dir = tempfile::tempdir().unwrap();
    let unix = format!("unix:{}", dir.path().join("s").display());
    for text in ["127.0.0.1:0", &unix] {
        run(Driver::Mio, async {
            let (listener, address) = bound(text);
            converse(listener, address).await;
            sleep(Duration::from_millis(5)).await;
            assert_eq!(stats().registrations, 0);
        });
        assert_eq!(buf::stats().leased, 0);
    }
}

#[test]
fn it_holds_in_any_weather() {
    for seed in 0..30 {
        let capacity = [700, 5000, 64 << 10][seed as usize % 3];
        let weather = Weather { split_seed: seed, latency: Duration::from_millis(seed % 2 * 20), capacity };
        run(Driver::Simulated { seed }, async {
            memory::set_weather(7, weather);
            converse(Listener::new(Bound::memory(7)).unwrap(), Address::Memory(7)).await;
        });
        assert_eq!(buf::stats().leased, 0);
    }
}

/// Sends and reads a megabyte at the same time, by two tasks.
async fn both_ways(stream: Stream) {
    let stream = Rc::new(stream);
    let writer = Rc::clone(&stream);
    let written = Rc::new(Cell::new(false));
    let mark = Rc::clone(&written);
    spawn(async move {
        write_all(&writer, &noise(1_000_000)).await;
        writer.shutdown_write().unwrap();
        mark.set(true);
    });
    assert!(read_to_end(&stream).await.unwrap() == noise(1_000_000));
    while !written.get() {
        sleep(Duration::from_millis(1)).await;
    }
    // The end of ours may still be waiting for room.
    assert_eq!(read_to_end(&stream).await.unwrap(), b"");
}

#[test]
fn both_directions_run_at_once_by_different_tasks() {
    for seed in 0..12 {
        let capacity = [700, 5000, 64 << 10][seed as usize % 3];
        run(Driver::Simulated { seed }, async {
            let (a, b) = memory::pair(Weather { split_seed: seed, capacity, ..Weather::default() });
            let done = Rc::new(Cell::new(false));
            let mark = Rc::clone(&done);
            spawn(async move {
                both_ways(accept_tls(a.into(), &server_config()).await.unwrap()).await;
                mark.set(true);
            });
            both_ways(secured(b.into()).await).await;
            while !done.get() {
                sleep(Duration::from_millis(1)).await;
            }
        });
        assert_eq!(buf::stats().leased, 0);
    }
}

#[test]
fn an_idle_connection_holds_no_buffer_and_wakes_for_what_comes() {
    run(Driver::Mio, async {
        let (listener, address) = bound("127.0.0.1:0");
        spawn(async move {
            let client = secured(connect(&address).await.unwrap()).await;
            write_all(&client, b"one").await;
            sleep(Duration::from_millis(30)).await;
            write_all(&client, b"two").await;
            sleep(Duration::from_millis(30)).await;
        });
        let stream = accept_tls(accept(&listener).await, &server_config()).await.unwrap();
        let mut window = ReadBuf::new(Class::K16);
        for expected in [&b"one"[..], b"two"] {
            poll_fn(|cx| stream.poll_readable(cx)).await.unwrap();
            while window.is_empty() {
                poll_fn(|cx| stream.poll_read(cx, &mut window)).await.unwrap();
            }
            assert_eq!(window.filled(), expected);
            window.clear();
            assert!(!stream.maybe_readable());
            let idle = within(now().after(Duration::from_millis(10)), poll_fn(|cx| stream.poll_readable(cx)));
            assert!(idle.await.is_none());
            assert_eq!(buf::stats().leased, 0);
        }
        // Its client says goodbye by dropping the stream.
        assert_eq!(poll_fn(|cx| stream.poll_read(cx, &mut window)).await.unwrap(), 0);
        assert!(stream.tls().unwrap().peer_closed());
    });
}

#[test]
fn plaintext_in_the_session_is_readable_without_the_socket() {
    run(Driver::Simulated { seed: 1 }, async {
        let (a, b) = memory::pair(Weather::default());
        spawn(async move {
            let client = secured(a.into()).await;
            write_all(&client, &noise(20_000)).await;
            sleep(Duration::from_secs(1)).await;
        });
        let stream = accept_tls(b.into(), &server_config()).await.unwrap();
        let mut window = ReadBuf::new(Class::K4);
        let mut got = 0;
        while got < 20_000 {
            poll_fn(|cx| stream.poll_readable(cx)).await.unwrap();
            got += poll_fn(|cx| stream.poll_read(cx, &mut window)).await.unwrap();
            window.clear();
            assert!(got == 20_000 || stream.maybe_readable());
        }
        assert!(!stream.tls().unwrap().has_more());
    });
}

/// Sends `len` bytes of the file behind its first thousand.
async fn send_file(stream: &Stream, file: &Rc<File>, len: u64) -> std::io::Result<()> {
    let mut range = FileRange { file: Rc::clone(file), offset: 1000, len };
    let mut check = true;
    while range.len > 0 {
        match poll_fn(|cx| stream.poll_send_file(cx, &range, check)).await? {
            FileSend::Cold => check = false,
            FileSend::Sent(n) => {
                range.offset += n as u64;
                range.len -= n as u64;
            }
        }
    }
    Ok(())
}

/// What the system keeps for more to go with it leaves a fifth of a second later.
#[test]
fn the_end_of_a_file_waits_for_nothing() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&noise(18_000)).unwrap();
    let file = Rc::new(file);
    run(Driver::Mio, async {
        let (listener, address) = bound("127.0.0.1:0");
        spawn(async move {
            let stream = accept_tls(accept(&listener).await, &server_config()).await.unwrap();
            let mut window = ReadBuf::new(Class::K4);
            while poll_fn(|cx| stream.poll_read(cx, &mut window)).await.unwrap() > 0 {
                window.clear();
                send_file(&stream, &file, 17_000).await.unwrap();
            }
        });
        let stream = secured(connect(&address).await.unwrap()).await;
        let mut window = ReadBuf::new(Class::K16);
        let mut least = Duration::MAX;
        for _ in 0..5 {
            let asked = std::time::Instant::now();
            write_all(&stream, b"it").await;
            let mut got = 0;
            while got < 17_000 {
                got += poll_fn(|cx| stream.poll_read(cx, &mut window)).await.unwrap();
                window.clear();
            }
            least = least.min(asked.elapsed());
        }
        assert!(least < Duration::from_millis(150), "{least:?}");
        stream.shutdown_write().unwrap();
        assert_eq!(read_to_end(&stream).await.unwrap(), b"");
    });
}

#[test]
fn files_are_sent_from_any_offset_and_a_shortened_one_is_an_error() {
    let mut file = tempfile::tempfile().unwrap();
    let content = noise(3_000_000);
    file.write_all(&content).unwrap();
    let file = Rc::new(file);
    for capacity in [3000, 64 << 10] {
        run(Driver::Simulated { seed: 1 }, async {
            let (a, b) = memory::pair(Weather { split_seed: 5, capacity, ..Weather::default() });
            let file = Rc::clone(&file);
            spawn(async move {
                let stream = accept_tls(a.into(), &server_config()).await.unwrap();
                send_file(&stream, &file, 2_000_000).await.unwrap();
                write_all(&stream, b"and behind it").await;
                let error = send_file(&stream, &file, 9_000_000).await.unwrap_err();
                assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
                stream.shutdown_write().unwrap();
                assert_eq!(read_to_end(&stream).await.unwrap(), b"");
            });
            let got = read_to_end(&secured(b.into()).await).await.unwrap();
            assert!(got[..2_000_000] == content[1000..2_001_000]);
            assert_eq!(&got[2_000_000..2_000_013], b"and behind it");
            assert!(got[2_000_013..] == content[1000..]);
        });
    }
    assert_eq!(buf::stats().leased, 0);
}

#[test]
fn somebody_who_speaks_plain_http_gets_an_answer_in_kind() {
    run(Driver::Mio, async {
        let (listener, address) = bound("127.0.0.1:0");
        let Address::Tcp(addr) = address else { panic!() };
        let thread = std::thread::spawn(move || {
            let mut stream = std::net::TcpStream::connect(addr).unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").unwrap();
            let mut got = String::new();
            stream.read_to_string(&mut got).unwrap();
            got
        });
        let failure = accept_tls(accept(&listener).await, &server_config()).await.unwrap_err();
        assert_eq!(failure.tls(), Some(&Error::PlainHttp));
        assert_eq!(failure.to_string(), "What arrived is HTTP without TLS.");
        write_all(&failure.stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        drop(failure);
        assert!(thread.join().unwrap().starts_with("HTTP/1.1 400"));
    });
}

#[test]
fn a_handshake_ends_with_its_deadline() {
    run(Driver::Simulated { seed: 3 }, async {
        let (a, _silent) = memory::pair(Weather::default());
        let a = Stream::from(a);
        a.set_deadline(now().after(Duration::from_secs(10)), 1);
        let failure = accept_tls(a, &server_config()).await.unwrap_err();
        assert_eq!((failure.error.kind(), now().0), (std::io::ErrorKind::TimedOut, 10_000));
        assert_eq!(buf::stats().leased, 0);
    });
}

/// A client on a thread that breaks off without a close_notify, after `bytes` of ciphertext more than the handshake took.
fn cut_off(addr: std::net::SocketAddr) {
    let mut socket = std::net::TcpStream::connect(addr).unwrap();
    let mut session = Session::client(&client_config(), server_name("a.example").unwrap()).unwrap();
    while !session.handshake().unwrap() {
        let n = session.flight().len();
        socket.write_all(session.flight().bytes()).unwrap();
        session.flight().advance(n);
        let mut bytes = [0; 4096];
        let n = socket.read(&mut bytes).unwrap();
        session.incoming().fill_from(&bytes[..n]);
    }
    session.send(&[IoSlice::new(b"half of it")]).unwrap();
    socket.write_all(session.flight().bytes()).unwrap();
    socket.shutdown(std::net::Shutdown::Write).unwrap();
    // Until the server has closed.
    let _ = socket.read_to_end(&mut Vec::new());
}

#[test]
fn an_end_without_close_notify_is_an_error_of_its_own() {
    run(Driver::Mio, async {
        let (listener, address) = bound("127.0.0.1:0");
        let Address::Tcp(addr) = address else { panic!() };
        let thread = std::thread::spawn(move || cut_off(addr));
        let stream = accept_tls(accept(&listener).await, &server_config()).await.unwrap();
        let error = read_to_end(&stream).await.unwrap_err();
        assert_eq!(tls_error(&error), Some(&Error::Truncated));
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionAborted);
        drop(stream);
        thread.join().unwrap();
    });
}

/// As a tunnel that is cut: a close_notify would call what was sent the whole.
#[test]
fn a_stream_that_is_to_be_reset_says_no_farewell() {
    run(Driver::Simulated { seed: 6 }, async {
        let (a, b) = memory::pair(Weather::default());
        spawn(async move {
            let stream = accept_tls(b.into(), &server_config()).await.unwrap();
            write_all(&stream, b"half of it").await;
            stream.reset_on_close();
        });
        let error = read_to_end(&secured(a.into()).await).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_refused_certificate_is_told_to_both_sides() {
    run(Driver::Simulated { seed: 5 }, async {
        let (a, b) = memory::pair(Weather::default());
        let told = Rc::new(Cell::new(None));
        let tell = Rc::clone(&told);
        spawn(async move {
            let failure = accept_tls(b.into(), &server_config()).await.unwrap_err();
            tell.set(failure.tls().map(Error::reason));
        });
        let name = server_name("b.example").unwrap();
        let failure: HandshakeFailure = connect_tls(a.into(), &client_config(), name).await.unwrap_err();
        let sentence = "The server's certificate is not for b.example; it names a.example.";
        assert_eq!((failure.tls().unwrap().reason(), failure.to_string().as_str()), (Reason::NameMismatch, sentence));
        drop(failure);
        sleep(Duration::from_millis(1)).await;
        assert_eq!(told.get(), Some(Reason::Refused));
    });
}

#[test]
fn an_accepted_stream_says_nothing_of_tls() {
    run(Driver::Mio, async {
        let (listener, address) = bound("127.0.0.1:0");
        let _client = connect(&address).await.unwrap();
        let Accepted { stream, .. } = poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
        assert!(stream.tls().is_none());
    });
}
