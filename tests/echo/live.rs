//! The statistics, on a terminal.

use tests::{Screen, Tollgate, on_a_terminal};

#[test]
fn the_statistics_are_drawn_in_place_and_the_totals_stay() {
    let echo = Tollgate::command("echo");
    let program = echo.get_program().to_str().expect("a path of text");
    let ended =
        on_a_terminal(40, &format!("timeout --foreground --signal INT 4 {program} --listen 127.0.0.1:0 --stats"));
    let mut screen = Screen::new(40);
    let mut most = 0;
    screen.show(&ended.out, |screen| {
        let shown = screen.lines().iter().filter(|line| line.contains("requests/s")).count();
        assert!(shown <= 1, "{:#?}", screen.lines());
        most = most.max(shown);
    });
    assert_eq!(most, 1, "{}", ended.out);
    assert!(ended.out.matches("requests/s").count() >= 2, "{}", ended.out);
    let lines = screen.lines();
    assert!(screen.cursor && screen.wraps(), "the terminal was not left as it was found");
    assert!(lines.iter().any(|line| line.starts_with("totals after")), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("listening on 127.0.0.1:")), "{lines:#?}");
}
