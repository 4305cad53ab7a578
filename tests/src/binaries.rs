//! Where the built programs are.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

/// The path of a built program.
pub(crate) fn path(program: &str) -> PathBuf {
    static FRESH: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let folder = folder();
    let mut fresh = FRESH.lock().expect("the programs could be built");
    if !fresh.contains(program) {
        if !is_fresh(&folder, program) {
            build(&folder, program);
        }
        fresh.insert(program.to_owned());
    }
    folder.join(program)
}

/// `target/<profile>`: this executable is in `target/<profile>/deps`.
fn folder() -> PathBuf {
    let here = std::env::current_exe().expect("the path of this executable");
    here.parent().and_then(Path::parent).expect("a target folder").to_path_buf()
}

/// Whether the program is there and no source that cargo noted for it (`server.d`) is newer.
fn is_fresh(folder: &Path, program: &str) -> bool {
    let modified = |path: &Path| fs::metadata(path).and_then(|m| m.modified()).ok();
    let (Some(built), Ok(sources)) =
        (modified(&folder.join(program)), fs::read_to_string(folder.join(format!("{program}.d"))))
    else {
        return false;
    };
    let mut sources = sources.split_once(": ").map_or("", |(_, sources)| sources).split_whitespace();
    sources.all(|source| modified(Path::new(source)).is_some_and(|changed| changed <= built))
}

fn build(folder: &Path, program: &str) {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--quiet", "-p", program, "--target-dir"]);
    command.arg(folder.parent().expect("a target folder"));
    if folder.file_name().is_some_and(|profile| profile == "release") {
        command.arg("--release");
    }
    let status = command.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo starts");
    assert!(status.success(), "{program} could not be built");
}
