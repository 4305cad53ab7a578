//! The built-in demonstration: a welcome page, and `/api/*` balanced over three origins inside this process.

use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;

use buf::Shared;
use config::Count;
use event_loop::{Worker, WorkerConfig, spawn};
use message::{BodyLength, FieldsBuilder, Known, ResponseHead};
use net::{Address, Bound, Listener, Peer};
use observe::{Counters, Failure};
use serve::{Chunk, Context, Exchange, Handled, Settings, Switch, accept_loop};

use crate::control::{Source, Start, run as run_plan};

/// Where the demonstration listens, if nobody else does.
pub const DEMO_ADDRESS: &str = "127.0.0.1:8080";

const WELCOME: &str = include_str!("demo/index.html");
const ORIGINS: usize = 3;

/// Runs the demonstration until a signal says stop.
pub fn run(program: &'static str, workers: Option<Count>) -> ExitCode {
    match prepare(program) {
        Ok((mut start, _folder)) => {
            // Each worker has a rotation of its own; with one, three requests meet three origins.
            start.plan.runtime.workers = workers.unwrap_or(Count::Fixed(1));
            run_plan(start)
        }
        Err(sentence) => {
            use std::io::Write;
            let _ = writeln!(io::stderr(), "error: the demonstration could not be prepared: {sentence}");
            ExitCode::FAILURE
        }
    }
}

fn prepare(program: &'static str) -> Result<(Start, Folder), String> {
    let folder = Folder::create().map_err(|e| format!("no folder for the welcome page: {e}"))?;
    std::fs::write(folder.0.join("index.html"), WELCOME).map_err(|e| format!("no welcome page: {e}"))?;
    let origins = start_origins().map_err(|e| format!("no origins: {e}"))?;
    let free = TcpListener::bind(DEMO_ADDRESS).is_ok();
    let address = if free { DEMO_ADDRESS } else { "127.0.0.1:0" };
    let servers: Vec<String> = origins.iter().map(|o| format!("\"{o}\"")).collect();
    let text = configuration(address, &folder.0, &servers.join(", "));
    let plan = config::parse(&text, "the demonstration", Path::new("/")).map_err(|report| report.to_string())?.plan;
    let hints = hints(free);
    Ok((Start { program, plan, source: Source::CommandLine, hints, listening: None }, folder))
}

fn configuration(address: &str, root: &Path, servers: &str) -> String {
    format!(
        "[admin]\nlisten = \"127.0.0.1:0\"\n\n\
         [[listener]]\naddress = \"{address}\"\n\n\
         [[route]]\npath = \"/api/*\"\nproxy = {{ upstream = \"demo\", strip_prefix = \"/api\" }}\n\n\
         [[route]]\npath = \"/*\"\nfiles = {{ root = \"{}\" }}\n\n\
         [upstream.demo]\nservers = [{servers}]\n",
        root.display()
    )
}

fn hints(free: bool) -> Vec<String> {
    let mut hints = vec![String::new()];
    let base = if free {
        "http://127.0.0.1:8080"
    } else {
        hints.push(format!("{DEMO_ADDRESS} is taken, so a free port was chosen; put it for PORT:"));
        "http://127.0.0.1:PORT"
    };
    hints.push("This is the built-in demonstration. Try:".into());
    hints.push(format!("  curl {base}/"));
    hints.push(format!("  curl {base}/api/hello        (again and again: three origins take turns)"));
    hints.push(format!("  curl -i -d 'some text' {base}/api/echo"));
    hints.push("Then write a configuration and run it with --config FILE. Ctrl-C stops.".into());
    hints
}

/// A folder of our own among the temporary files, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn create() -> io::Result<Folder> {
        let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
        for attempt in 0..100 {
            let path = std::env::temp_dir().join(format!("tollgate-demo-{}-{attempt}", std::process::id()));
            // Fails when it exists, whoever made it.
            match std::fs::create_dir(&path) {
                Ok(()) => return Ok(Folder(path)),
                Err(e) => last = e,
            }
        }
        Err(last)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Starts the three origins on one thread of their own, on ports the system chooses.
fn start_origins() -> io::Result<Vec<Address>> {
    let mut bound: Vec<Bound> = Vec::new();
    for _ in 0..ORIGINS {
        bound.extend(net::bind(&Address::Tcp(([127, 0, 0, 1], 0).into()), 1, 64)?);
    }
    let addresses = bound.iter().map(|b| b.address().clone()).collect();
    let (worker_ready, ready) = crossbeam::channel::bounded(1);
    std::thread::Builder::new().name("origins".into()).spawn(move || {
        let made = Worker::new(WorkerConfig::default());
        let Ok((worker, _remote)) = made else {
            let _ = worker_ready.send(false);
            return;
        };
        // Ends with the process.
        let _ = worker.block_on(async {
            for (i, bound) in bound.into_iter().enumerate() {
                let Ok(listener) = Listener::new(bound) else { continue };
                let site = Origin { name: ["one", "two", "three"][i % 3], settings: Settings::default() };
                let context = Context::new(Rc::new(site), Arc::new(Counters::default()), 1000);
                spawn(accept_loop(listener, context, Rc::new(Switch::default()), |_| ()));
            }
            let _ = worker_ready.send(true);
            std::future::pending::<()>().await;
        });
    })?;
    if ready.recv() == Ok(true) { Ok(addresses) } else { Err(io::Error::other("their thread could not begin")) }
}

/// An origin that says who it is and what it was asked.
struct Origin {
    name: &'static str,
    settings: Settings,
}

impl serve::Site for Origin {
    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn handle<'e>(&'e self, exchange: &'e mut Exchange<'_>) -> Handled<'e> {
        Handled::waits(|| self.answer(exchange))
    }

    fn failed(&self, _: &Failure, _: &Peer) {}
}

impl Origin {
    async fn answer(&self, exchange: &mut Exchange<'_>) -> Result<(), Failure> {
        let mut received = 0;
        while let serve::BodyChunk::Data(bytes) = exchange.body.chunk().await? {
            received += bytes.len();
        }
        let request = exchange.request;
        let method = String::from_utf8_lossy(request.method_bytes());
        let target = String::from_utf8_lossy(request.target_bytes());
        let by = request.fields.first(Known::XForwardedFor).map(String::from_utf8_lossy).unwrap_or_default();
        let name = self.name;
        let body = format!("origin {name}: {method} {target}, {received} bytes of body, asked for by {by}\n");
        let body = Shared::copy_of(&body.as_bytes()[..body.len().min(64 << 10)]);
        let mut fields = FieldsBuilder::new();
        fields.push_known(Known::ContentType, b"Content-Type", b"text/plain; charset=utf-8");
        fields.push_known(Known::Other, b"X-Origin", name.as_bytes());
        let head = ResponseHead::new(200, fields.finish(), BodyLength::Known(body.len() as u64));
        exchange.response.start(&head);
        exchange.response.push(Chunk::Shared(body))?;
        exchange.response.finish(None)
    }
}
