//! A line for each request: `[log.access]`, and what `server` shows on a terminal.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tests::{Client, Signal, Tollgate, eventually, folder, run};

use crate::files::{large, site};

fn logging(lines: &str) -> Tollgate {
    Tollgate::config_in(site(), &configuration(lines))
}

fn configuration(lines: &str) -> String {
    format!("[log.access]\n{lines}\n[[route]]\npath = \"/*\"\nfiles = {{ root = \".\" }}\n")
}

/// The lines of a log, when there are so many.
fn lines(path: &Path, count: usize) -> Vec<String> {
    let read = || fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect::<Vec<String>>();
    let lines = eventually("the lines of the log", read, |lines| lines.len() >= count);
    assert_eq!(lines.len(), count, "{lines:#?}");
    lines
}

/// A line without its time.
fn timeless(line: &str) -> String {
    let (before, rest) = line.split_once('[').expect("a time");
    let (time, after) = rest.split_once(']').expect("a time");
    assert!(time.len() == 26 && time.ends_with(" +0000"), "{time}");
    format!("{before}[]{after}")
}

#[test]
fn every_request_has_its_line() {
    let tollgate = logging("path = \"access.log\"");
    let mut client = Client::connect(tollgate.address());
    client.get("/ten.txt?q=1");
    client.get("/docs/large.bin");
    let none = client.ask("GET /none HTTP/1.1\r\nHost: a\r\nReferer: http://a/\"b\r\nUser-Agent: t\u{e9}st\r\n\r\n");
    let post = client.ask("POST /ten.txt HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    client.send("HEAD /ten.txt HTTP/1.1\r\nHost: a\r\n\r\n");
    client.reply_to_head();
    client.ask("GET /ten.txt HTTP/1.1\r\nHost: a\r\nRange: bytes=2-4\r\n\r\n");
    client.ask("GET /ten.txt HTTP/1.1\r\nHost: a\r\nIf-None-Match: *\r\n\r\n");
    client.ask("GET /ten.txt HTTP/1.0\r\n\r\n");
    let nonsense = Client::connect(tollgate.address()).ask("nonsense\r\n\r\n").body.len();
    let lines = lines(&tollgate.folder().join("access.log"), 9);
    let (none, post) = (none.body.len(), post.body.len());
    let want = [
        "\"GET /ten.txt?q=1 HTTP/1.1\" 200 10 \"-\" \"-\"".to_owned(),
        format!("\"GET /docs/large.bin HTTP/1.1\" 200 {} \"-\" \"-\"", large().len()),
        format!("\"GET /none HTTP/1.1\" 404 {none} \"http://a/\\x22b\" \"t\\xC3\\xA9st\""),
        format!("\"POST /ten.txt HTTP/1.1\" 405 {post} \"-\" \"-\""),
        "\"HEAD /ten.txt HTTP/1.1\" 200 0 \"-\" \"-\"".to_owned(),
        "\"GET /ten.txt HTTP/1.1\" 206 3 \"-\" \"-\"".to_owned(),
        "\"GET /ten.txt HTTP/1.1\" 304 0 \"-\" \"-\"".to_owned(),
        "\"GET /ten.txt HTTP/1.0\" 200 10 \"-\" \"-\"".to_owned(),
        format!("\"-\" 400 {nonsense} \"-\" \"-\""),
    ];
    for (line, want) in lines.iter().zip(want) {
        assert_eq!(timeless(line), format!("127.0.0.1 - - [] {want}"));
    }
}

#[test]
fn a_renamed_log_is_opened_again() {
    let tollgate = logging("path = \"access.log\"\nformat = \"common\"");
    let (log, old) = (tollgate.folder().join("access.log"), tollgate.folder().join("access.log.1"));
    let mut client = Client::connect(tollgate.address());
    client.get("/ten.txt");
    lines(&log, 1);
    fs::rename(&log, &old).expect("a file of ours");
    client.get("/ten.txt");
    tollgate.process.signal(Signal::USR1);
    tollgate.process.logged("reopened the access log", 1);
    // It had ended, though nothing was written yet.
    lines(&old, 2);
    client.get("/style.css");
    let lines = lines(&log, 1);
    assert!(lines[0].ends_with("\"GET /style.css HTTP/1.1\" 200 19"), "{lines:?}");
    tollgate.stop();
}

#[test]
fn without_a_log_the_signal_to_reopen_it_does_nothing() {
    let root = site();
    let server = Tollgate::server(root.path());
    server.process.signal(Signal::USR1);
    server.process.logged("there is no access log", 1);
    assert_eq!(Client::connect(server.address()).get("/ten.txt").status, 200);
    server.stop();
}

/// A client that leaves in the middle of a file: the log says how much went out, not how much there was.
#[test]
fn what_was_cut_off_is_not_counted_as_sent() {
    let tollgate = logging("path = \"access.log\"\nformat = \"json\"");
    // Far more than all buffers between the two.
    const SIZE: usize = 24 << 20;
    fs::write(tollgate.folder().join("film.bin"), vec![b'f'; SIZE]).expect("a file of ours");
    let mut client = Client::connect_narrow(tollgate.address());
    client.send("GET /film.bin HTTP/1.1\r\nHost: a\r\n\r\n");
    client.read_exactly(1000);
    client.reset();
    let lines = lines(&tollgate.folder().join("access.log"), 1);
    let (_, rest) = lines[0].split_once("\"bytes\":").expect("a number of bytes");
    let bytes: usize = rest.split(',').next().and_then(|n| n.parse().ok()).expect("a number");
    assert!((500..SIZE).contains(&bytes), "{}", lines[0]);
    assert!(lines[0].contains("\"target\":\"/film.bin\",\"version\":\"HTTP/1.1\",\"host\":\"a\",\"status\":200"));
}

#[test]
fn a_reload_changes_the_log() {
    let mut tollgate = logging("path = \"one.log\"");
    let mut client = Client::connect(tollgate.address());
    client.get("/ten.txt");
    lines(&tollgate.folder().join("one.log"), 1);
    tollgate.reload(&configuration("path = \"two.log\""));
    client.get("/ten.txt");
    lines(&tollgate.folder().join("two.log"), 1);
    let wrong = fs::read_to_string(tollgate.file()).expect("our file").replace("two.log", "missing/x.log");
    fs::write(tollgate.file(), wrong).expect("a file of ours");
    tollgate.process.signal(Signal::HUP);
    tollgate.process.logged("missing/x.log cannot be opened", 1);
    client.get("/ten.txt");
    lines(&tollgate.folder().join("two.log"), 2);
    lines(&tollgate.folder().join("one.log"), 1);
    tollgate.stop();
}

/// Whole buffers go to the writer under load, and the last ones at the end.
#[test]
fn no_line_is_lost_under_load_and_at_the_end() {
    const EACH: usize = 3000;
    let tollgate = logging("path = \"access.log\"");
    let log = tollgate.folder().join("access.log");
    let keep = tollgate.folder().parent().expect("a folder").join(format!("kept-{}.log", std::process::id()));
    let address = tollgate.address();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(move || {
                let mut client = Client::connect(address);
                for _ in 0..EACH / 10 {
                    client.send("GET /ten.txt HTTP/1.1\r\nHost: a\r\n\r\n".repeat(10));
                    (0..10).for_each(|_| assert_eq!(client.reply().status, 200));
                }
            });
        }
    });
    // The folder goes with the program; the file is linked out of it.
    fs::hard_link(&log, &keep).expect("a file of ours");
    tollgate.stop();
    let text = fs::read_to_string(&keep);
    fs::remove_file(&keep).expect("a file of ours");
    assert_eq!(text.expect("a file of ours").lines().count(), 4 * EACH);
}

#[test]
fn a_log_that_cannot_be_opened_is_an_error_at_the_start() {
    let folder = folder();
    let file = folder.path().join("t.toml");
    fs::write(&file, "[log.access]\npath = \"none/x.log\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n").expect("a file");
    let ended = run(Tollgate::command("proxy").arg("--config").arg(file));
    assert_eq!(ended.code, Some(2));
    assert!(ended.err.contains("none/x.log cannot be opened: No such file"), "{}", ended.err);
}

fn server(root: &Path, options: &[&str]) -> Tollgate {
    let mut command = Tollgate::command("server");
    command.arg(root).args(["--listen", "127.0.0.1:0", "--workers", "1"]).args(options);
    Tollgate::listening(&mut command, 1, folder())
}

#[test]
fn the_server_writes_lines_where_they_are_asked_for() {
    let root = site();
    let quiet = server(root.path(), &[]);
    Client::connect(quiet.address()).get("/ten.txt");
    let out = quiet.process.out();
    quiet.stop();
    assert!(!out.contains("ten.txt"), "no terminal, no lines: {out}");
    for (form, part) in [("common", "\"GET /ten.txt HTTP/1.1\" 200 10"), ("plain", "  200  GET /ten.txt  10 B  ")] {
        let server = server(root.path(), &["--log", form]);
        Client::connect(server.address()).get("/ten.txt");
        let line = server.process.out_line(|line| line.contains("ten.txt").then(|| line.to_owned()));
        assert!(line.contains(part), "{line}");
        assert!(!line.contains('\x1b'), "no terminal, no colour: {line:?}");
    }
}

/// A child whose standard output is a terminal.
struct AtTerminal {
    child: Child,
    out: BufReader<File>,
}

impl AtTerminal {
    fn start(command: &mut Command) -> AtTerminal {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&ours).and_then(|()| unlockpt(&ours)).expect("a terminal");
        let name = ptsname(&ours, Vec::new()).expect("a terminal");
        let theirs = rustix::fs::open(&*name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).expect("a terminal");
        command.stdin(Stdio::null()).stdout(Stdio::from(theirs)).stderr(Stdio::null());
        let child = command.spawn().expect("it starts");
        // Else our copy of their end would keep the terminal open.
        command.stdout(Stdio::null());
        AtTerminal { child, out: BufReader::new(File::from(ours)) }
    }

    /// The next line that contains `text`; the end of the output fails.
    fn line(&mut self, text: &str) -> String {
        let mut seen = String::new();
        loop {
            let before = seen.len();
            let n = self.out.read_line(&mut seen).unwrap_or(0);
            assert!(n > 0, "{text:?} did not come: {seen:?}");
            if seen[before..].contains(text) {
                return seen[before..].trim_end().to_owned();
            }
        }
    }
}

impl Drop for AtTerminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_terminal_shows_requests_in_colour() {
    let root = site();
    let mut command = Tollgate::command("server");
    command.arg(root.path()).args(["--listen", "127.0.0.1:0", "--workers", "1"]).env_remove("NO_COLOR");
    let mut at_terminal = AtTerminal::start(&mut command);
    let line = at_terminal.line("listening on");
    let port = line.rsplit_once("127.0.0.1:").and_then(|(_, rest)| rest.split('/').next()?.parse::<u16>().ok());
    let mut client = Client::connect(([127, 0, 0, 1], port.expect("a port")).into());
    client.get("/ten.txt");
    client.get("/none");
    let line = at_terminal.line("ten.txt");
    assert!(line.contains("\x1b[32m200\x1b[0m  GET /ten.txt\x1b[2m  10 B  "), "{line:?}");
    let line = at_terminal.line("none");
    assert!(line.contains("\x1b[33m404\x1b[0m") && line.contains("There is no such file here."), "{line:?}");
}
