//! The rules as data: what `xtask/layers.toml` and `xtask/ratchet.toml` hold.

use std::collections::BTreeMap;

use serde::Deserialize;

/// `xtask/layers.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rules {
    /// From bottom to top.
    pub(crate) layer: Vec<Layer>,
    pub(crate) rules: Lists,
    pub(crate) limits: Limits,
}

/// One layer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Layer {
    pub(crate) name: String,
    /// The folder that holds the layer's crates.
    pub(crate) path: String,
    pub(crate) crates: Vec<String>,
    /// "from -> to", both in this layer.
    pub(crate) edges: Vec<String>,
    /// Packages of other people that belong to another layer.
    pub(crate) banned: Vec<String>,
}

/// Exceptions and bans that are not of one layer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lists {
    pub(crate) dev_only: Vec<String>,
    pub(crate) unsafe_layers: Vec<String>,
    pub(crate) tokio_banned_features: Vec<String>,
}

/// Lengths in lines.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    pub(crate) file_habit: usize,
    pub(crate) file_end: usize,
    pub(crate) function_habit: usize,
    pub(crate) function_end: usize,
}

/// `xtask/ratchet.toml`: lengths that are over the end, as they are now.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ratchet {
    /// By path.
    pub(crate) files: BTreeMap<String, usize>,
    /// By "path::name".
    pub(crate) functions: BTreeMap<String, usize>,
}

impl Rules {
    /// The place of a crate: its layer's height from the bottom, and the layer.
    pub(crate) fn layer_of(&self, name: &str) -> Option<(usize, &Layer)> {
        self.layer.iter().enumerate().find(|(_, layer)| layer.crates.iter().any(|one| one == name))
    }

    /// Whether the crates of `layer` may write `unsafe`.
    pub(crate) fn may_be_unsafe(&self, layer: &Layer) -> bool {
        self.rules.unsafe_layers.contains(&layer.name)
    }
}
