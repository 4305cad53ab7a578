//! Interim answers on their way to a client that does not read them.

mod common;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use event_loop::{sleep, spawn};
use net::memory::Weather;

use common::{A, GET, OK, Origin, client, proxying_in, to_servers};

/// As many as are read of one answer, of 8 KiB each.
const HINTS: usize = 100;

fn hint(number: usize) -> String {
    format!("HTTP/1.1 103 Early Hints\r\nX-Number: {number}\r\nX-Long: {}\r\n\r\n", "x".repeat(8 << 10))
}

#[test]
fn a_server_that_sends_many_is_held_back() {
    let weather = Weather { capacity: 16 << 10, ..Weather::default() };
    proxying_in(weather, to_servers(&[A]), async |world| {
        let origin = Origin::listen(A);
        let sent = Rc::new(Cell::new(0));
        let sending = Rc::clone(&sent);
        spawn(async move {
            let mut end = origin.accept().await;
            end.until("\r\n\r\n").await;
            for number in 0..HINTS {
                end.send(hint(number)).await;
                sending.set(number + 1);
            }
            end.send(OK).await;
            let _ = end.rest().await;
        });
        let mut client = client();
        client.send(GET).await;
        // Longer than a server has for a head: it is not its fault that none is taken.
        sleep(Duration::from_secs(8)).await;
        let held = sent.get();
        // 64 KiB in the client's queue, two directions of 16 KiB, the buffer that is read into, and one that is on its way.
        assert!((8..20).contains(&held), "{held} of {HINTS} were taken");
        assert!(buf::stats().leased_bytes <= 192 << 10, "{}", buf::stats().leased_bytes);
        sleep(Duration::from_secs(8)).await;
        assert_eq!(sent.get(), held);
        for number in 0..HINTS {
            let head = client.until("\r\n\r\n").await;
            assert!(head.starts_with("HTTP/1.1 103 "), "{head}");
            assert!(head.contains(&format!("X-Number: {number}\r\n")), "{head}");
        }
        client.until("\r\n\r\nok").await;
        assert_eq!((sent.get(), world.failures()), (HINTS, vec![]));
    });
}

/// It is the client that is too slow, and its exchange ends with the client's deadline.
#[test]
fn a_client_that_never_reads_them_is_let_go_of() {
    let weather = Weather { capacity: 16 << 10, ..Weather::default() };
    proxying_in(weather, to_servers(&[A]), async |world| {
        let origin = Origin::listen(A);
        let ended = Rc::new(Cell::new(false));
        let end_of = Rc::clone(&ended);
        spawn(async move {
            let mut end = origin.accept().await;
            end.until("\r\n\r\n").await;
            for number in 0..HINTS {
                if end.try_send(hint(number)).await.is_err() {
                    end_of.set(true);
                    return;
                }
            }
        });
        let client = client();
        client.send(GET).await;
        sleep(Duration::from_secs(40)).await;
        assert!(ended.get(), "the server is let go of too");
        assert_eq!(world.failures(), [observe::Kind::WriteTimeout]);
    });
}
