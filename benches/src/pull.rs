//! A client that downloads at a pace.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Read at once.
const PIECE: usize = 64 << 10;

/// The longest sleep, so that the end is noticed.
const NAP: Duration = Duration::from_millis(100);

/// Asks for `path` and reads `rate` MB a second of it, anew when the server is through, until standard input ends. Gives the
/// bytes that came.
pub fn pull(to: SocketAddr, path: &str, rate: f64) -> io::Result<u64> {
    let over = Arc::new(AtomicBool::new(false));
    let teller = Arc::clone(&over);
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        teller.store(true, Ordering::Relaxed);
    });
    let (begun, mut got) = (Instant::now(), 0_u64);
    let mut buffer = vec![0; PIECE];
    while !over.load(Ordering::Relaxed) {
        let mut stream = TcpStream::connect(to)?;
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n").as_bytes())?;
        while !over.load(Ordering::Relaxed) {
            let due = Duration::from_secs_f64(got as f64 / (rate * 1e6));
            if let Some(early) = due.checked_sub(begun.elapsed()) {
                thread::sleep(early.min(NAP));
                continue;
            }
            match stream.read(&mut buffer)? {
                0 => break,
                read => got += read as u64,
            }
        }
    }
    Ok(got)
}
