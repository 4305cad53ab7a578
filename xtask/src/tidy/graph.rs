//! Which crate may depend on which: `cargo metadata` against the layers.

use serde::Deserialize;

use super::{
    Findings,
    rules::{Layer, Rules},
};
use crate::shell::Outcome;

/// The part of `cargo metadata` that the checks read.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    pub(crate) workspace_members: Vec<String>,
    pub(crate) workspace_root: String,
    resolve: Option<Resolve>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) manifest_path: String,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) targets: Vec<Target>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// None: ordinary; "dev"; "build".
    pub(crate) kind: Option<String>,
    /// None: a path or a git dependency.
    pub(crate) source: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) src_path: String,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    features: Vec<String>,
}

impl Metadata {
    pub(crate) fn parse(text: &str) -> Outcome<Metadata> {
        serde_json::from_str(text).map_err(|error| format!("cargo metadata: {error}"))
    }

    /// The workspace's own packages.
    pub(crate) fn members(&self) -> Vec<&Package> {
        self.packages.iter().filter(|package| self.workspace_members.contains(&package.id)).collect()
    }

    /// A path that cargo gave, from the workspace's root on.
    pub(crate) fn relative<'a>(&self, path: &'a str) -> &'a str {
        path.strip_prefix(&self.workspace_root).map_or(path, |rest| rest.trim_start_matches('/'))
    }
}

/// Checks that every crate has a place and depends only on what its place allows, and tokio's features.
pub(crate) fn check(rules: &Rules, metadata: &Metadata, found: &mut Findings) {
    let members = metadata.members();
    for layer in &rules.layer {
        for name in layer.crates.iter().filter(|name| !members.iter().any(|member| member.name == **name)) {
            found.error(format!("layers.toml: the workspace has no crate \"{name}\" (layer {})", layer.name));
        }
        edges_are_sound(layer, &members, found);
    }
    for member in &members {
        match rules.layer_of(&member.name) {
            None => found.error(format!("{}: in no layer of layers.toml", member.name)),
            Some((height, layer)) => {
                in_its_folder(member, layer, metadata, found);
                for dependency in &member.dependencies {
                    judge(rules, (height, layer), member, dependency, found);
                }
            }
        }
    }
    tokio_features(rules, metadata, found);
}

fn edges_are_sound(layer: &Layer, members: &[&Package], found: &mut Findings) {
    for edge in &layer.edges {
        let Some((from, to)) = edge.split_once(" -> ") else {
            found.error(format!("layers.toml: \"{edge}\" is not \"from -> to\""));
            continue;
        };
        if !layer.crates.iter().any(|name| name == from) || !layer.crates.iter().any(|name| name == to) {
            found.error(format!("layers.toml: the edge {edge} leaves the layer {}", layer.name));
            continue;
        }
        let used = members.iter().any(|member| member.name == from && member.dependencies.iter().any(|d| d.name == to));
        if !used {
            found.note(format!("layers.toml: no crate uses the edge {edge}"));
        }
    }
}

fn in_its_folder(member: &Package, layer: &Layer, metadata: &Metadata, found: &mut Findings) {
    let manifest = metadata.relative(&member.manifest_path);
    let prefix = if layer.path == "." { String::new() } else { format!("{}/", layer.path) };
    if manifest != format!("{prefix}{}/Cargo.toml", member.name) {
        found.error(format!(
            "{}: of layer {}, so it belongs in {}/, not {manifest}",
            member.name, layer.name, layer.path
        ));
    }
}

fn judge(rules: &Rules, place: (usize, &Layer), member: &Package, dependency: &Dependency, found: &mut Findings) {
    let (height, layer) = place;
    let (from, to) = (&member.name, &dependency.name);
    let dev = dependency.kind.as_deref() == Some("dev");
    let Some((target_height, target)) = rules.layer_of(to).filter(|_| dependency.source.is_none()) else {
        if !dev && layer.banned.contains(to) {
            found.error(format!("{from} -> {to}: layers.toml bans {to} from the layer {}", layer.name));
        }
        return;
    };
    if rules.rules.dev_only.contains(to) {
        if !dev && layer.name != "tools" {
            found.error(format!("{from} -> {to}: {to} is for tests only; make it a dev-dependency"));
        }
        return;
    }
    if target_height > height {
        found.error(format!("{from} -> {to}: points up, from layer {} to {}", layer.name, target.name));
    } else if target_height == height && !layer.edges.contains(&format!("{from} -> {to}")) {
        found.error(format!(
            "{from} -> {to}: both are in the layer {}, and layers.toml has no edge \"{from} -> {to}\"",
            layer.name
        ));
    }
}

fn tokio_features(rules: &Rules, metadata: &Metadata, found: &mut Findings) {
    let Some(resolve) = &metadata.resolve else {
        return found.error("cargo metadata has no resolved graph: tokio's features cannot be checked");
    };
    for package in metadata.packages.iter().filter(|package| package.name == "tokio") {
        let features = resolve.nodes.iter().filter(|node| node.id == package.id).flat_map(|node| &node.features);
        for feature in features.filter(|feature| rules.rules.tokio_banned_features.contains(feature)) {
            found.error(format!("tokio's feature \"{feature}\" is on: only its traits may be used (find who asks for it: cargo tree -e features -i tokio)"));
        }
    }
}
