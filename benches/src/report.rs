//! Figures into tables, and tables into evidence.

use std::{fs, io, path::Path};

use serde::Serialize;
use serde_json::Value;

use crate::machine::Machine;

/// The middle and the ends of repeated figures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The middle one; the mean of the two middle ones of an even count.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// Of at least one figure; all zero of none.
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Spread {
        let mut sorted: Vec<f64> = figures.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (Some(&min), Some(&max)) = (sorted.first(), sorted.last()) else {
            return Spread { median: 0.0, min: 0.0, max: 0.0 };
        };
        let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        Spread { median: f64::midpoint(low, high), min, max }
    }
}

/// A table in text and Markdown: the first column is words, the others are figures.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// A sentence above it; may be empty.
    pub title: String,
    /// The names of the columns.
    pub columns: Vec<String>,
    /// As many cells as columns.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty one.
    pub fn new(title: &str, columns: &[&str]) -> Table {
        let columns = columns.iter().map(|name| (*name).to_owned()).collect();
        Table { title: title.to_owned(), columns, rows: Vec::new() }
    }

    /// The table in Markdown, with its columns aligned so that it reads well as text too.
    pub fn markdown(&self) -> String {
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|n| {
                self.rows.iter().chain([&self.columns]).map(|row| row[n].chars().count()).max().unwrap_or(0).max(3)
            })
            .collect();
        let row = |cells: &[String]| {
            let cells = cells.iter().zip(&widths).enumerate();
            let padded = cells.map(|(n, (cell, &width))| match n {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            });
            format!("| {} |\n", padded.collect::<Vec<_>>().join(" | "))
        };
        let rule: Vec<String> = widths
            .iter()
            .enumerate()
            .map(|(n, &width)| if n == 0 { "-".repeat(width) } else { format!("{}:", "-".repeat(width - 1)) })
            .collect();
        let title = if self.title.is_empty() { String::new() } else { format!("{}\n\n", self.title) };
        title + &row(&self.columns) + &row(&rule) + &self.rows.iter().map(|cells| row(cells)).collect::<String>()
    }
}

/// A limit that a figure is held against.
#[derive(Debug, Clone, Serialize)]
pub struct Goal {
    /// "server / bare-epoll, CPU per request".
    pub what: String,
    /// The figure.
    pub figure: f64,
    /// It should be at most this.
    pub limit: f64,
    /// Missing it fails the bench under `--check`.
    pub binding: bool,
}

impl Goal {
    /// The figure keeps to its limit.
    pub fn holds(&self) -> bool {
        self.figure <= self.limit
    }

    fn line(&self) -> String {
        let verdict = if self.holds() { "holds" } else { "MISSED" };
        let kind = if self.binding { "binding" } else { "goal" };
        format!("- {verdict}: {} = {} (at most {}, {kind})\n", self.what, number(self.figure), number(self.limit))
    }
}

/// What a bench found.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// The bench's name, and the files'.
    pub bench: String,
    /// What was done, in a few sentences.
    pub method: String,
    /// The findings.
    pub tables: Vec<Table>,
    /// What they are held against.
    pub goals: Vec<Goal>,
    /// Further text in Markdown; may be empty.
    pub notes: String,
    /// Every figure as it was taken.
    pub raw: Value,
}

impl Evidence {
    /// The page in Markdown.
    pub fn markdown(&self, machine: &Machine) -> String {
        let mut page =
            format!("# {}\n\n{}, {}, commit {}.\n\n", self.bench, machine.date, machine.words, machine.commit);
        page += &format!("{}\n\n", self.method);
        page += &self.results();
        if !self.notes.is_empty() {
            page += &format!("\n{}\n", self.notes.trim_end());
        }
        page += &format!("\nVersions: {}.\n", machine.versions.join("; "));
        page
    }

    /// Tables and goals.
    pub fn results(&self) -> String {
        let mut text = self.tables.iter().map(Table::markdown).collect::<Vec<_>>().join("\n");
        if !self.goals.is_empty() {
            text.push('\n');
        }
        text + &self.goals.iter().map(Goal::line).collect::<String>()
    }

    /// Writes NAME.md and NAME.json into `folder`, over those of an earlier run of the same day.
    pub fn save(&self, machine: &Machine, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join(format!("{}.md", self.bench)), self.markdown(machine))?;
        let raw = serde_json::json!({ "machine": machine, "goals": self.goals, "figures": self.raw });
        let text = serde_json::to_string_pretty(&raw)?;
        fs::write(folder.join(format!("{}.json", self.bench)), text + "\n")
    }

    /// No binding limit is missed.
    pub fn holds(&self) -> bool {
        self.goals.iter().all(|goal| !goal.binding || goal.holds())
    }
}

/// `figure` with as many decimals as its size deserves.
pub fn number(figure: f64) -> String {
    match figure.abs() {
        size if size >= 100.0 => format!("{figure:.0}"),
        size if size >= 10.0 => format!("{figure:.1}"),
        _ => format!("{figure:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_figures() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0]).median, 2.5);
    }

    #[test]
    fn a_table_is_aligned_markdown() {
        let mut table = Table::new("About:", &["who", "us"]);
        table.rows.push(vec!["server".to_owned(), "4.5".to_owned()]);
        assert_eq!(table.markdown(), "About:\n\n| who    |  us |\n| ------ | --: |\n| server | 4.5 |\n");
    }

    #[test]
    fn only_binding_limits_fail() {
        let goal = |figure, binding| Goal { what: "x".to_owned(), figure, limit: 1.25, binding };
        let mut evidence = Evidence {
            bench: "x".to_owned(),
            method: String::new(),
            tables: Vec::new(),
            goals: vec![goal(1.25, true), goal(2.0, false)],
            notes: String::new(),
            raw: Value::Null,
        };
        assert!(evidence.holds());
        assert!(evidence.results().contains("MISSED: x = 2.00 (at most 1.25, goal)"));
        evidence.goals.push(goal(1.26, true));
        assert!(!evidence.holds());
    }
}
