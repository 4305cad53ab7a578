//! What is printed and saved.

use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::OnceLock;

use load::Run;
use load::words::{bytes, count};

use crate::arguments::Load;
use crate::measure::{Measured, MemoryWatch, Sight};
use crate::plan::{PacePlan, Plan, nanos};
use crate::problem::Problem;
use crate::report::{self, Goal, Live, LiveStyle, SummaryStyle};

/// Columns of a terminal that does not say how many it has.
const WIDTH: u16 = 100;

/// Writes a line to standard error.
pub(crate) fn say(line: &str) {
    // Whoever closed standard error does not want to hear.
    let _ = writeln!(io::stderr(), "{line}");
}

/// Writes to standard output.
pub(crate) fn print(text: &str) {
    let mut out = io::stdout().lock();
    if let Err(e) = out.write_all(text.as_bytes()).and_then(|()| out.flush())
        // Whoever closed standard output does not want to hear.
        && e.kind() != io::ErrorKind::BrokenPipe
    {
        let _ = LOST.set(e.to_string());
    }
}

/// Why something could not be printed.
static LOST: OnceLock<String> = OnceLock::new();

/// Whether all could be printed.
pub(crate) fn all_printed() -> Result<(), Problem> {
    LOST.get().map_or(Ok(()), |why| Err(Problem::local(format!("standard output cannot be written: {why}"))))
}

/// Whether the files that are to be saved can be: asked before there is something to lose.
pub(crate) fn can_save(load: &Load) -> Result<(), Problem> {
    if [&load.json, &load.csv].into_iter().flatten().filter(|file| is_output(file)).count() > 1 {
        return Err(Problem::usage(
            "--json - and --csv - would be mixed on standard output; save one of them to a file",
        ));
    }
    for file in [&load.json, &load.csv, &load.html].into_iter().flatten().filter(|file| !is_output(file)) {
        let is_new = !file.exists();
        let opened = OpenOptions::new().append(true).create(true).open(file);
        opened.map_err(|e| Problem::usage(format!("{} cannot be written: {e}", file.display())))?;
        // A run that comes to nothing leaves no empty report.
        if is_new {
            let _ = std::fs::remove_file(file);
        }
    }
    Ok(())
}

/// The view of a run: live on standard error, the sum on standard output, files where they were asked for.
pub(crate) struct Show<'a> {
    load: &'a Load,
    live: Option<Live>,
}

impl<'a> Show<'a> {
    pub(crate) fn new(load: &'a Load, plan: &Plan) -> Show<'a> {
        let ansi = io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let width = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok()).unwrap_or(WIDTH);
        let live = (!load.quiet).then(|| Live::new(LiveStyle { ansi, width }, goal(plan)));
        Show { load, live }
    }

    /// A second is complete, or something is to be known at once.
    pub(crate) fn see(&mut self, sight: Sight<'_>) {
        let text = match sight {
            Sight::Second(second, stage) => {
                return self.live.as_mut().map_or((), |live| write_err(&live.second(second, stage)));
            }
            Sight::Lost(why) => format!("error: {why}"),
            Sight::Interrupted => "interrupted: the run ends here and is summed up".to_owned(),
        };
        match &mut self.live {
            Some(live) => write_err(&live.note(&text)),
            None => say(&text),
        }
    }

    /// The run is over: sums it up and saves what is to be saved.
    pub(crate) fn end(&mut self, measured: &Measured) -> Result<(), Problem> {
        if let Some(live) = &mut self.live {
            write_err(&live.end());
        }
        let run = &measured.run;
        let color = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        if !self.prints_data() {
            print(&report::summary(run, &SummaryStyle { color }));
            if let Some(memory) = &measured.memory {
                print(&memory_text(memory, run.open_max));
            }
            if measured.beside.failed > 0 {
                print(&format!("commands that failed: {}\n", count(measured.beside.failed)));
            }
        }
        if let Some(last) = &measured.beside.last {
            say(last);
        }
        self.save(run)
    }

    /// Whether standard output is to be read by a program.
    fn prints_data(&self) -> bool {
        [&self.load.json, &self.load.csv].into_iter().flatten().any(|file| is_output(file))
    }

    fn save(&self, run: &Run) -> Result<(), Problem> {
        if let Some(file) = &self.load.json {
            save(file, &report::json(run))?;
        }
        if let Some(file) = &self.load.csv {
            save(file, &report::csv_seconds(run))?;
            if !is_output(file) {
                save(&file.with_extension("percentiles.csv"), &report::csv_percentiles(run))?;
            }
        }
        if let Some(file) = &self.load.html {
            save(file, &report::html(run))?;
        }
        Ok(())
    }
}

/// What is seen of the runs of a command that makes many.
pub(crate) fn losses_only(sight: Sight<'_>) {
    if let Sight::Lost(why) = sight {
        say(&format!("error: {why}"));
    }
}

fn goal(plan: &Plan) -> Goal {
    match (&plan.pace, plan.duration) {
        (_, Some(duration)) => Goal::Time { ns: nanos(duration) },
        (PacePlan::Closed(Some(requests)), None) => Goal::Requests(*requests),
        _ => Goal::Endless,
    }
}

fn write_err(text: &str) {
    let mut err = io::stderr().lock();
    let _ = err.write_all(text.as_bytes());
    let _ = err.flush();
}

fn memory_text(memory: &MemoryWatch, open: u64) -> String {
    let each = |before: u64, peak: u64| bytes(peak.saturating_sub(before) / open.max(1));
    let line = |what: &str, before: u64, peak: u64| {
        let (least, most) = (bytes(before), bytes(peak));
        format!(
            "{what:<14}{least} before, {most} at most: {} for each of {}\n",
            each(before, peak),
            report::counted(open, "connection")
        )
    };
    let mut text = line("target RSS", memory.before.resident, memory.peak.resident);
    if let (Some(before), Some(peak)) = (memory.before.proportional, memory.peak.proportional) {
        text += &line("target PSS", before, peak);
    }
    text
}

fn is_output(file: &Path) -> bool {
    file == Path::new("-")
}

/// Saves the page of a command that makes many runs, where one is asked for.
pub(crate) fn save_page(load: &Load, page: impl FnOnce() -> String) -> Result<(), Problem> {
    load.html.as_ref().map_or(Ok(()), |file| save(file, &page()))
}

/// Writes to a file, or to standard output for `-`.
fn save(file: &Path, text: &str) -> Result<(), Problem> {
    if is_output(file) {
        print(text);
        return Ok(());
    }
    std::fs::write(file, text).map_err(|e| Problem::local(format!("{}: {e}", file.display())))
}
