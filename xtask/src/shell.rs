//! Starting programs, with what is run printed first.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

/// What a task comes to: the error is a sentence for the person who ran it.
pub(crate) type Outcome<T = ()> = Result<T, String>;

/// The workspace's root folder.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// The `cargo` that runs this task, in the workspace's root.
pub(crate) fn cargo<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()), args)
}

/// A command that runs in the workspace's root.
pub(crate) fn command<S: AsRef<OsStr>>(program: impl AsRef<OsStr>, args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(root());
    command
}

/// Runs `command` with this program's own output; an error when it cannot start or fails.
pub(crate) fn run(command: &mut Command) -> Outcome {
    announce(command);
    let status = command.status().map_err(|error| cannot_start(command, &error))?;
    if status.success() { Ok(()) } else { Err(format!("`{}` failed ({status})", line(command))) }
}

/// Runs `command` quietly and gives its standard output.
pub(crate) fn read(command: &mut Command) -> Outcome<String> {
    let output = command.stderr(Stdio::inherit()).output().map_err(|error| cannot_start(command, &error))?;
    if !output.status.success() {
        return Err(format!("`{}` failed ({})", line(command), output.status));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("`{}` printed something that is not text", line(command)))
}

/// Runs `command` with its output kept back, and gives that, also when it failed.
pub(crate) fn run_hushed(command: &mut Command) -> (String, Outcome) {
    announce(command);
    match command.output() {
        Err(error) => (String::new(), Err(cannot_start(command, &error))),
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            let failed = || Err(format!("`{}` failed ({})", line(command), output.status));
            let outcome = if output.status.success() { Ok(()) } else { failed() };
            (String::from_utf8_lossy(&said).into_owned(), outcome)
        }
    }
}

/// Whether `command` can be started and succeeds; its output is dropped.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Runs `command`, passes its output on line by line, and keeps the lines that `keep` picks, in the order in which
/// each of the two streams printed them. The lines come back also when the command failed.
pub(crate) fn run_keeping(command: &mut Command, keep: fn(&str) -> bool) -> (Vec<String>, Outcome) {
    announce(command);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return (Vec::new(), Err(cannot_start(command, &error))),
    };
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let kept = thread::scope(|scope| {
        let errors = scope.spawn(|| err.map(|from| pass_on(from, std::io::stderr(), keep)).unwrap_or_default());
        let mut kept = out.map(|from| pass_on(from, std::io::stdout(), keep)).unwrap_or_default();
        kept.extend(errors.join().unwrap_or_default());
        kept
    });
    let outcome = match child.wait() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{}` failed ({status})", line(command))),
        Err(error) => Err(format!("`{}`: {error}", line(command))),
    };
    (kept, outcome)
}

/// The target triple of this machine, as rustc names it.
pub(crate) fn host() -> Outcome<String> {
    of_rustc("host")
}

/// What rustc tells of itself under that name.
pub(crate) fn of_rustc(name: &str) -> Outcome<String> {
    let text = read(&mut rustc(["-vV"]))?;
    let told = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    told.map(str::to_owned).ok_or_else(|| format!("rustc -vV names no {name}"))
}

/// The `rustc` that cargo uses.
pub(crate) fn rustc<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    command(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()), args)
}

/// `program` is found in PATH.
pub(crate) fn found(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // The system's own folders are not in everybody's PATH, and servers are installed there.
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(system).any(|folder| folder.join(program).is_file())
}

fn pass_on(from: impl Read, mut to: impl Write, keep: fn(&str) -> bool) -> Vec<String> {
    let mut kept = Vec::new();
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        // A reader that went away must not stop the tests; their exit status still counts.
        let _ = to.write_all(&line).and_then(|()| to.flush());
        let text = without_colour(&String::from_utf8_lossy(&line));
        if keep(text.trim()) {
            kept.push(text.trim().to_owned());
        }
        line.clear();
    }
    kept
}

/// `text` without terminal colour sequences (`ESC [ ... letter`).
fn without_colour(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            let _ = chars.by_ref().find(char::is_ascii_alphabetic);
        } else {
            plain.push(c);
        }
    }
    plain
}

fn announce(command: &Command) {
    println!("$ {}", line(command));
    let _ = std::io::stdout().flush();
}

fn cannot_start(command: &Command, error: &std::io::Error) -> String {
    format!("cannot start `{}`: {error}", line(command))
}

/// The command as one line, with paths of the project from its root on.
fn line(command: &Command) -> String {
    let root = format!("{}/", root().display());
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy().replace(&root, "")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_taken_out() {
        assert_eq!(without_colour("\u{1b}[32;1m     Summary\u{1b}[0m [ 1s] 2 tests"), "     Summary [ 1s] 2 tests");
    }

    #[test]
    fn kept_lines_come_back_also_from_a_failure() {
        let mut command = command("sh", ["-c", "echo one; echo two; echo three >&2; exit 3"]);
        let (kept, outcome) = run_keeping(&mut command, |line| line.contains('t'));
        assert_eq!(kept, ["two", "three"]);
        assert!(outcome.is_err_and(|error| error.contains("exit status: 3")));
    }
}
