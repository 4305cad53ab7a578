//! What is told of servers, and what is counted.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use balance::{EjectionPolicy, RetryPolicy, Tried};
use event_loop::{Driver, Worker, WorkerConfig, sleep};
use net::Address;
use observe::Level;
use upstream::{Balancing, KeepAlive, News, Options, ServerOptions, Target, Timeouts, Upstream, Wanted};

const SECOND: Duration = Duration::from_secs(1);

fn options() -> Options {
    let server = |number| ServerOptions {
        target: Target::Fixed(Address::Memory(number)),
        tls: None,
        weight: 1,
        backup: false,
        max_active: 0,
    };
    let ejection = EjectionPolicy { consecutive: 1, share: 2.0, window: SECOND, time: SECOND, max_ejected: 0.5 };
    Options {
        proxy_protocol: None,
        name: "api".into(),
        servers: [51, 52].map(server).into(),
        timeouts: Timeouts { connect: SECOND, header: SECOND, body: SECOND, tunnel: SECOND },
        keep_alive: KeepAlive { idle: 1, idle_timeout: SECOND, max_requests: 100, max_age: SECOND },
        retry: RetryPolicy::default(),
        retries_per_second_min: 3,
        resolve: 10 * SECOND,
        balancing: Balancing { ejection: Some(ejection), ..Balancing::default() },
        health: None,
        hand_over: None,
    }
}

/// That it is used again is told of the same subject, and no ejection, however loud it is said.
#[test]
fn an_ejection_is_counted_once_and_its_end_is_none() {
    let driver = Driver::Simulated { seed: 1 };
    let (worker, _) = Worker::new(WorkerConfig { driver, ..WorkerConfig::default() }).unwrap();
    let test = async {
        let heard: Rc<RefCell<Vec<String>>> = Rc::default();
        let hear = Rc::clone(&heard);
        let say = move |news: News<'_>| {
            hear.borrow_mut().push(match news {
                News::Ejected => "counted".into(),
                News::Change { level, sentence, .. } => format!("{}: {sentence}", level == Level::Warn),
                News::Verdict { failure, .. } => failure.to_string(),
            });
        };
        let upstream = Upstream::start_telling(options(), 0, Rc::new(say));
        let lease = || upstream.lease_now(&Tried::none(), Wanted::default()).expect("one is left");
        lease().failed();
        let [counted, told] = &heard.take()[..] else { panic!("two things were to be heard") };
        assert!(counted == "counted" && told.starts_with("true: upstream api ") && told.contains("is ejected for 1s"));
        sleep(2 * SECOND).await;
        drop(lease());
        let heard = heard.take();
        assert!(matches!(&heard[..], [told] if told.ends_with("is used again after its ejection")), "{heard:?}");
    };
    worker.block_on(test).unwrap();
}
