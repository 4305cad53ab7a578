//! One run, from its first connection to its verdict.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crossbeam::channel::Sender;
use event_loop::precise;
use load::{Run, Second, Settings, validity, words};
use process::{Memory, ThreadClock, memory_of};

use crate::beside::{Beside, Outcome, Repeated};
use crate::crew::{Crew, Dialled, End, Heard, News, Report};
use crate::interrupt::Interrupts;
use crate::merge::Merger;
use crate::plan::{PacePlan, Plan};
use crate::prepare::time;
use crate::problem::Problem;
use crate::report::Stage;

/// From the moment when all are ready to the first request: time for the orders to arrive everywhere.
const HEAD_START_NS: u64 = 5_000_000;

/// What is to be measured, and what goes on beside.
pub(crate) struct Task<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) settings: Settings,
    /// The server's process, if its memory is to be watched.
    pub(crate) pid: Option<u32>,
    /// A command that runs every so often.
    pub(crate) repeated: Option<&'a Repeated>,
}

/// What came of it.
pub(crate) struct Measured {
    pub(crate) run: Run,
    pub(crate) end: End,
    pub(crate) memory: Option<MemoryWatch>,
    /// What became of the repeated commands.
    pub(crate) beside: Outcome,
}

/// What the server's memory did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemoryWatch {
    /// Before the first connection was made.
    pub(crate) before: Memory,
    /// At the highest, as seen once a second.
    pub(crate) peak: Memory,
    /// At the end, while connections were still open.
    pub(crate) after: Memory,
}

impl MemoryWatch {
    fn begin(pid: u32) -> Result<MemoryWatch, Problem> {
        let before = memory_of(pid).map_err(|e| Problem::usage(format!("--pid {pid}: {e}")))?;
        Ok(MemoryWatch { before, peak: before, after: before })
    }

    fn look(&mut self, pid: u32) {
        // A server that is gone has no memory to speak of; its connections' errors tell.
        if let Ok(now) = memory_of(pid) {
            self.after = now;
            if now.resident > self.peak.resident {
                self.peak = now;
            }
        }
    }
}

/// What is shown while a run goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sight<'a> {
    /// A second is complete.
    Second(&'a Second, Stage),
    /// A part of the generator was lost, and how.
    Lost(&'a str),
    /// Somebody wants the run to end; it is being summed up.
    Interrupted,
}

/// What gets each of them.
pub(crate) type Shown<'a> = &'a mut dyn FnMut(Sight<'_>);

/// Runs `task`.
pub(crate) fn measure(task: &Task<'_>, interrupts: &Interrupts, show: Shown<'_>) -> Result<Measured, Problem> {
    let mut memory = task.pid.map(MemoryWatch::begin).transpose()?;
    let inbox = Crew::inbox();
    interrupts.send_to(inbox.0.clone());
    let orders = inbox.0.clone();
    let crew = Crew::start(task.plan, inbox).map_err(|e| local("the workers could not be started", &e))?;
    let mut conductor = Conductor {
        task,
        warm_up: Merger::new(crew.parts),
        merger: Merger::new(crew.parts),
        crew,
        run: Run::new(concat!("loadgen ", env!("CARGO_PKG_VERSION")), unix_ms(), task.settings.clone()),
        marks: Vec::new(),
        clock: ThreadClock::of_this_thread(),
        cpu: Duration::ZERO,
        memory: &mut memory,
    };
    let (end, beside) = conductor.conduct(&orders, show)?;
    let mut run = conductor.run;
    if interrupts.happened() && end != End::Done {
        run.interrupted = Some(came(task.plan, &run));
    }
    let beside = beside.map(Beside::finish).unwrap_or_default();
    run.finish(&validity::Rules::default());
    Ok(Measured { run, end, memory, beside })
}

struct Conductor<'a> {
    task: &'a Task<'a>,
    crew: Crew,
    warm_up: Merger,
    merger: Merger,
    run: Run,
    /// What happened since the last second was given out.
    marks: Vec<String>,
    clock: ThreadClock,
    /// Of this thread, as counted already.
    cpu: Duration,
    memory: &'a mut Option<MemoryWatch>,
}

impl Conductor<'_> {
    fn conduct(&mut self, orders: &Sender<Heard>, show: Shown<'_>) -> Result<(End, Option<Beside>), Problem> {
        let mut waiting = self.crew.parts;
        let mut dialled = Dialled::default();
        let mut beside = None;
        loop {
            match self.crew.next() {
                News::Silence => return Err(Problem::local("the workers are gone")),
                News::Interrupt => {
                    show(Sight::Interrupted);
                    self.crew.stop();
                }
                News::Mark(text) => self.marks.push(text),
                News::Report(_, Report::Ready(one)) => {
                    dialled.add(one);
                    waiting -= 1;
                    if waiting == 0 {
                        beside = self.begin(&dialled, orders)?;
                    }
                }
                News::Report(part, Report::WarmUp(second)) => {
                    let complete = self.warm_up.add(part, *second);
                    complete.iter().for_each(|second| show(Sight::Second(second, Stage::WarmUp)));
                    // What this thread did until now is not the measuring's.
                    self.cpu = self.clock.read().cpu;
                }
                News::Report(part, Report::Second(second)) => {
                    let complete = self.merger.add(part, *second);
                    self.give_out(complete, show);
                }
                News::Report(_, Report::Ended(End::Failed(why))) if waiting > 0 => return Err(Problem::local(why)),
                News::Report(part, Report::Ended(end)) => {
                    if let End::Failed(why) = &end {
                        show(Sight::Lost(why));
                        self.run.mishaps.push(why.clone());
                    }
                    let complete = self.warm_up.end(part, end.clone());
                    complete.iter().for_each(|second| show(Sight::Second(second, Stage::WarmUp)));
                    let complete = self.merger.end(part, end);
                    self.give_out(complete, show);
                    if let Some(end) = self.merger.ending() {
                        return Ok((end, beside));
                    }
                }
            }
        }
    }

    /// All have tried to connect: begins, unless nobody succeeded.
    fn begin(&mut self, dialled: &Dialled, orders: &Sender<Heard>) -> Result<Option<Beside>, Problem> {
        if let (0, Some((kind, why))) = (dialled.made, &dialled.example) {
            self.crew.stop();
            return Err(Problem::Target(*kind, format!("no connection could be made: {why} ({kind})")));
        }
        self.run.started_unix_ms = unix_ms() + task_warm_up_ms(self.task.plan);
        self.cpu = self.clock.read().cpu;
        self.crew.begin(precise::nanos() + HEAD_START_NS);
        let repeated = self.task.repeated;
        let started = repeated.map(|repeated| Beside::start(repeated, self.task.plan.warm_up, orders.clone()));
        started.transpose().map_err(|e| local("no thread for the command", &e))
    }

    fn give_out(&mut self, seconds: Vec<Second>, show: Shown<'_>) {
        for mut second in seconds {
            if let (Some(memory), Some(pid)) = (&mut *self.memory, self.task.pid) {
                memory.look(pid);
            }
            // This thread's own work is the generator's as well.
            let cpu = self.clock.read().cpu;
            second.health.cpu_ns += (cpu - self.cpu).as_nanos() as u64;
            self.cpu = cpu;
            second.marks.append(&mut self.marks);
            show(Sight::Second(&second, Stage::Measuring));
            self.run.push(second);
        }
    }
}

/// How far a run has come.
fn came(plan: &Plan, run: &Run) -> String {
    match (plan.duration, &plan.pace) {
        (None, PacePlan::Closed(Some(all))) => {
            let done = run.totals.answered + run.totals.errors.total();
            format!("{} of {} requests", words::count(done), words::count(*all))
        }
        (duration, _) => format!("{} of {}", words::time(run.elapsed_ns), time(duration.unwrap_or_default())),
    }
}

fn task_warm_up_ms(plan: &Plan) -> u64 {
    plan.warm_up.as_millis() as u64
}

fn local(what: &str, error: &io::Error) -> Problem {
    Problem::local(format!("{what}: {error}"))
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
