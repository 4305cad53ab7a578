//! Each check is shown a broken project and must say so, and a sound one and must be silent.

use std::collections::BTreeMap;

use super::{
    Findings,
    graph::{self, Metadata},
    manifests,
    project::{self, Project, SourceFile},
    rules::{Ratchet, Rules},
    rust,
    scrub::scrub,
    sizes::{self, Function, functions},
};

fn rules() -> Rules {
    toml::from_str(include_str!("../../layers.toml")).expect("the project's own rules parse")
}

/// A workspace of one crate with one dependency, as cargo would tell it.
fn one(name: &str, folder: &str, dependency: &str, kind: &str, source: &str) -> Metadata {
    Metadata::parse(&format!(
        r#"{{"workspace_root": "/r", "workspace_members": ["p"], "resolve": {{"nodes": []}},
            "packages": [{{"id": "p", "name": "{name}", "manifest_path": "/r/{folder}/Cargo.toml",
            "dependencies": [{{"name": "{dependency}", "kind": {kind}, "source": {source}}}],
            "targets": [{{"name": "{name}", "src_path": "/r/{folder}/src/lib.rs"}}]}}]}}"#
    ))
    .expect("the test's own JSON parses")
}

fn ours(name: &str, folder: &str, dependency: &str, kind: &str) -> Vec<String> {
    graph_errors(&one(name, folder, dependency, kind, "null"))
}

/// What the graph check says, without the crates that the little workspace lacks.
fn graph_errors(metadata: &Metadata) -> Vec<String> {
    let mut found = Findings::default();
    graph::check(&rules(), metadata, &mut found);
    found.errors.into_iter().filter(|error| !error.contains("the workspace has no crate")).collect()
}

fn files(list: &[(&str, &str)]) -> Project {
    Project { files: list.iter().map(|(path, text)| SourceFile::new(*path, *text)).collect() }
}

fn project_errors(list: &[(&str, &str)]) -> Vec<String> {
    let mut found = Findings::default();
    project::check(&files(list), &mut found);
    found.errors
}

fn rust_errors(path: &str, text: &str) -> Vec<String> {
    let mut found = Findings::default();
    let metadata = one("http1", "crates/core/http1", "buf", "null", "null");
    rust::check(&rules(), &metadata, &files(&[(path, text)]), &mut found);
    found.errors
}

fn one_error(errors: &[String], part: &str) {
    assert!(errors.len() == 1 && errors[0].contains(part), "wanted one error with {part:?}, got {errors:#?}");
}

#[test]
fn down_and_along_an_edge_is_allowed() {
    assert_eq!(ours("http1", "crates/core/http1", "buf", "null"), [""; 0]);
    assert_eq!(ours("net", "crates/engine/net", "event-loop", "null"), [""; 0]);
    assert_eq!(ours("app", "crates/app/app", "serve", "null"), [""; 0]);
}

#[test]
fn up_and_across_is_an_error() {
    one_error(&ours("http1", "crates/core/http1", "net", "null"), "points up, from layer core to engine");
    one_error(&ours("http1", "crates/core/http1", "router", "null"), "no edge \"http1 -> router\"");
    one_error(&ours("event-loop", "crates/engine/event-loop", "net", "null"), "no edge");
    one_error(&ours("buf", "crates/foundation/buf", "app", "\"dev\""), "points up");
}

#[test]
fn the_test_kit_is_for_tests() {
    assert_eq!(ours("buf", "crates/foundation/buf", "testkit", "\"dev\""), [""; 0]);
    one_error(&ours("http1", "crates/core/http1", "testkit", "null"), "make it a dev-dependency");
    assert_eq!(ours("tests", "tests", "testkit", "null"), [""; 0]);
}

#[test]
fn another_layers_packages_are_banned() {
    let registry = "\"registry+x\"";
    one_error(&graph_errors(&one("serve", "crates/service/serve", "mio", "null", registry)), "bans mio");
    assert_eq!(graph_errors(&one("net", "crates/engine/net", "mio", "null", registry)), [""; 0]);
    assert_eq!(graph_errors(&one("serve", "crates/service/serve", "mio", "\"dev\"", registry)), [""; 0]);
}

#[test]
fn a_crate_has_a_layer_and_stands_in_its_folder() {
    one_error(&ours("stray", "crates/core/stray", "buf", "null"), "in no layer");
    one_error(&ours("http1", "crates/service/http1", "buf", "null"), "belongs in crates/core/");
}

#[test]
fn an_edge_out_of_its_layer_is_an_error() {
    let mut rules = rules();
    rules.layer[1].edges.push("http1 -> net".to_owned());
    let mut found = Findings::default();
    graph::check(&rules, &one("http1", "crates/core/http1", "buf", "null", "null"), &mut found);
    assert!(found.errors.iter().any(|error| error.contains("leaves the layer core")), "{:?}", found.errors);
}

#[test]
fn tokio_may_not_bring_a_runtime() {
    let text = |features: &str| {
        format!(
            r#"{{"workspace_root": "/r", "workspace_members": [], "resolve": {{"nodes": [{{"id": "t", "features": {features}}}]}},
            "packages": [{{"id": "t", "name": "tokio", "manifest_path": "/t/Cargo.toml", "dependencies": [], "targets": []}}]}}"#
        )
    };
    let metadata = |features| Metadata::parse(&text(features)).expect("the test's own JSON parses");
    one_error(&graph_errors(&metadata(r#"["io-util", "rt"]"#)), "\"rt\" is on");
    assert_eq!(graph_errors(&metadata(r#"["io-util"]"#)), [""; 0]);
}

#[test]
fn unsafe_belongs_to_the_engine() {
    let code = "//! x\nfn f() { unsafe { g() } }\n";
    one_error(&rust_errors("crates/core/http1/src/x.rs", code), "x.rs:2: unsafe");
    assert_eq!(rust_errors("crates/engine/net/src/x.rs", code), [""; 0]);
    let words_only = "//! unsafe\n/* unsafe */ #![forbid(unsafe_code)] const A: &str = \"unsafe\";\n";
    assert_eq!(rust_errors("crates/core/http1/src/x.rs", words_only), [""; 0]);
}

#[test]
fn unfinished_marks_are_errors() {
    let marks = [concat!("to", "do"), concat!("unimple", "mented"), concat!("d", "bg")];
    for mark in marks {
        one_error(&rust_errors("xtask/src/x.rs", &format!("//! x\nfn f() {{ {mark}!() }}\n")), &format!("{mark}!"));
    }
    assert_eq!(rust_errors("xtask/src/x.rs", "//! x\nfn f() { todo_list(); }\n"), [""; 0]);
}

#[test]
fn a_crate_says_what_it_is() {
    one_error(&rust_errors("crates/core/http1/src/lib.rs", "mod a;\n"), "no `//!` header");
    assert_eq!(rust_errors("crates/core/http1/src/lib.rs", "//! Framing.\nmod a;\n"), [""; 0]);
}

#[test]
fn machine_paths_are_found_and_other_paths_are_not() {
    let folder = concat!("/ro", "ot/");
    one_error(&project_errors(&[("a.md", &format!("see\n{folder}x"))]), "a.md:2");
    one_error(&project_errors(&[("a.md", &format!("root = \"{folder}x\""))]), "a.md:1");
    let fine = format!("http://h{folder}x and ..{folder}x and $DIR{folder} and srv{folder}x");
    assert!(project_errors(&[("a.md", &fine.replace("$DIR", "${DIR}"))]).is_empty());
}

#[test]
fn every_example_is_started_by_a_test() {
    let example = ("configs/proxy.toml", "");
    one_error(&project_errors(&[example]), "configs/proxy.toml: no test");
    assert!(project_errors(&[example, ("tests/config/a.rs", "start(\"proxy.toml\")")]).is_empty());
    assert!(project_errors(&[example, ("tests/config/a.rs", "for f in read_dir(\"configs\") {}")]).is_empty());
    one_error(&project_errors(&[example, ("README.md", "proxy.toml")]), "no test");
}

#[test]
fn only_code_is_left_after_scrubbing() {
    for (text, code) in [
        ("a // b\nc", "a     \nc"),
        ("a /* b /* c */ d */ e", "a                   e"),
        (r#"f("x\"y", 'a', '\'', '"')"#, "f(      ,    ,     ,    )"),
        ("r#\"a\"b\"# + br\"c\";", "         +      ;"),
        ("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}"),
        ("let r#fn = 'é';", "let r#fn =     ;"),
    ] {
        assert_eq!(scrub(text).trim_end(), code.trim_end(), "{text}");
    }
    for broken in ["\"", "r#\"", "/*", "'", "'\\", "b", "\"\\"] {
        assert_eq!(scrub(broken).len(), broken.len(), "{broken}");
    }
}

#[test]
fn functions_are_measured_by_their_braces() {
    let text = "trait T { fn none(&self) -> [u8; 3]; }\nfn one() {}\nfn three<F: Fn(u8)>(f: fn(u8) -> u8) -> [u8; 2]\nwhere\n    F: Copy,\n{\n    let s = \"}\";\n    if true { loop {} }\n}\n";
    let found = functions(&SourceFile::new("a.rs", text));
    let expected = [("one", 1), ("three", 7)].map(|(name, lines)| Function { name: name.to_owned(), lines });
    assert_eq!(found, expected);
}

fn sized(path: &str, text: &str, ratchet: &Ratchet) -> Findings {
    let mut found = Findings::default();
    sizes::check(&rules(), ratchet, &files(&[(path, text)]), &mut found);
    found
}

#[test]
fn long_files_and_functions_are_errors_and_habits_are_notes() {
    let none = Ratchet::default();
    let function = |lines: usize| format!("fn f() {{\n{}}}\n", "x();\n".repeat(lines - 2));
    assert!(sized("a.rs", &function(60), &none).notes.is_empty());
    assert_eq!(sized("a.rs", &function(61), &none).notes.len(), 1);
    assert!(sized("a.rs", &function(100), &none).errors.is_empty());
    one_error(&sized("a.rs", &function(101), &none).errors, "a.rs::f: 101 lines");
    assert_eq!(sized("a.rs", &"\n".repeat(401), &none).notes.len(), 1);
    one_error(&sized("a.rs", &"\n".repeat(801), &none).errors, "801 lines");
    assert!(sized("a.md", &"\n".repeat(801), &none).errors.is_empty());
}

#[test]
fn exceptions_only_shrink() {
    let listed = |lines| Ratchet { files: BTreeMap::from([("a.rs".to_owned(), lines)]), functions: BTreeMap::new() };
    let file = |lines| "\n".repeat(lines);
    assert!(sized("a.rs", &file(900), &listed(900)).errors.is_empty());
    one_error(&sized("a.rs", &file(901), &listed(900)).errors, "may only shrink");
    one_error(&sized("a.rs", &file(899), &listed(900)).errors, "lower its exception");
    one_error(&sized("a.rs", &file(700), &listed(900)).errors, "take its exception out");
    one_error(&sized("b.rs", "", &listed(900)).errors, "is gone");
}

fn manifest_errors(name: &str, folder: &str, manifest: &str, workspace: &str, more: &[(&str, &str)]) -> Vec<String> {
    let path = format!("{folder}/Cargo.toml");
    let mut list = vec![("Cargo.toml", workspace), (path.as_str(), manifest)];
    list.extend(more);
    let mut found = Findings::default();
    manifests::check(&rules(), &one(name, folder, "memchr", "null", "\"r\""), &files(&list), &mut found);
    found.errors.into_iter().filter(|error| !error.contains("clippy.toml: missing")).collect()
}

const WORKSPACE: &str = "[workspace.dependencies]\nmemchr = \"2\"\n[workspace.lints.rust]\nunsafe_code = \"forbid\"\n";
const PAGE: (&str, &str) = ("ARCHITECTURE.md", "| `memchr` | finds bytes |");

#[test]
fn lints_are_inherited() {
    let inherit = "[lints]\nworkspace = true\n";
    let core = |manifest, workspace| manifest_errors("http1", "crates/core/http1", manifest, workspace, &[PAGE]);
    assert_eq!(core(inherit, WORKSPACE), [""; 0]);
    one_error(&core("[lints.rust]\nunsafe_code = \"forbid\"\n", WORKSPACE), "must inherit");
    one_error(&core(inherit, "[workspace.dependencies]\nmemchr = \"2\"\n"), "unsafe_code");
    let engine = |manifest| manifest_errors("net", "crates/engine/net", manifest, WORKSPACE, &[PAGE]);
    assert_eq!(engine("[lints.rust]\n").len(), 4);
    assert_eq!(engine(include_str!("../../../crates/engine/net/Cargo.toml")), [""; 0]);
}

#[test]
fn dependencies_are_listed_used_and_explained() {
    let inherit = "[lints]\nworkspace = true\n";
    let errors = |workspace: &str, more: &[_]| manifest_errors("http1", "crates/core/http1", inherit, workspace, more);
    one_error(&errors(WORKSPACE, &[]), "ARCHITECTURE.md: its list of dependencies says nothing of `memchr`");
    let extra = WORKSPACE.replace("memchr", "slab = { path = \"x\" }\nmemchr");
    one_error(&errors(&extra, &[PAGE]), "no crate uses the workspace dependency slab");
    let none = WORKSPACE.replace("memchr = \"2\"\n", "");
    one_error(&errors(&none, &[PAGE]), "memchr is not in [workspace.dependencies]");
}

#[test]
fn a_crate_may_not_hide_its_layers_bans() {
    let shadow = ("crates/core/http1/clippy.toml", "");
    let errors =
        manifest_errors("http1", "crates/core/http1", "[lints]\nworkspace = true\n", WORKSPACE, &[PAGE, shadow]);
    one_error(&errors, "hides the bans");
}
