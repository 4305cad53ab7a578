//! Ten gigabytes down and ten up through the proxy: its memory on the way.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::Command,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use serde::Serialize;
use serde_json::json;

use super::Options;
use crate::{
    peers::Stage,
    process::{LOAD_CPU, Program, SERVER_CPU, free_address, measured, on_cpu},
    report::{Evidence, Goal, Table},
    usage, wire,
};

const BYTES: u64 = 10 << 30;

/// What is written and read at a time at both ends.
const PIECE: usize = 256 << 10;

/// What the resident memory may grow by.
const GROWS_MIB: f64 = 2.0;

#[derive(Clone, Copy, Debug, Serialize)]
struct Sample {
    /// Resident memory in KiB.
    before: u64,
    most: u64,
    after: u64,
    seconds: f64,
    cpu_seconds: f64,
}

/// Has so many bytes go one way through whoever listens there.
type Move = fn(SocketAddr, u64) -> io::Result<()>;

pub(super) fn run(_: &Options) -> io::Result<Evidence> {
    let (origin, address) = (free_address()?, free_address()?);
    serve(TcpListener::bind(origin)?)?;
    let stage = Stage::in_front_of(origin)?;
    let file = stage.folder().join("proxy.toml");
    let text = format!(
        "[runtime]\nworkers = 1\n[limits]\nbody_bytes = \"20GiB\"\n[[listener]]\naddress = \"{address}\"\n[[route]]\n\
         proxy = {{ upstream = \"origin\" }}\n[upstream.origin]\nservers = [\"{origin}\"]\n"
    );
    std::fs::write(&file, text)?;
    let mut command = Command::new(measured("proxy")?);
    let mut program =
        Program::start(command.arg("--config").arg(&file), SERVER_CPU, &stage.folder().join("proxy.log"))?;
    program.wait_until_it_answers(address, Some("/bytes/1"))?;
    // So that what a first request leaves behind is there before.
    move_down(address, 1 << 20)?;
    move_up(address, 1 << 20)?;
    let mut table = Table::new("", &["way", "RSS before, KiB", "most", "after", "s", "CPU s per GB"]);
    let (mut goals, mut raw) = (Vec::new(), Vec::new());
    let ways: [(&str, Move); 2] = [("down", move_down), ("up", move_up)];
    for (way, move_it) in ways {
        let sample = watched(&program, || on_cpu(LOAD_CPU, || move_it(address, BYTES))?)?;
        eprintln!("  {way}: {sample:?}");
        table.rows.push(vec![
            way.to_owned(),
            sample.before.to_string(),
            sample.most.to_string(),
            sample.after.to_string(),
            format!("{:.1}", sample.seconds),
            format!("{:.3}", sample.cpu_seconds / (BYTES as f64 / 1e9)),
        ]);
        let figure = sample.most.saturating_sub(sample.before) as f64 / 1024.0;
        goals.push(Goal { what: format!("{way}: MiB that RSS grew by"), figure, limit: GROWS_MIB, binding: true });
        raw.push(json!({ "way": way, "sample": sample }));
    }
    Ok(Evidence {
        bench: "proxied-10g".to_owned(),
        method: format!(
            "Loopback. One request at a time whose answer (down), then whose body (up), has a declared length of {} GiB; both ends read \
             and write {} KiB at a time. The proxy alone on one CPU, both ends on the other. Its resident memory is looked at every 50 ms.",
            BYTES >> 30,
            PIECE >> 10
        ),
        tables: vec![table],
        goals,
        notes: "- proxy: one worker, one route, `body_bytes = \"20GiB\"`\n".to_owned(),
        raw: json!(raw),
    })
}

fn watched(program: &Program, work: impl FnOnce() -> io::Result<()>) -> io::Result<Sample> {
    let pid = program.pids[0];
    let resident = || -> io::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).ok_or_else(|| io::Error::other("no VmRSS"))
    };
    let (before, begun, cpu) = (resident()?, Instant::now(), usage::cpu_time(&program.pids)?);
    let done = AtomicBool::new(false);
    let (worked, most) = thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = before;
            while !done.load(Relaxed) {
                most = most.max(resident().unwrap_or(0));
                thread::sleep(Duration::from_millis(50));
            }
            most
        });
        let worked = work();
        done.store(true, Relaxed);
        (worked, watch.join().unwrap_or(u64::MAX))
    });
    worked?;
    let cpu_seconds = (usage::cpu_time(&program.pids)? - cpu).as_secs_f64();
    Ok(Sample { before, most, after: resident()?, seconds: begun.elapsed().as_secs_f64(), cpu_seconds })
}

/// Has so many bytes sent as an answer.
fn move_down(to: SocketAddr, bytes: u64) -> io::Result<()> {
    let mut stream = TcpStream::connect(to)?;
    stream.write_all(format!("GET /bytes/{bytes} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n").as_bytes())?;
    let head = head(&mut stream)?;
    if !head.starts_with(b"HTTP/1.1 200 ") {
        return Err(io::Error::other(String::from_utf8_lossy(&head).into_owned()));
    }
    take(&mut stream, bytes)
}

/// Sends so many bytes as a request's body.
fn move_up(to: SocketAddr, bytes: u64) -> io::Result<()> {
    let mut stream = TcpStream::connect(to)?;
    let fields = format!("Host: bench\r\nContent-Length: {bytes}\r\nConnection: close\r\n");
    stream.write_all(format!("PUT /bytes/0 HTTP/1.1\r\n{fields}\r\n").as_bytes())?;
    give(&mut stream, bytes)?;
    match head(&mut stream)?.starts_with(b"HTTP/1.1 200 ") {
        true => Ok(()),
        false => Err(io::Error::other("the upload was not taken")),
    }
}

/// The origin: a thread for each connection.
fn serve(listener: TcpListener) -> io::Result<()> {
    on_cpu(LOAD_CPU, || {
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Its client is gone: that is how each of them ends.
                thread::spawn(move || drop(answer(stream)));
            }
        })
    })?;
    Ok(())
}

fn answer(mut stream: TcpStream) -> io::Result<()> {
    loop {
        let head = head(&mut stream)?;
        let text = String::from_utf8_lossy(&head).to_lowercase();
        let number = |after: &str| {
            let rest = text.split_once(after)?.1;
            rest.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u64>().ok()
        };
        take(&mut stream, number("\r\ncontent-length: ").unwrap_or(0))?;
        // Whoever starts a proxy asks for its file.
        let (bytes, file) = match number("/bytes/") {
            Some(bytes) => (bytes, Vec::new()),
            None => (0, wire::body(1024)),
        };
        let length = bytes + file.len() as u64;
        stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes())?;
        stream.write_all(&file)?;
        give(&mut stream, bytes)?;
    }
}

fn head(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    Ok(head)
}

fn take(stream: &mut TcpStream, bytes: u64) -> io::Result<()> {
    let (mut piece, mut left) = (vec![0; PIECE], bytes);
    while left > 0 {
        let most = piece.len().min(usize::try_from(left).unwrap_or(PIECE));
        match stream.read(&mut piece[..most])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => left -= n as u64,
        }
    }
    Ok(())
}

fn give(stream: &mut TcpStream, bytes: u64) -> io::Result<()> {
    let (piece, mut left) = (wire::body(PIECE), bytes);
    while left > 0 {
        let most = piece.len().min(usize::try_from(left).unwrap_or(PIECE));
        stream.write_all(&piece[..most])?;
        left -= most as u64;
    }
    Ok(())
}
