//! Worker processes: this program again, told over a pipe what to do.
//!
//! The parent writes the plan and the child's number as one line, later a line that says when to begin; the end of the
//! pipe means to stop. The child answers with a line per [`Report`].

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, bounded};
use event_loop::precise;
use serde::{Deserialize, Serialize};

use crate::beside::rest;
use crate::crew::{Crew, Dialled, Heard, News, Report};
use crate::merge::Merger;
use crate::plan::Plan;

/// How long a child may take to end once it was told to.
const PATIENCE: Duration = Duration::from_secs(2);

/// Set in the environment of worker processes.
const MARK: &str = "TOLLGATE_LOADGEN_WORKER";

#[derive(Debug, Serialize, Deserialize)]
struct Order {
    plan: Plan,
    /// Which of the processes this is.
    number: usize,
}

#[derive(Debug, Serialize, Deserialize)]
struct Begin {
    /// So many nanoseconds after this was read: each process has a clock of its own.
    after_ns: u64,
}

/// A worker process; ended and reaped when dropped.
pub(crate) struct Child {
    process: std::process::Child,
    orders: Option<ChildStdin>,
    /// Disconnected when the child has said its last.
    silent: Receiver<()>,
}

impl Child {
    /// Starts process `number` of `plan`; its reports go to `heard`.
    pub(crate) fn start(plan: &Plan, number: usize, heard: Sender<Heard>) -> io::Result<Child> {
        let mut command = Command::new(std::env::current_exe()?);
        // A group of its own: Ctrl-C is the parent's to hear, which then tells the others in good order.
        command.env(MARK, "1").stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut process = command.spawn()?;
        let (orders, reports) = (process.stdin.take(), process.stdout.take());
        let (speaking, silent) = bounded(0);
        let mut child = Child { process, orders, silent };
        match child.say(&Order { plan: plan.clone(), number }) {
            // It is gone already; its reader will say how it ended.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {}
            said => said?,
        }
        let reports = reports.ok_or_else(|| io::Error::other("no pipe to a worker process"))?;
        let read = move || {
            let _speaking: Sender<()> = speaking;
            let mut ended = false;
            for line in BufReader::new(reports).lines().map_while(Result::ok) {
                let Ok(report) = serde_json::from_str(&line) else { break };
                ended |= matches!(report, Report::Ended(_));
                let _ = heard.send(Heard::Child(number, report));
            }
            if !ended {
                let _ = heard.send(Heard::Lost(number));
            }
        };
        std::thread::Builder::new().name(format!("child-{number}")).spawn(read)?;
        Ok(child)
    }

    pub(crate) fn begin(&mut self, at: u64) {
        // A child that is gone has been noticed by its reader.
        let _ = self.say(&Begin { after_ns: at.saturating_sub(precise::nanos()) });
    }

    pub(crate) fn stop(&mut self) {
        self.orders = None;
    }

    /// How it ended, now that it says nothing more: "(process 123) was killed by signal 9".
    pub(crate) fn how_it_ended(&mut self) -> String {
        let id = self.process.id();
        let until = Instant::now() + PATIENCE;
        let status = loop {
            match self.process.try_wait() {
                Ok(Some(status)) => break status,
                // The pipe ends a moment before the process does.
                Ok(None) if Instant::now() < until => rest(),
                _ => {
                    let _ = self.process.kill();
                    return format!("(process {id}) said nothing more and was ended");
                }
            }
        };
        match (status.signal(), status.code()) {
            (Some(signal), _) => format!("(process {id}) was killed by signal {signal}"),
            (None, code) => format!("(process {id}) ended by itself with status {}", code.unwrap_or_default()),
        }
    }

    fn say(&mut self, order: &impl Serialize) -> io::Result<()> {
        let Some(pipe) = &mut self.orders else { return Ok(()) };
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        pipe.write_all(&line)?;
        pipe.flush()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.stop();
        // It has been told to end; one that does not is ended.
        let _ = self.silent.recv_timeout(PATIENCE);
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Whether this process was started to be a worker.
pub(crate) fn is_worker() -> bool {
    std::env::var_os(MARK).is_some()
}

/// Works until the orders say that it is enough.
///
/// # Errors
/// Those of the pipes, and orders that make no sense.
pub(crate) fn work() -> io::Result<()> {
    let _ = process::raise_descriptor_limit();
    let Order { plan, number } = serde_json::from_str(&line()?)?;
    let each = plan.workers.div_ceil(plan.processes);
    let workers = (number * each).min(plan.workers)..((number + 1) * each).min(plan.workers);
    let inbox = Crew::inbox();
    let orders = inbox.0.clone();
    let mut crew = Crew::of_threads(&plan, workers, inbox)?;
    std::thread::Builder::new().name("orders".into()).spawn(move || {
        while let Ok(text) = line() {
            let Ok(Begin { after_ns }) = serde_json::from_str(&text) else { break };
            let _ = orders.send(Heard::Mark((precise::nanos() + after_ns).to_string()));
        }
        let _ = orders.send(Heard::Interrupt);
    })?;
    report_all(&mut crew)
}

/// The next line of orders.
fn line() -> io::Result<String> {
    let mut text = String::new();
    match io::stdin().read_line(&mut text)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(text),
    }
}

/// Joins what the threads report and passes it on.
fn report_all(crew: &mut Crew) -> io::Result<()> {
    let (mut warm_up, mut merger) = (Merger::new(crew.parts), Merger::new(crew.parts));
    let mut dialled = Dialled::default();
    let mut ready = 0;
    loop {
        match crew.next() {
            // The one mark there is here says when to begin.
            News::Mark(at) => crew.begin(at.parse().unwrap_or(0)),
            News::Interrupt => crew.stop(),
            News::Silence => return Ok(()),
            News::Report(_, Report::Ready(one)) => {
                dialled.add(one);
                ready += 1;
                if ready == crew.parts {
                    tell(&Report::Ready(std::mem::take(&mut dialled)))?;
                }
            }
            News::Report(part, Report::WarmUp(second)) => {
                warm_up
                    .add(part, *second)
                    .into_iter()
                    .try_for_each(|second| tell(&Report::WarmUp(Box::new(second))))?;
            }
            News::Report(part, Report::Second(second)) => {
                merger.add(part, *second).into_iter().try_for_each(|second| tell(&Report::Second(Box::new(second))))?;
            }
            News::Report(part, Report::Ended(end)) => {
                merger.end(part, end).into_iter().try_for_each(|second| tell(&Report::Second(Box::new(second))))?;
                if let Some(end) = merger.ending() {
                    return tell(&Report::Ended(end));
                }
            }
        }
    }
}

fn tell(report: &Report) -> io::Result<()> {
    let mut line = serde_json::to_vec(report)?;
    line.push(b'\n');
    let mut out = io::stdout().lock();
    out.write_all(&line)?;
    out.flush()
}
