//! The live view, on a terminal.

use tests::{Origin, Screen, Tollgate, answer, on_a_terminal};

use crate::url;

/// Narrower than the view's longest lines, and wider.
#[test]
fn the_view_is_drawn_over_itself_and_leaves_the_summary() {
    let origin = Origin::answering(answer("200 OK", "ok"));
    let loadgen = Tollgate::command("loadgen");
    for columns in [50, 160] {
        let program = loadgen.get_program().to_str().expect("a path of text");
        let ended = on_a_terminal(columns, &format!("{program} -c 2 -d 3s -R 200/s {}", url(origin.address())));
        let mut screen = Screen::new(columns);
        let mut views = 0;
        screen.show(&ended.out, |screen| {
            let lines = screen.lines();
            let count = |start: &str| lines.iter().filter(|line| line.starts_with(start)).count();
            // Never a rest of the view before.
            assert!(["rate ", "p99 ", "connections ", "generator "].iter().all(|line| count(line) <= 1), "{lines:#?}");
            views +=
                usize::from(!screen.cursor && lines.iter().rev().nth(1).is_some_and(|l| l.starts_with("generator")));
        });
        assert!(views >= 2, "{}", ended.out);
        let lines = screen.lines();
        assert!(screen.cursor && screen.wraps(), "the terminal was not left as it was found");
        assert!(!lines.iter().any(|line| line.starts_with("generator ")), "the view was left behind: {lines:#?}");
        assert!(lines.iter().any(|line| line.contains("requests/s ")), "{lines:#?}");
        // Two seconds or more in the sparkline.
        let bars = |line: &str| line.chars().filter(|c| ('▁'..='█').contains(c)).count();
        assert!(ended.out.lines().any(|line| line.starts_with("rate ") && bars(line) >= 2), "{}", ended.out);
    }
}
