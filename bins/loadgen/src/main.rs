//! `loadgen`: sends load and tells the truth about what came of it.

use std::process::ExitCode;

fn main() -> ExitCode {
    loadgen_app::main()
}
