//! What the targets fuzz: the pure modules of `static-files`, by their source. The crate itself would bring the event loop and TLS
//! into every instrumented build.
#![allow(dead_code, unreachable_pub, missing_docs)]

#[path = "../../src/conditional.rs"]
pub mod conditional;
#[path = "../../src/decide.rs"]
pub mod decide;
#[path = "../../src/path.rs"]
pub mod path;
#[path = "../../src/range.rs"]
pub mod range;
#[path = "../../src/testing.rs"]
mod testing;
#[path = "../../src/validators.rs"]
pub mod validators;

use message::RequestHead;
use validators::Validators;

/// A request head as an HTTP/1 machine would give it.
pub fn request(method: &str, target: &str, lines: &[(&str, &str)]) -> RequestHead {
    testing::request(method, target, lines)
}

/// The validators of a file of that many bytes.
pub fn file(size: u64) -> Validators {
    let stamp = fs::Stamp { secs: 784_111_777, nanos: 0 };
    let meta = fs::Meta { kind: fs::Kind::File, size, modified: stamp, changed: stamp, device: 1, inode: 1 };
    Validators::of(&meta, 900_000_000)
}
