//! Imports that go round: among the top modules of a crate, and among files that are not parent and child.

use std::collections::BTreeMap;
use std::fmt;

use petgraph::algo::tarjan_scc;
use petgraph::graphmap::DiGraphMap;

use crate::graph::{self, Node};
use crate::source::Workspace;

/// Modules each of which uses, by way of the others, itself.
#[derive(Debug, PartialEq, Eq)]
pub struct Circle {
    /// What they are: the top modules of which crate, or files.
    pub of: String,
    /// One line for each arrow that lies within the circle.
    pub arrows: Vec<String>,
}

impl fmt::Display for Circle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.of)?;
        self.arrows.iter().try_for_each(|arrow| write!(f, "\n    {arrow}"))
    }
}

/// All of them, those of the top modules first.
pub fn find(workspace: &Workspace) -> Vec<Circle> {
    let modules = graph::of_modules(workspace);
    let mut circles = Vec::new();
    for name in workspace.crates.keys() {
        let tops = graph::of_top_modules(&modules, name);
        let arrows =
            tops.iter().flat_map(|(from, used)| used.iter().map(move |to| (from.as_str(), to.as_str())));
        let what = format!("top modules of {name} in a circle");
        // By which files, since that is where it is mended.
        let by = |from: &str, to: &str| by_files(&modules, name, from, to);
        circles.extend(circles_among(&what, arrows, by));
    }
    let arrows = modules.iter().flat_map(|(from, used)| used.iter().map(move |to| (from, to)));
    let named: BTreeMap<&Node, String> = modules.keys().map(|node| (node, shown(node))).collect();
    let strangers = arrows.filter(|(from, to)| !parent_and_child(from, to) && named.contains_key(to));
    let arrows = strangers.map(|(from, to)| (named[from].as_str(), named[to].as_str()));
    circles.extend(circles_among("files in a circle", arrows, |from, to| format!("{from} -> {to}")));
    circles
}

fn circles_among<'a>(
    what: &str,
    arrows: impl Iterator<Item = (&'a str, &'a str)>,
    line: impl Fn(&str, &str) -> String,
) -> Vec<Circle> {
    let graph: DiGraphMap<&str, ()> = DiGraphMap::from_edges(arrows);
    let parts = tarjan_scc(&graph).into_iter().filter(|part| part.len() > 1);
    parts
        .map(|part| {
            let within = graph.all_edges().filter(|(from, to, ())| part.contains(from) && part.contains(to));
            let mut arrows: Vec<String> = within.map(|(from, to, ())| line(from, to)).collect();
            arrows.sort_unstable();
            Circle { of: what.to_owned(), arrows }
        })
        .collect()
}

fn by_files(
    modules: &BTreeMap<Node, std::collections::BTreeSet<Node>>,
    crate_name: &str,
    from: &str,
    to: &str,
) -> String {
    let starts =
        |node: &Node, name: &str| node.0 == crate_name && node.1.first().is_some_and(|first| first == name);
    let mut lines = Vec::new();
    for (user, used) in modules.iter().filter(|(user, _)| starts(user, from)) {
        for other in used.iter().filter(|other| starts(other, to)) {
            lines.push(format!("{} -> {}", user.1.join("::"), other.1.join("::")));
        }
    }
    format!("{from} -> {to}: {}", lines.join(", "))
}

/// The root is the parent of the top modules.
fn parent_and_child(one: &Node, other: &Node) -> bool {
    let is_parent = |parent: &Node, child: &Node| {
        parent.0 == child.0 && child.1.split_last().is_some_and(|(_, above)| above == parent.1)
    };
    is_parent(one, other) || is_parent(other, one)
}

fn shown((crate_name, path): &Node) -> String {
    std::iter::once(crate_name.as_str()).chain(path.iter().map(String::as_str)).collect::<Vec<_>>().join("::")
}
