//! The paths that a file names: its `use` lines, and every path of two names or more in its code.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::Visit;
use syn::{Item, UseTree};

use crate::source::{for_tests, is_public};

/// A name that `use` gives to a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Import {
    /// The name in this file; `*` for all of a module.
    pub name: String,
    /// The path as it is written.
    pub path: Vec<String>,
    /// Whether others may reach the path by this name: a re-export.
    pub public: bool,
}

/// What the `use` lines of a file name.
pub(crate) fn of_items(items: &[Item]) -> Vec<Import> {
    let mut imports = Vec::new();
    for item in items {
        if let Item::Use(item) = item {
            flatten(&item.tree, &mut Vec::new(), is_public(&item.vis), &mut imports);
        }
    }
    imports
}

fn flatten(tree: &UseTree, path: &mut Vec<String>, public: bool, imports: &mut Vec<Import>) {
    let import = |name: String, path: &[String]| Import { name, path: path.to_vec(), public };
    match tree {
        UseTree::Path(part) => {
            path.push(part.ident.to_string());
            flatten(&part.tree, path, public, imports);
            path.pop();
        }
        UseTree::Group(group) => {
            for tree in &group.items {
                flatten(tree, path, public, imports);
            }
        }
        UseTree::Glob(_) => imports.push(import("*".to_owned(), path)),
        UseTree::Name(name) if name.ident == "self" => {
            if let Some(last) = path.last() {
                imports.push(import(last.clone(), path));
            }
        }
        UseTree::Name(name) => {
            let whole = [path.as_slice(), &[name.ident.to_string()]].concat();
            imports.push(import(name.ident.to_string(), &whole));
        }
        UseTree::Rename(rename) => {
            let whole = match rename.ident.to_string() {
                own if own == "self" => path.clone(),
                name => [path.as_slice(), &[name]].concat(),
            };
            imports.push(import(rename.rename.to_string(), &whole));
        }
    }
}

/// Every path of two names or more in the code, also where a macro takes it.
pub(crate) fn paths_in(items: &[Item]) -> BTreeSet<Vec<String>> {
    let mut paths = Paths::default();
    for item in items {
        paths.visit_item(item);
    }
    paths.found
}

#[derive(Default)]
struct Paths {
    found: BTreeSet<Vec<String>>,
}

impl Paths {
    fn add(&mut self, path: Vec<String>) {
        if path.len() > 1 {
            self.found.insert(path);
        }
    }

    fn in_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(name) => {
                    if colons != 2 {
                        self.add(std::mem::take(&mut path));
                    }
                    path.push(name.to_string());
                    colons = 0;
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' => colons += 1,
                other => {
                    self.add(std::mem::take(&mut path));
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.in_tokens(group.stream());
                    }
                }
            }
        }
        self.add(path);
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item(&mut self, item: &'ast Item) {
        if !matches!(item, Item::Use(_)) && !for_tests(crate::source::attributes(item)) {
            syn::visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        // One within a function.
        let mut imports = Vec::new();
        flatten(&item.tree, &mut Vec::new(), false, &mut imports);
        imports.into_iter().for_each(|import| self.add(import.path));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.add(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        syn::visit::visit_path(self, path);
    }

    // What an attribute is given becomes code.
    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if let syn::Meta::List(list) = &attribute.meta {
            self.in_tokens(list.tokens.clone());
        }
    }

    fn visit_macro(&mut self, invocation: &'ast syn::Macro) {
        self.visit_path(&invocation.path);
        self.in_tokens(invocation.tokens.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_of_a_use_line_is_one_import_for_each_name() {
        let file = syn::parse_file("pub use a::{self, b::C, d::{E as F, g::*}};").unwrap();
        let found: Vec<(String, String)> =
            of_items(&file.items).into_iter().map(|i| (i.name, i.path.join("::"))).collect();
        let expected = [("a", "a"), ("C", "a::b::C"), ("F", "a::d::E"), ("*", "a::d::g")]
            .map(|(n, p)| (n.to_owned(), p.to_owned()));
        assert_eq!(found, expected);
    }

    #[test]
    fn paths_within_macros_and_attributes_count_and_those_of_tests_do_not() {
        let text = "#[arg(add = r::s())] fn f() { say!(\"{}\", x::y(z::W)); } #[cfg(test)] mod tests { fn g() { u::v() } }";
        let found = paths_in(&syn::parse_file(text).unwrap().items);
        assert_eq!(found.into_iter().map(|p| p.join("::")).collect::<Vec<_>>(), ["r::s", "x::y", "z::W"]);
    }
}
