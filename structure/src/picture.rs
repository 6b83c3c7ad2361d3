//! The picture: every crate and its top modules, each above what it uses.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::graph::{self, Names};
use crate::source::Workspace;

/// Where docs/architecture.md has the picture.
pub const BEGIN: &str = "<!-- drawn by `cargo run -p structure -- picture` -->";
/// Where it ends there.
pub const END: &str = "<!-- end of the picture -->";

/// The picture as text: a line for each module, which points only to lines below it. Where an arrow follows from others
/// it is left out.
pub fn draw(workspace: &Workspace) -> String {
    let modules = graph::of_modules(workspace);
    let crates = graph::of_crates(&modules);
    let mut out = String::new();
    for name in downwards(&crates) {
        let used = reduced(&crates, &name);
        let _ = writeln!(
            out,
            "{}",
            line(&name.replace('_', "-"), &used.iter().map(|n| n.replace('_', "-")).collect())
        );
        let tops = graph::of_top_modules(&modules, &name);
        for module in downwards(&tops) {
            let _ = writeln!(out, "  {}", line(&module, &reduced(&tops, &module)));
        }
        out.push('\n');
    }
    out.pop();
    out
}

/// Whether the picture has one place, a crate and its top module, not above the other one.
pub fn is_below_or_beside(workspace: &Workspace, from: &(String, String), to: &(String, String)) -> bool {
    let modules = graph::of_modules(workspace);
    if from.0 != to.0 {
        return !reach(&graph::of_crates(&modules), &to.0).contains(&from.0);
    }
    from.1 == to.1 || !reach(&graph::of_top_modules(&modules, &from.0), &to.1).contains(&from.1)
}

fn line(name: &str, used: &BTreeSet<String>) -> String {
    if used.is_empty() {
        return name.to_owned();
    }
    let used: Vec<&str> = used.iter().map(String::as_str).collect();
    format!("{name:<16} -> {}", used.join(" "))
}

/// Every name before those it uses; of several the first in the alphabet. Names in a circle come last.
fn downwards(names: &Names) -> Vec<String> {
    let mut left: Names = names.clone();
    let mut order = Vec::new();
    while !left.is_empty() {
        let used: BTreeSet<&String> = left.values().flatten().collect();
        let free = left.keys().find(|name| !used.contains(name));
        let Some(next) = free.or_else(|| left.keys().next()).cloned() else { break };
        left.remove(&next);
        order.push(next);
    }
    order
}

/// What a name uses itself, without what those use anyway.
fn reduced(names: &Names, name: &str) -> BTreeSet<String> {
    let direct = names.get(name).cloned().unwrap_or_default();
    let beyond: BTreeSet<String> = direct.iter().flat_map(|used| reach(names, used)).collect();
    direct.difference(&beyond).cloned().collect()
}

/// All that can be reached from a name, without itself.
fn reach(names: &Names, from: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut next = vec![from.to_owned()];
    while let Some(name) = next.pop() {
        for used in names.get(&name).into_iter().flatten() {
            if used != from && found.insert(used.clone()) {
                next.push(used.clone());
            }
        }
    }
    found
}
