//! Origins that follow a script.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use socket2::{SockFilter, SockRef};

use crate::{PATIENCE, reply::Source};

/// A server in this process; each connection gets a thread that runs the script. Stopped when dropped.
#[derive(Debug)]
pub struct Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    /// By connection: all bytes that were read from it.
    seen: Mutex<Vec<Vec<u8>>>,
    streams: Mutex<Vec<TcpStream>>,
}

/// A connection to an origin.
#[derive(Debug)]
pub struct Connection {
    stream: Recorded,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Recorded {
    stream: TcpStream,
    number: usize,
    shared: Arc<Shared>,
}

/// A request as an origin got it.
#[derive(Clone, Debug)]
pub struct Request {
    /// The whole head, to the empty line.
    pub head: String,
    /// The body, without chunk framing.
    pub body: Vec<u8>,
    /// The trailer section.
    pub trailers: String,
}

impl Origin {
    /// Starts one; `script` gets each connection with its number, from 0.
    pub fn start(script: impl Fn(&mut Connection, usize) + Send + Sync + 'static) -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        Origin::on(listener, script)
    }

    /// Starts one on a listener.
    pub fn on(listener: TcpListener, script: impl Fn(&mut Connection, usize) + Send + Sync + 'static) -> Origin {
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let script = Arc::new(script);
        let accept = move || {
            for (number, stream) in listener.incoming().enumerate() {
                let Ok(stream) = stream else { return };
                if theirs.stop.load(Ordering::SeqCst) {
                    return;
                }
                stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
                stream.set_write_timeout(Some(PATIENCE)).expect("a socket option");
                stream.set_nodelay(true).expect("a socket option");
                theirs.seen.lock().expect("no panic").push(Vec::new());
                theirs.streams.lock().expect("no panic").push(stream.try_clone().expect("another handle"));
                let stream = Recorded { stream, number, shared: Arc::clone(&theirs) };
                let script = Arc::clone(&script);
                thread::spawn(move || {
                    let mut connection = Connection { stream, buffer: Vec::new() };
                    script(&mut connection, number);
                    connection.end();
                });
            }
        };
        Origin { address, shared, accepting: Some(thread::spawn(accept)) }
    }

    /// One that answers every request with these bytes and keeps the connection.
    pub fn answering(reply: impl AsRef<[u8]> + Send + Sync + 'static) -> Origin {
        Origin::start(move |connection, _| {
            while connection.request().is_some() {
                connection.send(reply.as_ref());
            }
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections were made to it.
    pub fn connections(&self) -> usize {
        self.shared.seen.lock().expect("no panic").len()
    }

    /// All bytes its scripts read, by connection.
    pub fn seen(&self) -> Vec<Vec<u8>> {
        self.shared.seen.lock().expect("no panic").clone()
    }

    /// All bytes its scripts read, as text.
    pub fn seen_text(&self) -> String {
        String::from_utf8_lossy(&self.seen().concat()).into_owned()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        // Wakes the accepting thread.
        drop(TcpStream::connect(self.address));
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
        for stream in self.shared.streams.lock().expect("no panic").iter() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Connection {
    /// The next request whole; `None` when the connection ends, or breaks, before.
    pub fn request(&mut self) -> Option<Request> {
        let head = self.head()?;
        self.rest_of(head)
    }

    /// The head of the next request.
    pub fn head(&mut self) -> Option<String> {
        let mut source = Source { buffer: &mut self.buffer, from: &mut self.stream };
        let head = source.until(b"\r\n\r\n").ok()??;
        Some(String::from_utf8_lossy(&head).into_owned())
    }

    /// The body that belongs to `head`.
    pub fn rest_of(&mut self, head: String) -> Option<Request> {
        let mut request = Request { head, body: Vec::new(), trailers: String::new() };
        let length = request.field("content-length").map(|v| v.parse().expect("one length"));
        let mut source = Source { buffer: &mut self.buffer, from: &mut self.stream };
        let complete = if request.field("transfer-encoding").is_some() {
            source.chunks(&mut request.body, &mut request.trailers)
        } else {
            source.exactly(length.unwrap_or(0), &mut request.body)
        };
        complete.unwrap_or(false).then_some(request)
    }

    /// Sends all of it; false when the other side is gone.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Reads some bytes; `None` at the end.
    pub fn some(&mut self) -> Option<Vec<u8>> {
        if !self.buffer.is_empty() {
            return Some(std::mem::take(&mut self.buffer));
        }
        let mut piece = vec![0; 64 << 10];
        let n = self.stream.read(&mut piece).ok().filter(|n| *n > 0)?;
        piece.truncate(n);
        Some(piece)
    }

    /// Waits until the other side ends the connection, or breaks it; false when it does neither in time.
    pub fn wait_for_end(&mut self) -> bool {
        let mut piece = [0; 64 << 10];
        loop {
            match self.stream.read(&mut piece) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(e) => return e.kind() == std::io::ErrorKind::ConnectionReset,
            }
        }
    }

    /// Ends the connection in order.
    pub fn end(&mut self) {
        let _ = self.stream.stream.shutdown(Shutdown::Both);
    }

    /// Ends the connection with a reset.
    pub fn reset(&mut self) {
        let socket = SockRef::from(&self.stream.stream);
        socket.set_linger(Some(Duration::ZERO)).expect("a socket option");
        // Only the last handle's close sends the reset, so the one kept for stopping has to go.
        let mut streams = self.stream.shared.streams.lock().expect("no panic");
        let dead = TcpListener::bind("127.0.0.1:0").and_then(|l| TcpStream::connect(l.local_addr()?));
        let dead = dead.expect("a connection to put in its place");
        streams[self.stream.number] = dead.try_clone().expect("another handle");
        self.stream.stream = dead;
    }

    /// Has the system drop whatever packet comes for it, or stop that, as a firewall before it would.
    pub fn drop_packets(&self, drops: bool) {
        let socket = SockRef::from(&self.stream.stream);
        // BPF_RET: of each packet no byte is taken.
        let none = [SockFilter::new(6, 0, 0, 0)];
        let done = if drops { socket.attach_filter(&none) } else { socket.detach_filter() };
        done.expect("a socket option");
    }

    /// The stream.
    pub fn stream(&self) -> &TcpStream {
        &self.stream.stream
    }
}

impl Read for Recorded {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let n = self.stream.read(into)?;
        let seen = &mut self.shared.seen.lock().expect("no panic")[self.number];
        // Bulk bodies need not be kept.
        let room = (1usize << 20).saturating_sub(seen.len());
        seen.extend_from_slice(&into[..n.min(room)]);
        Ok(n)
    }
}

impl Request {
    /// The value of a field; of several lines, the values joined by `, `.
    pub fn field(&self, name: &str) -> Option<String> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        let values: Vec<&str> = lines.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.trim()).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// The request line.
    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }
}

/// An answer with Content-Length.
pub fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// A port where nobody listens, on any address. The system gives none of these to whoever connects or asks for any port, so that it stays
/// free however much goes on beside this test; which one it is depends on the process and the call.
pub fn closed_port() -> SocketAddr {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let least = range.split_whitespace().next().and_then(|port| port.parse().ok()).unwrap_or(32_768_u32);
    let begin = 10_000.min(least / 2);
    let free = |step: u32| {
        let places =
            std::process::id().wrapping_mul(7_919).wrapping_add(CALLS.fetch_add(1, Ordering::Relaxed) * 104_729 + step);
        let port = (begin + places % (least - begin)) as u16;
        TcpListener::bind(("0.0.0.0", port)).ok()?;
        Some(SocketAddr::from(([127, 0, 0, 1], port)))
    };
    (0..1000).find_map(free).expect("a free port")
}
