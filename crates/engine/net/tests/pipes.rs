//! Bytes that go from socket to socket through a pipe.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use event_loop::{Worker, WorkerConfig, sleep, spawn};
use net::{Address, Filled, PIPES_MAX, Pipe, Stream, Transport, connect, memory};

fn run<T>(root: impl Future<Output = T>) -> T {
    let (worker, _) = Worker::new(WorkerConfig::default()).unwrap();
    worker.block_on(root).unwrap()
}

/// A stream on the reactor, and the other end of it in blocking hands.
async fn pair() -> (Stream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = connect(&Address::Tcp(listener.local_addr().unwrap())).await.unwrap();
    (stream, listener.accept().unwrap().0)
}

async fn fill(pipe: &mut Pipe, from: &Stream, most: u64) -> std::io::Result<Filled> {
    poll_fn(|cx| pipe.poll_fill(cx, from, most)).await
}

async fn drain(pipe: &mut Pipe, to: &Stream) {
    while pipe.held() > 0 {
        poll_fn(|cx| pipe.poll_drain(cx, to)).await.unwrap();
    }
}

fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|i| (i * 7 % 251) as u8).collect()
}

#[test]
fn all_arrives_in_order_and_the_end_is_seen() {
    run(async {
        let ((from, mut sender), (to, mut receiver)) = (pair().await, pair().await);
        let sent = pattern(3_000_001);
        let expected = sent.clone();
        let sender = std::thread::spawn(move || {
            sender.write_all(&sent).unwrap();
            sender.shutdown(Shutdown::Write).unwrap();
            sender
        });
        let (tell, begin) = std::sync::mpsc::sync_channel(1);
        let told = Rc::new(Cell::new(false));
        let is_told = Rc::clone(&told);
        spawn(async move {
            sleep(Duration::from_millis(50)).await;
            tell.send(()).unwrap();
            is_told.set(true);
        });
        let receiver = std::thread::spawn(move || {
            let mut got = vec![0; expected.len()];
            // There has to be a wait for it first.
            begin.recv().unwrap();
            receiver.read_exact(&mut got).unwrap();
            got == expected
        });
        let (mut pipe, mut passed) = (Pipe::new(), 0);
        while let Filled::Bytes(n) = fill(&mut pipe, &from, u64::MAX).await.unwrap() {
            passed += n;
            drain(&mut pipe, &to).await;
        }
        assert_eq!(passed, 3_000_001);
        // Where the sockets have room for all of it, it was passed before the receiver was told to begin; joining it stops this worker.
        while !told.get() {
            sleep(Duration::from_millis(1)).await;
        }
        assert!(receiver.join().unwrap());
        drop(sender.join());
    });
}

#[test]
fn no_more_is_taken_than_asked_for() {
    run(async {
        let ((from, mut sender), (to, mut receiver)) = (pair().await, pair().await);
        sender.write_all(b"bodynext").unwrap();
        let mut pipe = Pipe::new();
        assert_eq!(fill(&mut pipe, &from, 4).await.unwrap(), Filled::Bytes(4));
        drain(&mut pipe, &to).await;
        let mut got = [0; 4];
        receiver.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"body");
        // It is still known that there is more.
        let mut rest = buf::ReadBuf::new(buf::Class::K4);
        assert_eq!(poll_fn(|cx| from.poll_read(cx, &mut rest)).await.unwrap(), 4);
        assert_eq!(rest.filled(), b"next");
    });
}

#[test]
fn a_wait_holds_no_pipe_and_ends_with_the_deadline_or_a_reset() {
    run(async {
        let (from, sender) = pair().await;
        let mut pipe = Pipe::new();
        let waits = poll_fn(|cx| Poll::Ready(pipe.poll_fill(cx, &from, 10).is_pending())).await;
        assert!(waits);
        from.set_deadline(event_loop::now().after(Duration::from_millis(20)), 0);
        assert_eq!(fill(&mut pipe, &from, 10).await.unwrap_err().kind(), ErrorKind::TimedOut);
        from.clear_deadline();
        rustix::net::sockopt::set_socket_linger(&sender, Some(Duration::ZERO)).unwrap();
        drop(sender);
        sleep(Duration::from_millis(20)).await;
        assert_eq!(fill(&mut pipe, &from, 10).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

/// Pipes with something in them are not lent to anybody else, and no more are made than the bound says.
#[test]
fn pipes_are_bounded_and_a_used_one_is_closed() {
    run(async {
        let (mut full, mut ends) = (Vec::new(), Vec::new());
        for _ in 0..=PIPES_MAX {
            let (from, mut sender) = pair().await;
            sender.write_all(b"held").unwrap();
            let mut pipe = Pipe::new();
            let filled = fill(&mut pipe, &from, 4).await.unwrap();
            assert_eq!(filled, if full.len() < PIPES_MAX { Filled::Bytes(4) } else { Filled::NoPipe });
            full.push(pipe);
            ends.push((from, sender));
        }
        full.clear();
        // What was in them is gone.
        let ((from, mut sender), (to, mut receiver)) = (pair().await, pair().await);
        sender.write_all(b"mine").unwrap();
        let mut pipe = Pipe::new();
        assert_eq!(fill(&mut pipe, &from, 100).await.unwrap(), Filled::Bytes(4));
        drain(&mut pipe, &to).await;
        let mut got = [0; 4];
        receiver.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"mine");
    });
}

#[test]
fn a_receiver_that_has_gone_is_an_error() {
    run(async {
        let ((from, mut sender), (to, receiver)) = (pair().await, pair().await);
        rustix::net::sockopt::set_socket_linger(&receiver, Some(Duration::ZERO)).unwrap();
        drop(receiver);
        sender.write_all(b"late").unwrap();
        let mut pipe = Pipe::new();
        assert_eq!(fill(&mut pipe, &from, 4).await.unwrap(), Filled::Bytes(4));
        sleep(Duration::from_millis(20)).await;
        assert!(poll_fn(|cx| pipe.poll_drain(cx, &to)).await.is_err());
    });
}

#[test]
fn only_sockets_can_be_piped() {
    run(async {
        let (from, _) = memory::pair(memory::Weather::default());
        let (from, (to, _receiver)) = (Stream::from(from), pair().await);
        assert!(!from.is_socket() && to.is_socket());
        poll_fn(|cx| to.poll_write(cx, &[IoSlice::new(b"x")], false)).await.unwrap();
    });
}
