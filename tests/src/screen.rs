//! What a terminal shows: enough of one for views that draw themselves over again.

use std::process::Command;

use crate::{Ended, run};

/// A screen of so many columns, with all that ever scrolled off its top.
#[derive(Debug)]
pub struct Screen {
    columns: usize,
    rows: Vec<Vec<char>>,
    row: usize,
    column: usize,
    wraps: bool,
    /// Whether the cursor is shown.
    pub cursor: bool,
}

impl Screen {
    /// An empty one.
    pub fn new(columns: usize) -> Screen {
        Screen { columns, rows: vec![Vec::new()], row: 0, column: 0, wraps: true, cursor: true }
    }

    /// What stands on it, a line each.
    pub fn lines(&self) -> Vec<String> {
        self.rows.iter().map(|row| row.iter().collect::<String>().trim_end().to_owned()).collect()
    }

    /// Whether lines that are too long go on in the next one.
    pub fn wraps(&self) -> bool {
        self.wraps
    }

    /// Shows `text`; after each of its lines `look` is asked to look.
    pub fn show(&mut self, text: &str, mut look: impl FnMut(&Screen)) {
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            match c {
                '\x1b' => {
                    assert_eq!(rest.next(), Some('['), "a sequence that this screen does not know");
                    let end = rest.as_str().find(|c: char| c.is_ascii_alphabetic()).expect("the end of a sequence");
                    let (arguments, behind) = rest.as_str().split_at(end);
                    self.obey(arguments, behind.chars().next().expect("a letter"));
                    rest = behind[1..].chars();
                }
                '\n' => {
                    self.down();
                    look(self);
                }
                '\r' => self.column = 0,
                '\x08' => self.column = self.column.saturating_sub(1),
                c => self.put(c),
            }
        }
    }

    fn put(&mut self, c: char) {
        if self.column == self.columns {
            if self.wraps {
                self.down();
                self.column = 0;
            } else {
                self.column -= 1;
            }
        }
        let row = &mut self.rows[self.row];
        if row.len() <= self.column {
            row.resize(self.column + 1, ' ');
        }
        row[self.column] = c;
        self.column += 1;
    }

    fn down(&mut self) {
        self.row += 1;
        if self.row == self.rows.len() {
            self.rows.push(Vec::new());
        }
    }

    fn obey(&mut self, arguments: &str, what: char) {
        match (arguments, what) {
            (count, 'A') => self.row = self.row.saturating_sub(count.parse().expect("a count")),
            ("" | "0", 'J') => {
                self.rows.truncate(self.row + 1);
                self.rows[self.row].truncate(self.column);
            }
            ("?7", 'l' | 'h') => self.wraps = what == 'h',
            ("?25", 'l' | 'h') => self.cursor = what == 'h',
            (_, 'm') => {}
            other => panic!("a sequence that this screen does not know: {other:?}"),
        }
    }
}

/// Runs a command line of the shell on a terminal of so many columns, to its end. What it wrote to the terminal, both outputs,
/// stands in [`Ended::out`].
pub fn on_a_terminal(columns: usize, command: &str) -> Ended {
    let command = format!("stty cols {columns} rows 24; exec {command}");
    run(Command::new("script")
        .args(["--quiet", "--flush", "--return", "--command", &command, "/dev/null"])
        .env("TERM", "xterm"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_that_wraps_leaves_something_behind() {
        let mut screen = Screen::new(4);
        screen.show("abcdef\r\n\x1b[1A\x1b[Jxy\r\n", |_| ());
        assert_eq!(screen.lines(), ["abcd", "xy", ""]);
        let mut screen = Screen::new(4);
        screen.show("\x1b[?7labcdef\r\n\x1b[?7h\x1b[1A\x1b[Jxy\r\n", |_| ());
        assert_eq!((screen.lines(), screen.wraps()), (vec!["xy".to_owned(), String::new()], true));
    }
}
