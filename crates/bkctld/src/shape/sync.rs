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
