//! The answer of `sync`.

use std::fmt::Display;

use bkctld_core::sync::{Mirrored, Service};
use schemars::JsonSchema;
use serde::Serialize;

/// What `sync` adds to the outcome of a jail.
#[derive(Serialize, JsonSchema)]
pub struct Nodes {
    pub nodes: Vec<Node>,
}

/// What became of a jail on one server.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Node {
    /// The jail could not be mirrored there.
    Failed {
        node: String,
        /// What kept it.
        error: String,
    },
    /// What was done there, or would be.
    Mirrored { node: String, created: bool, changes: Vec<String>, service: Service },
}

impl Node {
    /// Of a jail that was not mirrored there for this reason.
    pub fn failed(node: &str, error: impl Display) -> Node {
        Node::Failed { node: node.to_owned(), error: error.to_string() }
    }

    /// Of a jail that is mirrored there.
    pub fn mirrored(node: &str, mirrored: &Mirrored) -> Node {
        let Mirrored { created, ref changes, service } = *mirrored;
        Node::Mirrored { node: node.to_owned(), created, changes: changes.clone(), service }
    }
}

/// The changes on one node, made or planned, in words, and whether there are any. A reload without changed
/// files does not count as a change.
pub fn in_words(mirrored: &Mirrored, rehearsal: bool) -> (String, bool) {
    let mut parts = Vec::new();
    if mirrored.created {
        parts.push("created".to_owned());
    }
    if !mirrored.changes.is_empty() {
        parts.push(format!("files changed: {}", mirrored.changes.len()));
    }
    parts.extend(match mirrored.service {
        Service::Start => Some("started".to_owned()),
        Service::Stop => Some("stopped".to_owned()),
        Service::Reload if !parts.is_empty() => Some("reloaded".to_owned()),
        Service::Reload | Service::Leave => None,
    });
    match (parts.is_empty(), rehearsal) {
        (true, _) => ("up to date".to_owned(), false),
        (false, true) => (format!("would be: {}", parts.join(", ")), true),
        (false, false) => (parts.join(", "), true),
    }
}
