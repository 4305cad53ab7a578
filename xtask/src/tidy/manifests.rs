//! The manifests: lints inherited, dependencies taken from the workspace, used and explained; bans in place.

use toml::{Table, Value};

use super::{
    Findings, Project,
    graph::{Metadata, Package},
    rules::Rules,
};

/// Checks the workspace's manifest and every crate's.
pub(crate) fn check(rules: &Rules, metadata: &Metadata, project: &Project, found: &mut Findings) {
    match manifest(project, "Cargo.toml", found) {
        None => found.error("Cargo.toml: missing"),
        Some(workspace) => {
            if at(&workspace, &["workspace", "lints", "rust", "unsafe_code"]).and_then(Value::as_str) != Some("forbid")
            {
                found.error("Cargo.toml: [workspace.lints.rust] must have unsafe_code = \"forbid\"");
            }
            dependencies(&workspace, metadata, project, found);
        }
    }
    for member in metadata.members() {
        let path = metadata.relative(&member.manifest_path);
        if let Some(table) = manifest(project, path, found) {
            lints(rules, member, path, &table, found);
        }
    }
    for layer in rules.layer.iter().filter(|layer| layer.path.starts_with("crates/")) {
        let bans = format!("{}/clippy.toml", layer.path);
        if project.file(&bans).is_none() {
            found.error(format!("{bans}: missing, so nothing is banned in the layer {}", layer.name));
        }
    }
    // clippy takes the nearest file only: a crate's own would hide its layer's bans. What fuzz packages are built
    // from is no part of a layer.
    let allowed = |path: &str| {
        path.contains("/fuzz/") || rules.layer.iter().any(|layer| path == format!("{}/clippy.toml", layer.path))
    };
    for shadow in project.files.iter().filter(|file| file.path.ends_with("clippy.toml") && !allowed(&file.path)) {
        found.error(format!("{}: hides the bans of its layer; write them there", shadow.path));
    }
}

fn lints(rules: &Rules, member: &Package, path: &str, manifest: &Table, found: &mut Findings) {
    let may_be_unsafe = rules.layer_of(&member.name).is_some_and(|(_, layer)| rules.may_be_unsafe(layer));
    let inherits = at(manifest, &["lints", "workspace"]).and_then(Value::as_bool) == Some(true);
    if inherits {
        return;
    }
    if !may_be_unsafe {
        return found.error(format!("{path}: must inherit the workspace's lints ([lints] workspace = true)"));
    }
    let wanted = [
        (["lints", "rust", "unsafe_op_in_unsafe_fn"], "deny"),
        (["lints", "rust", "missing_docs"], "warn"),
        (["lints", "clippy", "undocumented_unsafe_blocks"], "warn"),
        (["lints", "clippy", "multiple_unsafe_ops_per_block"], "warn"),
    ];
    for (keys, level) in wanted {
        if at(manifest, &keys).and_then(Value::as_str) != Some(level) {
            found.error(format!("{path}: may write unsafe, so it needs {} = \"{level}\"", keys.join(".")));
        }
    }
}

/// Dependencies of other people come from the workspace's list, which holds none that is unused, and ARCHITECTURE.md
/// has a line for each.
fn dependencies(workspace: &Table, metadata: &Metadata, project: &Project, found: &mut Findings) {
    let members = metadata.members();
    let listed = at(workspace, &["workspace", "dependencies"]).and_then(Value::as_table).cloned().unwrap_or_default();
    let used = |name: &str| members.iter().any(|member| member.dependencies.iter().any(|one| one.name == name));
    let page = project.file("ARCHITECTURE.md").map(|file| file.text.as_str()).unwrap_or_default();
    for (name, value) in &listed {
        if !used(name) {
            found.error(format!("Cargo.toml: no crate uses the workspace dependency {name}"));
        }
        let ours = value.get("path").is_some();
        if !ours && !page.contains(&format!("| `{name}` |")) {
            found.error(format!("ARCHITECTURE.md: its list of dependencies says nothing of `{name}`"));
        }
    }
    for member in &members {
        for one in member.dependencies.iter().filter(|one| !listed.contains_key(&one.name)) {
            found.error(format!("{}: {} is not in [workspace.dependencies]", member.name, one.name));
        }
    }
}

fn manifest(project: &Project, path: &str, found: &mut Findings) -> Option<Table> {
    match project.file(path)?.text.parse::<Table>() {
        Ok(table) => Some(table),
        Err(error) => {
            found.error(format!("{path}: {error}"));
            None
        }
    }
}

fn at<'a>(table: &'a Table, keys: &[&str]) -> Option<&'a Value> {
    let (first, rest) = keys.split_first()?;
    rest.iter().try_fold(table.get(*first)?, |value, key| value.get(key))
}
