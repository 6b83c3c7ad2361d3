//! Which module uses which: every path followed to the file that defines what it names.

use std::collections::{BTreeMap, BTreeSet};

use crate::imports;
use crate::source::{Crate, Workspace};

/// A module: the crate, and its path there.
pub(crate) type Node = (String, Vec<String>);

/// For each module those that it uses.
pub(crate) fn of_modules(workspace: &Workspace) -> BTreeMap<Node, BTreeSet<Node>> {
    let mut graph = BTreeMap::new();
    for (crate_name, krate) in &workspace.crates {
        for (path, module) in &krate.modules {
            let node = (crate_name.clone(), path.clone());
            let scope = Scope { workspace, crate_name, krate, path };
            let written = module.imports.iter().map(|import| import.path.clone());
            let mut used: BTreeSet<Node> = written
                .filter_map(|path| scope.definer(&path, true))
                .chain(imports::paths_in(&module.items).iter().filter_map(|path| scope.definer(path, false)))
                .collect();
            used.remove(&node);
            graph.insert(node, used);
        }
    }
    graph
}

/// Where a path is written.
struct Scope<'a> {
    workspace: &'a Workspace,
    crate_name: &'a str,
    krate: &'a Crate,
    path: &'a [String],
}

impl Scope<'_> {
    /// The module that defines what the path names. A `use` of a module as such uses nothing yet: the paths that begin
    /// with it do.
    fn definer(&self, path: &[String], of_use: bool) -> Option<Node> {
        let (crate_name, absolute) = self.absolute(path, 0)?;
        let krate = self.workspace.crates.get(&crate_name)?;
        let (module, is_module) = follow(self.workspace, &crate_name, krate, &absolute, 0)?;
        if is_module && of_use { None } else { Some(module) }
    }

    /// The path from a crate's root on.
    fn absolute(&self, path: &[String], depth: usize) -> Option<Node> {
        let (first, rest) = path.split_first()?;
        let own = |base: &[String], rest: &[String]| (self.crate_name.to_owned(), [base, rest].concat());
        match first.as_str() {
            "crate" => Some(own(&[], rest)),
            "self" => Some(own(self.path, rest)),
            "super" => {
                let mut base = self.path;
                let mut rest = path;
                while rest.first().is_some_and(|name| name == "super") {
                    base = base.split_last()?.1;
                    rest = &rest[1..];
                }
                Some(own(base, rest))
            }
            name if self.workspace.crates.contains_key(name) => Some((name.to_owned(), rest.to_vec())),
            name => {
                let child = [self.path, std::slice::from_ref(first)].concat();
                if self.krate.modules.contains_key(&child) {
                    return Some(own(&child, rest));
                }
                // Deeper than any chain of imports: a name imported from itself.
                if depth > 8 {
                    return None;
                }
                let module = self.krate.modules.get(self.path)?;
                let import =
                    module.imports.iter().find(|import| import.name == name && import.path != path)?;
                self.absolute(&[import.path.as_slice(), rest].concat(), depth + 1)
            }
        }
    }
}

/// Follows a path through modules and their re-exports; whether it ends at a module.
fn follow(
    workspace: &Workspace,
    crate_name: &str,
    krate: &Crate,
    path: &[String],
    depth: usize,
) -> Option<(Node, bool)> {
    let mut at = 0;
    while at < path.len() && krate.modules.contains_key(&path[..=at]) {
        at += 1;
    }
    let here = &path[..at];
    let module = krate.modules.get(here)?;
    let node = (crate_name.to_owned(), here.to_vec());
    let Some(name) = path.get(at) else { return Some((node, true)) };
    if depth < 8
        && let Some(import) = module.imports.iter().find(|import| import.public && import.name == *name)
    {
        let scope = Scope { workspace, crate_name, krate, path: here };
        let rest = &path[at + 1..];
        if let Some((crate_name, absolute)) = scope.absolute(&[import.path.as_slice(), rest].concat(), 0)
            && let Some(krate) = workspace.crates.get(&crate_name)
        {
            return follow(workspace, &crate_name, krate, &absolute, depth + 1);
        }
    }
    Some((node, false))
}

/// A graph of names, such as the top modules of a crate.
pub(crate) type Names = BTreeMap<String, BTreeSet<String>>;

/// Which top module of a crate uses which other one.
pub(crate) fn of_top_modules(graph: &BTreeMap<Node, BTreeSet<Node>>, crate_name: &str) -> Names {
    let mut names = Names::new();
    for ((from_crate, from), used) in graph {
        let Some(top) = from.first().filter(|_| from_crate == crate_name) else { continue };
        let entry = names.entry(top.clone()).or_default();
        let others = used.iter().filter(|(krate, _)| krate == crate_name);
        entry.extend(others.filter_map(|(_, path)| path.first()).filter(|other| *other != top).cloned());
    }
    names
}

/// Which crate uses which.
pub(crate) fn of_crates(graph: &BTreeMap<Node, BTreeSet<Node>>) -> Names {
    let mut names = Names::new();
    for ((from, _), used) in graph {
        let entry = names.entry(from.clone()).or_default();
        entry.extend(used.iter().map(|(krate, _)| krate).filter(|krate| *krate != from).cloned());
    }
    names
}
