//! From trees to a draft of the plan: each table by its own reader, each value by its type, every error collected.

mod action;
mod cursor;
mod headers;
mod health;
mod leaf;
mod networks;
mod redirect;
mod route;
mod server;
mod split;
mod tls;
mod upstream;

use std::collections::HashMap;
use std::sync::Arc;

use crate::address::ListenAddress;
use crate::diagnostic::Diagnostic;
use crate::files::Document;
use crate::options;
use crate::plan::{AccessLog, Limits, Listener, Runtime, Timeouts, Upstream};
use crate::source::{Place, Source};
use crate::tree::{Node, Table, Value};

pub(crate) use action::{check_folder, default_files};
pub(crate) use cursor::{Cursor, Notes};
pub(crate) use route::RouteDraft;
pub(crate) use server::{default_listener, limits, runtime, timeouts};
pub(crate) use tls::check_files;
pub(crate) use upstream::{defaults as upstream_defaults, plain_server};

/// What the files say, before one part is held against another.
#[derive(Default)]
pub(crate) struct Draft {
    pub(crate) runtime: Option<Runtime>,
    pub(crate) limits: Option<Limits>,
    pub(crate) timeouts: Option<Timeouts>,
    pub(crate) admin: Option<(Place, ListenAddress)>,
    pub(crate) access_log: Option<AccessLog>,
    pub(crate) listeners: Vec<(Place, Option<Listener>)>,
    pub(crate) routes: Vec<RouteDraft>,
    pub(crate) upstreams: Vec<UpstreamDraft>,
    /// Tables that may stand in one file only, and where they do.
    once: HashMap<&'static str, Place>,
}

/// An upstream, also one with errors: its name must still be known to the routes.
pub(crate) struct UpstreamDraft {
    pub(crate) place: Place,
    pub(crate) name: String,
    pub(crate) upstream: Option<Upstream>,
}

impl Draft {
    /// Reads one file into the draft.
    pub(crate) fn add(&mut self, document: &Document, notes: &Notes) {
        let source = &document.source;
        let mut file = Cursor::new(&options::FILE, String::new(), source, &document.table, 0..0, notes);
        file.texts("include");
        if let Some(table) = self.once(&mut file, "runtime") {
            self.runtime = Some(runtime(table));
        }
        if let Some(table) = self.once(&mut file, "admin") {
            self.admin = server::admin(&table);
        }
        if let Some(log) = self.once(&mut file, "log") {
            self.access_log = log.section("access").and_then(server::access_log);
        }
        if let Some(table) = self.once(&mut file, "limits") {
            self.limits = Some(limits(table));
        }
        if let Some(table) = self.once(&mut file, "timeouts") {
            self.timeouts = Some(timeouts(table));
        }
        for table in file.sections("listener") {
            self.listeners.push((table.place(), server::listener(table)));
        }
        for table in file.sections("route") {
            self.routes.push(route::route(table));
        }
        for (name, table) in file.named("upstream") {
            self.add_upstream(name, table, notes);
        }
    }

    fn add_upstream(&mut self, name: &str, table: Cursor<'_>, notes: &Notes) {
        let place = table.place();
        let upstream = upstream::upstream(name, table);
        if let Some(first) = self.upstreams.iter().find(|u| u.name == name) {
            let twice = Diagnostic::error(format!("the upstream `{name}` is given twice"));
            notes.push(twice.at(place).expected("a second time here").related(&first.place, "first here"));
            return;
        }
        self.upstreams.push(UpstreamDraft { place, name: name.to_owned(), upstream });
    }

    /// A table that can be given once over all files.
    fn once<'a>(&mut self, file: &mut Cursor<'a>, key: &'static str) -> Option<Cursor<'a>> {
        let table = file.section(key)?;
        match self.once.get(key) {
            None => {
                self.once.insert(key, table.place());
            }
            Some(first) => table.notes().push(
                Diagnostic::error(format!("`[{key}]` is given in two files"))
                    .at(table.place())
                    .expected("a second time here")
                    .related(first, "first here"),
            ),
        }
        Some(table)
    }
}

/// Runs a reader on an empty table: what it returns is made of defaults.
pub(crate) fn with_defaults<T>(section: &'static options::Section, read: impl FnOnce(Cursor<'_>) -> T) -> T {
    let source = Arc::new(Source::new(String::new(), Default::default(), String::new()));
    let (table, notes) = (Table::default(), Notes::default());
    read(Cursor::new(section, section.path.to_owned(), &source, &table, 0..0, &notes))
}

/// The items of a list, if it is one.
fn items_of(node: &Node) -> Option<&[Node]> {
    match &node.value {
        Value::List(items) => Some(items),
        _ => None,
    }
}
