//! What a lookup costs, in instructions, at 10, 1,000 and 10,000 routes. Run it under callgrind and divide the inclusive cost
//! of each function by [`ROUNDS`]:
//!
//! ```text
//! cargo build --release -p router --example lookup_cost
//! valgrind --tool=callgrind --callgrind-out-file=/tmp/cost.out target/release/examples/lookup_cost
//! callgrind_annotate --inclusive=yes --threshold=100 /tmp/cost.out | grep -E 'cost::r[0-9]+_'
//! ```
//!
//! Each lookup is for another route, near and far ones alike, and the answers are checked.

use std::hint::black_box;

use message::{Fields, FieldsBuilder};
use router::{Asked, Conditions, Found, HostPattern, PathPattern, RouteId, Router, Rule, Scheme};

const ROUNDS: usize = 1000;

fn rule(host: Option<String>, path: &str) -> Rule {
    let hosts = host.iter().map(|h| HostPattern::parse(h).expect("a host")).collect();
    let path = PathPattern::parse(path).expect("a path");
    Rule { hosts, path, methods: Vec::new(), conditions: Conditions::default() }
}

/// A kind of site, with so many routes.
struct Site {
    router: Router,
    /// What to ask for each route.
    asked: Vec<(String, String)>,
    fields: Fields,
}

impl Site {
    fn new(count: usize, make: impl Fn(usize) -> (Rule, String, String)) -> Site {
        let (rules, asked): (Vec<_>, Vec<_>) = (0..count).map(&make).map(|(r, host, path)| (r, (host, path))).unzip();
        Site { router: Router::build(&rules).expect("few methods"), asked, fields: FieldsBuilder::new().finish() }
    }

    /// One site per host.
    fn hosts(count: usize) -> Site {
        Site::new(count, |n| {
            (rule(Some(format!("site-{n}.example.com")), "/*"), format!("site-{n}.example.com"), "/a/b".into())
        })
    }

    /// One tenant per wildcard.
    fn wildcards(count: usize) -> Site {
        Site::new(count, |n| {
            (
                rule(Some(format!("*.tenant-{n}.example.com")), "/*"),
                format!("www.tenant-{n}.example.com"),
                "/a/b".into(),
            )
        })
    }

    /// One service per prefix, on one host.
    fn prefixes(count: usize) -> Site {
        Site::new(count, |n| {
            (rule(None, &format!("/api/service-{n}/*")), "a.test".into(), format!("/api/service-{n}/v1/x"))
        })
    }

    /// One page per exact path.
    fn exact(count: usize) -> Site {
        Site::new(count, |n| {
            (rule(None, &format!("/pages/page-{n}.html")), "a.test".into(), format!("/pages/page-{n}.html"))
        })
    }

    /// One expression per folder.
    fn expressions(count: usize) -> Site {
        Site::new(count, |n| {
            (rule(None, &format!("~^/shop/item-{n}/[0-9]+$")), "a.test".into(), format!("/shop/item-{n}/4711"))
        })
    }

    /// [`ROUNDS`] lookups, spread over all routes.
    fn run(&self, look_up: fn(&Router, &Asked<'_>) -> u32) {
        let count = self.asked.len();
        // A stride that is prime to all the sizes.
        (0..ROUNDS).for_each(|round| self.ask(look_up, round * 7919 % count));
    }

    fn ask(&self, look_up: fn(&Router, &Asked<'_>) -> u32, place: usize) {
        let (host, path) = &self.asked[place];
        let asked = Asked {
            method: b"GET",
            authority: host.as_bytes(),
            path: path.as_bytes(),
            query: None,
            fields: &self.fields,
            client: None,
            scheme: Scheme::Http,
        };
        assert_eq!(look_up(&self.router, &asked), place as u32);
    }
}

fn found(router: &Router, asked: &Asked<'_>) -> u32 {
    match router.find(black_box(asked)) {
        Found::Route(RouteId(id)) => id,
        _ => u32::MAX,
    }
}

/// One function per case, which callgrind tells apart.
macro_rules! cases {
    ($($name:ident = $kind:ident($count:literal);)*) => {
        $(
            #[inline(never)]
            fn $name(router: &Router, asked: &Asked<'_>) -> u32 {
                // Keeps the linker from folding the functions into one.
                black_box(stringify!($name));
                found(router, asked)
            }
        )*
        fn main() {
            $({
                let site = Site::$kind($count);
                // Once unmeasured: an expression makes its scratch memory with its first match.
                (0..$count).for_each(|place| site.ask(found, place));
                site.run($name);
            })*
        }
    };
}

cases! {
    r10_hosts = hosts(10);
    r1000_hosts = hosts(1000);
    r10000_hosts = hosts(10_000);
    r10_wildcards = wildcards(10);
    r1000_wildcards = wildcards(1000);
    r10000_wildcards = wildcards(10_000);
    r10_prefixes = prefixes(10);
    r1000_prefixes = prefixes(1000);
    r10000_prefixes = prefixes(10_000);
    r10_exact = exact(10);
    r1000_exact = exact(1000);
    r10000_exact = exact(10_000);
    r10_expressions = expressions(10);
    r1000_expressions = expressions(1000);
    r10000_expressions = expressions(10_000);
}
