//! Files and their cache over a real directory, with a clock of the test's own and the blocking pool done inline.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use clock::Tick;
use tempfile::TempDir;

use super::*;
use crate::testing::request;

mod answers;
mod bounds;
mod coded;
mod freshness;
mod listings;
mod moved;
mod siblings;

struct Site {
    dir: TempDir,
    cache: Rc<OpenFiles>,
    files: Files,
    now: u32,
}

/// An answer as a client would see it.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    status: u16,
    body: String,
    fields: String,
}

impl Site {
    fn new(options: Options, limits: Limits, open: fn(&Path) -> std::io::Result<::fs::Root>) -> Site {
        let dir = TempDir::new().unwrap();
        let cache = OpenFiles::new(limits);
        let root = Arc::new(open(dir.path()).unwrap());
        let files = Files::new(options, root, Rc::clone(&cache)).unwrap();
        // So that the clock wraps within some of the tests.
        Site { dir, cache, files, now: u32::MAX - 500 }
    }

    fn plain() -> Site {
        Site::new(Options::default(), Limits::default(), |p| ::fs::Root::open(p))
    }

    /// One with links followed by the kernel and one without its help.
    fn both(options: Options) -> [Site; 2] {
        [
            Site::new(options.clone(), Limits::default(), |p| ::fs::Root::open(p)),
            Site::new(options, Limits::default(), |p| ::fs::Root::open_without_links(p)),
        ]
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::create_dir_all(self.at(name).parent().unwrap()).unwrap();
        fs::write(self.at(name), content).unwrap();
    }

    fn moment(&self) -> Moment {
        Moment { tick: Tick(self.now), unix: SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() }
    }

    fn pass(&mut self, ms: u32) {
        self.now = self.now.wrapping_add(ms);
    }

    /// The answer, and whether the blocking pool was needed.
    fn answer(&self, method: &str, target: &str, lines: &[(&str, &str)]) -> (Answer, bool) {
        let request = request(method, target, lines);
        let path = target.split('?').next().unwrap().as_bytes();
        let mut blocked = false;
        let mut step = self.files.begin(&request, path, self.moment());
        loop {
            match step {
                Step::Ready(answer) => return (answer, blocked),
                Step::Blocking(work) => {
                    let Work { lookup, claim } = *work;
                    blocked = true;
                    let (lookup, outcome) = std::thread::spawn(move || lookup.wait()).join().unwrap();
                    step = self.files.conclude(&request, path, self.moment(), Work { lookup, claim }, outcome);
                }
            }
        }
    }

    /// The bytes of the body, whatever they are.
    fn bytes(&self, target: &str, lines: &[(&str, &str)]) -> Vec<u8> {
        match self.answer("GET", target, lines).0 {
            Answer::Send { body, .. } => bytes_of(body),
            Answer::Stream { .. } => panic!("a stream has no bytes yet"),
            Answer::Refuse(failure) => panic!("{failure}"),
        }
    }

    fn ask(&self, method: &str, target: &str, lines: &[(&str, &str)]) -> Seen {
        let (head, body) = match self.answer(method, target, lines).0 {
            Answer::Send { head, body } => (head, body),
            Answer::Stream { head, .. } => {
                let fields = String::from_utf8(head.fields.bytes().to_vec()).unwrap();
                return Seen { status: head.status, body: "a stream".into(), fields };
            }
            Answer::Refuse(failure) => {
                let allow = failure.allow.map(|a| format!("Allow: {a}\r\n"));
                return Seen { status: failure.status, body: String::new(), fields: allow.unwrap_or_default() };
            }
        };
        let body = bytes_of(body);
        // What is no file is told by its status and fields.
        let body = if matches!(head.status, 301 | 412 | 416) { Vec::new() } else { body };
        if method == "GET" && head.status < 300 {
            let length = match head.body {
                message::BodyLength::Known(n) => n,
                _ => 0,
            };
            assert_eq!(length, body.len() as u64);
        }
        let fields = String::from_utf8(head.fields.bytes().to_vec()).unwrap();
        Seen { status: head.status, body: String::from_utf8_lossy(&body).into_owned(), fields }
    }

    fn get(&self, target: &str) -> (u16, String) {
        let seen = self.ask("GET", target, &[]);
        (seen.status, seen.body)
    }
}

fn bytes_of(body: Body) -> Vec<u8> {
    match body {
        Body::Empty => Vec::new(),
        Body::Static(text) => text.to_vec(),
        Body::Memory(bytes, range) => bytes[range].to_vec(),
        Body::File(range) => {
            let mut bytes = vec![0; range.len as usize];
            range.file.read_exact_at(&mut bytes, range.offset).unwrap();
            bytes
        }
        Body::Several(bodies) => bodies.into_iter().flat_map(bytes_of).collect(),
    }
}

fn ok(body: &str) -> (u16, String) {
    (200, body.to_string())
}

fn not_found() -> (u16, String) {
    (404, String::new())
}

/// Longer than what is held in memory.
fn large(letter: &str) -> String {
    letter.repeat(20_000)
}
