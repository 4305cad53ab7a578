//! How often a request finds an open connection to its server, at 2 and at 8 workers.

use std::{
    fs,
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use super::Options;
use crate::{
    peers::{Peer, Stage, nginx_of_many},
    process::{Program, SERVER_CPU, free_address, measured},
    report::{Evidence, Goal, Table},
};

/// Servers behind the proxy, each of which gets few requests a second.
const SERVERS: usize = 100;
/// Requests a second, of all clients together.
const RATE: u64 = 500;
/// Threads that make them in turn.
const CLIENTS: u64 = 10;
/// How long an idle connection is kept.
const IDLE: &str = "1s";
/// Requests before those that count, as many as the pools need to fill.
const WARMUP: Duration = Duration::from_secs(3);

const WORKERS: [usize; 2] = [2, 8];

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Who {
    HandsOver,
    KeepsItsOwn,
    Nginx,
}

impl Who {
    fn words(self) -> &'static str {
        match self {
            Who::HandsOver => "proxy",
            Who::KeepsItsOwn => "proxy, hand_over = false",
            Who::Nginx => "nginx",
        }
    }
}

#[derive(Debug, Default)]
struct Counts {
    connections: AtomicU64,
    requests: AtomicU64,
}

struct Row {
    who: Who,
    workers: usize,
    requests: u64,
    connections: u64,
}

impl Row {
    /// Connections made for a hundred requests.
    fn made(&self) -> f64 {
        self.connections as f64 * 100.0 / self.requests.max(1) as f64
    }

    fn reused(&self) -> f64 {
        100.0 - self.made()
    }
}

pub(super) fn run(options: &Options) -> io::Result<Evidence> {
    let mut peers = vec![Who::HandsOver, Who::KeepsItsOwn];
    if Peer::NginxProxy.is_installed() {
        peers.push(Who::Nginx);
    }
    let time = Duration::from_secs_f64(options.seconds.max(3.0) * 4.0);
    let mut rows = Vec::new();
    for workers in WORKERS {
        for who in &peers {
            let row = once(*who, workers, time)?;
            eprintln!("  {}, {workers} workers: {:.1} % reused", who.words(), row.reused());
            rows.push(row);
        }
    }
    Ok(evidence(&rows, time))
}

fn once(who: Who, workers: usize, time: Duration) -> io::Result<Row> {
    let stage = Stage::set()?;
    let counts = Arc::new(Counts::default());
    let servers = (0..SERVERS).map(|_| origin(&counts)).collect::<io::Result<Vec<SocketAddr>>>()?;
    let address = free_address()?;
    let mut command = match who {
        Who::Nginx => nginx(&stage, address, workers, &servers)?,
        Who::HandsOver | Who::KeepsItsOwn => ours(&stage, address, workers, &servers, who == Who::HandsOver)?,
    };
    let mut program = Program::start(&mut command, SERVER_CPU, &stage.folder().join("pool-reuse.log"))?;
    program.wait_until_it_answers(address, Some("/"))?;
    load(address, WARMUP)?;
    let before = (counts.requests.load(Relaxed), counts.connections.load(Relaxed));
    load(address, time)?;
    program.stop(false)?;
    Ok(Row {
        who,
        workers,
        requests: counts.requests.load(Relaxed) - before.0,
        connections: counts.connections.load(Relaxed) - before.1,
    })
}

fn ours(stage: &Stage, to: SocketAddr, workers: usize, servers: &[SocketAddr], hand_over: bool) -> io::Result<Command> {
    let servers: Vec<String> = servers.iter().map(|server| format!("\"{server}\"")).collect();
    let text = format!(
        "[runtime]\nworkers = {workers}\n[[listener]]\naddress = \"{to}\"\n[[route]]\nproxy = {{ upstream = \"origin\" }}\n\
         [upstream.origin]\nbalance = \"random_two\"\nservers = [{}]\n\
         keep_alive = {{ idle_timeout = \"{IDLE}\", hand_over = {hand_over} }}\n",
        servers.join(", ")
    );
    let file = stage.folder().join("pool-reuse.toml");
    fs::write(&file, text)?;
    let mut command = Command::new(measured("proxy")?);
    command.arg("--config").arg(file);
    Ok(command)
}

fn nginx(stage: &Stage, to: SocketAddr, workers: usize, servers: &[SocketAddr]) -> io::Result<Command> {
    fs::write(stage.folder().join("nginx.conf"), nginx_of_many(to, workers, servers, IDLE))?;
    let mut command = Command::new("nginx");
    command.arg("-p").arg(stage.folder()).args(["-c", "nginx.conf", "-e", "error.log"]);
    Ok(command)
}

/// A server that counts; it lives as long as the bench.
fn origin(counts: &Arc<Counts>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let (address, counts) = (listener.local_addr()?, Arc::clone(counts));
    thread::Builder::new().stack_size(64 << 10).spawn(move || {
        for stream in listener.incoming().flatten() {
            counts.connections.fetch_add(1, Relaxed);
            let counts = Arc::clone(&counts);
            let serve = move || answer_all(stream, &counts);
            // Too many threads: the connection is closed, and the load fails by it.
            let _ = thread::Builder::new().stack_size(64 << 10).spawn(serve);
        }
    })?;
    Ok(address)
}

fn answer_all(mut stream: TcpStream, counts: &Counts) {
    let _ = stream.set_nodelay(true);
    let (mut window, mut filled) = ([0; 4096], 0);
    while let Ok(n) = stream.read(&mut window[filled..]) {
        filled += n;
        if n == 0 || filled == window.len() {
            return;
        }
        if window[..filled].ends_with(b"\r\n\r\n") {
            filled = 0;
            counts.requests.fetch_add(1, Relaxed);
            if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_err() {
                return;
            }
        }
    }
}

/// Clients that connect anew for each request, at a fixed rate.
fn load(to: SocketAddr, time: Duration) -> io::Result<()> {
    let pause = Duration::from_secs(CLIENTS) / RATE as u32;
    let client = |number: u64| -> io::Result<()> {
        let begun = Instant::now() + pause * number as u32 / CLIENTS as u32;
        for turn in 0.. {
            let at = begun + pause * turn;
            thread::sleep(at.saturating_duration_since(Instant::now()));
            if at.saturating_duration_since(begun) >= time {
                return Ok(());
            }
            ask(to)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|number| scope.spawn(move || client(number))).collect();
        clients.into_iter().try_for_each(|client| client.join().unwrap_or_else(|_| Err(io::Error::other("a panic"))))
    })
}

fn ask(to: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    if answer.starts_with(b"HTTP/1.1 200") && answer.ends_with(b"ok") {
        Ok(())
    } else {
        Err(io::Error::other(format!("not the answer: {}", String::from_utf8_lossy(&answer))))
    }
}

fn evidence(rows: &[Row], time: Duration) -> Evidence {
    let columns = ["peer", "workers", "requests", "connections made", "reused, %"];
    let mut table = Table::new("What the servers counted:", &columns);
    for row in rows {
        table.rows.push(vec![
            row.who.words().to_owned(),
            row.workers.to_string(),
            row.requests.to_string(),
            row.connections.to_string(),
            format!("{:.1}", row.reused()),
        ]);
    }
    let made = |who, workers| rows.iter().find(|row| row.who == who && row.workers == workers).map(Row::made);
    let goals = WORKERS.iter().filter_map(|&workers| {
        let what = format!("connections made with hand-over / without, {workers} workers");
        let (with, without) = (made(Who::HandsOver, workers)?, made(Who::KeepsItsOwn, workers)?);
        Some(Goal { what, figure: with / without, limit: 0.75, binding: false })
    });
    Evidence {
        bench: "pool-reuse".to_owned(),
        method: format!(
            "{RATE} requests a second for {} s, each on a new client connection, which the system gives to one of the workers; \
             {SERVERS} servers chosen at random (random_two; nginx: random two least_conn), so that each gets {} a second; idle \
             connections are kept for {IDLE}. The servers count connections and requests, after {} s of the same load. What is \
             rare here is how often a worker needs a certain server; a longer time and fewer requests come to the same.",
            time.as_secs(),
            RATE as usize / SERVERS,
            WARMUP.as_secs(),
        ),
        tables: vec![table],
        goals: goals.collect(),
        notes: String::new(),
        raw: rows
            .iter()
            .map(|row| {
                json!({ "peer": row.who.words(), "workers": row.workers, "requests": row.requests, "connections": row.connections })
            })
            .collect(),
    }
}
