use std::path::Path;

use event_loop::{Driver, Worker, WorkerConfig};

use super::*;

fn prepared(idle: usize) -> Arc<Prepared> {
    let text = format!(
        "[[route]]\nproxy = {{ upstream = \"a\" }}\n[[route]]\npath = \"/b\"\nproxy = {{ upstream = \"b\" }}\n\
         [upstream.a]\nservers = [\"127.0.0.1:1\"]\nkeep_alive = {{ idle = {idle} }}\n\
         [upstream.b]\nservers = [\"127.0.0.1:2\"]\n"
    );
    Arc::new(Prepared::new(config::parse(&text, "a test", Path::new("/")).unwrap().plan).unwrap())
}

#[test]
fn a_site_that_is_only_prepared_takes_nothing_from_the_present_one() {
    let driver = Driver::Simulated { seed: 1 };
    let (worker, _) = Worker::new(WorkerConfig { driver, ..WorkerConfig::default() }).unwrap();
    let test = async {
        let resources = Resources::new(0, 1, Log::silent());
        let has = |site: &Site, number: usize| {
            let upstreams = resources.upstreams.borrow();
            let upstream = &site.upstreams[number];
            Rc::ptr_eq(&upstreams[&upstream.options().name], upstream)
        };
        let present = Site::new(prepared(1), &resources).unwrap();
        let pending = Site::prepare(prepared(2), &resources).unwrap();
        assert!(has(&present, 0) && has(&present, 1) && has(&pending, 1), "b is the same in both");
        assert!(!has(&pending, 0));
        drop(pending);
        let next = Site::prepare(prepared(3), &resources).unwrap();
        resources.adopt(&next);
        assert!(has(&next, 0) && has(&next, 1) && !has(&present, 0));
    };
    worker.block_on(test).unwrap();
}
