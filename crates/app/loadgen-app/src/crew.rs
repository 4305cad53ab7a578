//! The workers of a run, wherever they are: threads of this process, or of others.

use std::io;
use std::ops::Range;
use std::thread::JoinHandle;

use crossbeam::channel::{Receiver, Sender, unbounded};
use load::{ErrorKind, Second};
use load_driver::{Control, Dials, Ending, Event};
use serde::{Deserialize, Serialize};

use crate::plan::Plan;
use crate::processes::Child;

/// What a part of the crew (a worker here, or a process with several) reports. Also a line of a child's standard output.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// Connections that are made beforehand were tried.
    Ready(Dialled),
    /// A second of the warm-up has passed.
    WarmUp(Box<Second>),
    /// A second has passed.
    Second(Box<Second>),
    /// It has ended.
    Ended(End),
}

/// How connecting went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Dialled {
    pub(crate) made: usize,
    pub(crate) failed: usize,
    pub(crate) example: Option<(ErrorKind, String)>,
}

/// How a part of the crew ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum End {
    Done,
    Stopped,
    /// It was given up after so many seconds without an answer.
    GaveUp(u64),
    Failed(String),
}

/// What whoever conducts a run hears.
#[derive(Debug)]
pub(crate) enum Heard {
    Worker(Event),
    Child(usize, Report),
    /// A child's pipe ended before its last report.
    Lost(usize),
    /// Somebody wants the run to end.
    Interrupt,
    /// Something happened beside the load.
    Mark(String),
}

/// The workers of a run.
pub(crate) struct Crew {
    /// How many report.
    pub(crate) parts: usize,
    inbox: Receiver<Heard>,
    /// The number of the first worker.
    first: usize,
    controls: Vec<Control>,
    threads: Vec<JoinHandle<()>>,
    children: Vec<Child>,
    stopped: bool,
}

/// What to do next.
#[derive(Debug)]
pub(crate) enum News {
    Report(usize, Report),
    Interrupt,
    Mark(String),
    /// Nobody is left who could report.
    Silence,
}

impl Crew {
    /// Starts the workers of `plan`, in as many processes as it says. `inbox` may get other things as well.
    pub(crate) fn start(plan: &Plan, inbox: (Sender<Heard>, Receiver<Heard>)) -> io::Result<Crew> {
        let (send, inbox) = inbox;
        if plan.processes == 1 {
            return Crew::of_threads(plan, 0..plan.workers, (send, inbox));
        }
        let mut crew = Crew::empty(plan.processes, 0, inbox);
        for n in 0..plan.processes {
            crew.children.push(Child::start(plan, n, send.clone())?);
        }
        Ok(crew)
    }

    /// Starts these workers as threads of this process.
    pub(crate) fn of_threads(
        plan: &Plan,
        workers: Range<usize>,
        inbox: (Sender<Heard>, Receiver<Heard>),
    ) -> io::Result<Crew> {
        let (send, inbox) = inbox;
        let origins = plan.origins();
        let mut crew = Crew::empty(workers.len(), workers.start, inbox);
        for worker in workers {
            let work = plan.work(worker, &origins);
            let send = send.clone();
            let run = move || {
                let _last = LastWords { worker, send: send.clone() };
                load_driver::run(work, &|event| {
                    // Who does not listen any more does not need to know.
                    let _ = send.send(Heard::Worker(event));
                });
            };
            crew.threads.push(std::thread::Builder::new().name(format!("load-{worker}")).spawn(run)?);
        }
        Ok(crew)
    }

    fn empty(parts: usize, first: usize, inbox: Receiver<Heard>) -> Crew {
        let (controls, threads, children) = (Vec::new(), Vec::new(), Vec::new());
        Crew { parts, inbox, first, controls, threads, children, stopped: false }
    }

    /// A channel to start with.
    pub(crate) fn inbox() -> (Sender<Heard>, Receiver<Heard>) {
        // Unbounded, but a second's worth of reports from each worker is all that ever waits.
        unbounded()
    }

    /// Waits for the next thing that happens.
    pub(crate) fn next(&mut self) -> News {
        loop {
            let Ok(heard) = self.inbox.recv() else { return News::Silence };
            let (worker, report) = match heard {
                Heard::Interrupt => return News::Interrupt,
                Heard::Mark(text) => return News::Mark(text),
                Heard::Child(part, report) => return News::Report(part, report),
                Heard::Lost(part) => {
                    let how = self.children[part].how_it_ended();
                    let why = format!("Worker process {} of {} {how}; its load is missing.", part + 1, self.parts);
                    return News::Report(part, Report::Ended(End::Failed(why)));
                }
                Heard::Worker(Event::Started(_, control)) => {
                    if self.stopped {
                        control.stop();
                    }
                    self.controls.push(control);
                    continue;
                }
                Heard::Worker(Event::Ready(worker, dials)) => (worker, Report::Ready(dials.into())),
                Heard::Worker(Event::WarmUp(worker, second)) => (worker, Report::WarmUp(second)),
                Heard::Worker(Event::Second(worker, second)) => (worker, Report::Second(second)),
                Heard::Worker(Event::Ended(worker, ending)) => (worker, Report::Ended(ending.into())),
            };
            return News::Report(worker - self.first, report);
        }
    }

    /// Begins at that time of [`event_loop::precise::nanos`]. All have reported that they are ready.
    pub(crate) fn begin(&mut self, at: u64) {
        self.controls.iter().for_each(|control| control.begin(at));
        self.children.iter_mut().for_each(|child| child.begin(at));
    }

    /// Ends now; what was counted is still reported.
    pub(crate) fn stop(&mut self) {
        self.stopped = true;
        self.controls.iter().for_each(Control::stop);
        self.children.iter_mut().for_each(Child::stop);
    }
}

/// Reports a worker that panicked: it would be waited for otherwise.
struct LastWords {
    worker: usize,
    send: Sender<Heard>,
}

impl Drop for LastWords {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let why = format!("Worker {} panicked, which is a bug of loadgen; its load is missing.", self.worker + 1);
            let _ = self.send.send(Heard::Worker(Event::Ended(self.worker, Ending::Failed(why))));
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.stop();
        for thread in self.threads.drain(..) {
            // A worker that panicked has been reported by the panic's own message.
            let _ = thread.join();
        }
    }
}

impl Dialled {
    pub(crate) fn add(&mut self, other: Dialled) {
        self.made += other.made;
        self.failed += other.failed;
        self.example = self.example.take().or(other.example);
    }
}

impl From<Dials> for Dialled {
    fn from(dials: Dials) -> Dialled {
        Dialled { made: dials.made, failed: dials.failed, example: dials.example }
    }
}

impl From<Ending> for End {
    fn from(ending: Ending) -> End {
        match ending {
            Ending::Done => End::Done,
            Ending::Stopped => End::Stopped,
            Ending::GaveUp(after) => End::GaveUp(after.as_secs()),
            Ending::Failed(why) => End::Failed(why),
        }
    }
}
