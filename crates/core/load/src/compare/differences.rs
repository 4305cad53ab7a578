//! In what two runs differ before anything is measured.

use crate::run::Run;
use crate::words;

/// A setting in which two runs differ, as each has it: `-` where one has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its name.
    pub name: String,
    /// As A had it. From outside: escape it where it is shown.
    pub a: String,
    /// As B had it. From outside: escape it where it is shown.
    pub b: String,
}

/// In what the settings of two runs differ: an effect between them is the effect of all of that. The seed is no setting in
/// this sense. Where only the servers differ, by host and port, that is what is compared and no difference.
pub fn differences(a: &Run, b: &Run) -> Vec<Difference> {
    let (of_a, of_b) = (named(a), named(b));
    let mut names: Vec<&str> = of_a.iter().map(|(name, _)| name.as_str()).collect();
    names.extend(of_b.iter().map(|(name, _)| name.as_str()).filter(|name| !of_a.iter().any(|(n, _)| n == name)));
    let value = |of: &[(String, String)], name: &str| {
        of.iter().find(|(known, _)| known == name).map_or_else(|| "-".to_owned(), |(_, value)| value.clone())
    };
    let one = |name: &str| Difference { name: name.to_owned(), a: value(&of_a, name), b: value(&of_b, name) };
    let mut all: Vec<Difference> = names.into_iter().map(one).filter(|d| d.a != d.b).collect();
    let asked = |run: &Run| run.settings.targets.iter().map(|url| behind_host(url)).collect::<Vec<_>>();
    if asked(a) != asked(b) {
        let list = |run: &Run| run.settings.targets.join(" ");
        all.insert(0, Difference { name: "URL".to_owned(), a: list(a), b: list(b) });
    }
    all
}

/// A run's settings by their names.
fn named(run: &Run) -> Vec<(String, String)> {
    let settings = &run.settings;
    let pace = if settings.open_loop { "open" } else { "closed" };
    let mut all = vec![
        ("loop".to_owned(), pace.to_owned()),
        ("connections".to_owned(), words::count(settings.connections)),
        (
            "requests at once on a connection".to_owned(),
            words::count(settings.concurrency / settings.connections.max(1)),
        ),
        ("workers".to_owned(), words::count(settings.workers.into())),
    ];
    all.extend(settings.words.iter().filter(|(name, _)| name != "seed").cloned());
    all.push((
        "interrupted".to_owned(),
        run.interrupted.as_ref().map_or_else(|| "-".to_owned(), |at| format!("after {at}")),
    ));
    all
}

/// Scheme and path of a URL, without the host between them.
fn behind_host(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    format!("{scheme}://{}", rest.find('/').map_or("/", |at| &rest[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Settings;

    fn run(target: &str, words: &[(&str, &str)]) -> Run {
        let settings = Settings {
            targets: vec![target.to_owned()],
            connections: 10,
            concurrency: 10,
            words: words.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            ..Settings::default()
        };
        Run::new("test", 0, settings)
    }

    fn told(a: &Run, b: &Run) -> Vec<String> {
        differences(a, b).into_iter().map(|d| format!("{}: {} | {}", d.name, d.a, d.b)).collect()
    }

    #[test]
    fn what_differs_is_named_with_both_values() {
        let a = run("http://a:1/x", &[("rate", "5,000/s"), ("duration", "10 s"), ("seed", "1")]);
        let mut b = run("http://b:2/x", &[("duration", "20 s"), ("body", "1 KiB"), ("seed", "2")]);
        assert_eq!(told(&a, &b), ["rate: 5,000/s | -", "duration: 10 s | 20 s", "body: - | 1 KiB"]);
        b.settings = Settings { open_loop: true, connections: 5, concurrency: 20, ..a.settings.clone() };
        b.settings.targets = vec!["http://a:1/y".to_owned()];
        b.interrupted = Some("1 s of 10 s".to_owned());
        assert_eq!(
            told(&a, &b),
            [
                "URL: http://a:1/x | http://a:1/y",
                "loop: closed | open",
                "connections: 10 | 5",
                "requests at once on a connection: 1 | 4",
                "interrupted: - | after 1 s of 10 s",
            ]
        );
    }

    #[test]
    fn the_same_against_another_server_is_no_difference() {
        let rate = [("rate", "5,000/s")];
        assert_eq!(differences(&run("http://a/x?y", &rate), &run("http://[::1]:80/x?y", &rate)), []);
        assert_eq!(differences(&run("http://a", &rate), &run("http://b/", &rate)), []);
        assert_eq!(told(&run("http://a/", &rate), &run("https://a/", &rate)), ["URL: http://a/ | https://a/"]);
    }
}
