//! A process that has run out of descriptors gives up those of the cache. Alone in its process, whose limit it lowers.

use std::fs::{read_dir, write};
use std::rc::Rc;
use std::sync::Arc;

use clock::Tick;
use fs::Root;
use rustix::process::{Resource, Rlimit, setrlimit};
use static_files::{Answer, Files, Limits, Moment, OpenFiles, Options, Step, Work};

#[path = "../src/testing.rs"]
mod testing;

/// What one look-up needs at the same time: the name it looked at is closed before the file is opened.
const SPARE: usize = 3;

#[test]
fn descriptors_of_the_cache_are_given_up_when_there_are_no_others() {
    let dir = tempfile::TempDir::new().unwrap();
    for n in 0..40 {
        write(dir.path().join(format!("f{n}")), vec![b'x'; 20_000]).unwrap();
    }
    let roots = [Root::open(dir.path()).unwrap(), Root::open_without_links(dir.path()).unwrap()];
    let open = read_dir("/proc/self/fd").unwrap().count();
    let limit = Some((open + SPARE + 10) as u64);
    setrlimit(Resource::Nofile, Rlimit { current: limit, maximum: limit }).unwrap();
    for root in roots {
        let cache = OpenFiles::new(Limits::default());
        let files = Files::new(Options::default(), Arc::new(root), Rc::clone(&cache)).unwrap();
        for n in 0..40 {
            let answer = get(&files, &format!("/f{n}"));
            assert!(matches!(&answer, Answer::Send { head, .. } if head.status == 200), "f{n}: {answer:?}");
        }
        assert!(cache.stats().descriptors < 20);
        // With all of them in use there is nothing to give up.
        let held: Vec<Answer> = (0..40).map(|n| get(&files, &format!("/f{n}"))).collect();
        let refused = held.iter().filter(|a| matches!(a, Answer::Refuse(failure) if failure.status == 503)).count();
        assert!((20..40).contains(&refused), "{refused} of 40");
        drop(held);
        assert!(matches!(get(&files, "/f39"), Answer::Send { .. }));
    }
}

fn get(files: &Files, target: &str) -> Answer {
    let request = testing::request("GET", target, &[]);
    let at = Moment { tick: Tick(0), unix: 0 };
    let mut step = files.begin(&request, target.as_bytes(), at);
    loop {
        match step {
            Step::Ready(answer) => return answer,
            Step::Blocking(work) => {
                let Work { lookup, claim } = *work;
                let (lookup, outcome) = lookup.wait();
                step = files.conclude(&request, target.as_bytes(), at, Work { lookup, claim }, outcome);
            }
        }
    }
}
