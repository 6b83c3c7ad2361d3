//! What a reviewer counts: the largest file, the longest function, unsafe blocks, lines of shell.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use syn::spanned::Spanned;
use syn::visit::Visit;

use crate::Result;
use crate::source::{Workspace, attributes, for_tests};

/// The measures of a checkout, a line each.
///
/// # Errors
/// A file that cannot be read; git that does not list the checkout's files.
pub fn table(workspace: &Workspace, checkout: &Path) -> Result<String> {
    let mut out = String::new();
    let mut short_docs = 0;
    let mut docs = 0;
    for (name, krate) in &workspace.crates {
        let mut sizes = Sizes::default();
        let mut largest = (0, String::new());
        let mut lines = 0;
        for (path, module) in &krate.modules {
            let length = module.text.lines().count();
            lines += length;
            largest = largest.max((length, path.join("::")));
            sizes.module = path.join("::");
            module.items.iter().for_each(|item| sizes.visit_item(item));
            for words in doc_lines(&module.text) {
                docs += 1;
                short_docs += usize::from(words <= 4);
            }
        }
        let (longest, function) = &sizes.longest;
        let _ = writeln!(
            out,
            "{name}: {lines} lines in {} files; largest {} ({}); longest function {function} ({longest} lines); {} unsafe blocks",
            krate.modules.len(),
            largest.1,
            largest.0,
            sizes.unsafe_blocks
        );
    }
    let _ = writeln!(out, "doc comments: {docs}, of four words or fewer {short_docs}");
    let mut total = 0;
    for file in shell_files(checkout)? {
        total += fs::read_to_string(checkout.join(&file)).map_or(0, |text| text.lines().count());
    }
    let _ = writeln!(out, "shell: {total} lines");
    Ok(out)
}

/// The crate and the top module of what a path names: a function, a method, a type. None if nothing is called so.
pub fn find(workspace: &Workspace, path: &str) -> Option<(String, String)> {
    let names: Vec<String> = path.split("::").map(str::to_owned).collect();
    let (krate, within) = names.split_first()?;
    let (name, place) = within.split_last()?;
    let modules = &workspace.crates.get(krate)?.modules;
    // A method stands behind its type.
    let holds = |place: &[String], kind: Option<&String>| {
        modules.get(place).is_some_and(|module| {
            let mut names = Definitions { wanted: name, kind, found: false };
            module.items.iter().for_each(|item| names.visit_item(item));
            names.found
        })
    };
    let found =
        holds(place, None) || place.split_last().is_some_and(|(kind, place)| holds(place, Some(kind)));
    found.then(|| (krate.clone(), within.first().cloned().unwrap_or_default()))
}

/// Looks for a function or a type, or for a method of the type `kind`.
struct Definitions<'a> {
    wanted: &'a str,
    kind: Option<&'a String>,
    found: bool,
}

impl<'ast> Visit<'ast> for Definitions<'_> {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.found |= self.kind.is_none() && function.sig.ident == self.wanted;
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.found |= self.kind.is_none() && item.ident == self.wanted;
    }

    fn visit_item_impl(&mut self, block: &'ast syn::ItemImpl) {
        let syn::Type::Path(of) = &*block.self_ty else { return };
        let is_kind =
            of.path.segments.last().is_some_and(|last| self.kind.is_some_and(|kind| last.ident == kind));
        let mut functions = block.items.iter().filter_map(|item| match item {
            syn::ImplItem::Fn(function) => Some(&function.sig.ident),
            _ => None,
        });
        self.found |= is_kind && functions.any(|name| name == self.wanted);
    }
}

/// How many words each doc comment of an item has, where it is one line.
fn doc_lines(text: &str) -> Vec<usize> {
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    let is_doc = |at: usize| lines.get(at).is_some_and(|line| line.starts_with("///"));
    (0..lines.len())
        .filter(|&at| is_doc(at) && !(at > 0 && is_doc(at - 1)) && !is_doc(at + 1))
        .map(|at| lines[at].trim_start_matches('/').split_whitespace().count())
        .collect()
}

#[derive(Default)]
struct Sizes {
    module: String,
    longest: (usize, String),
    unsafe_blocks: usize,
}

impl Sizes {
    fn function(&mut self, name: &syn::Ident, span: proc_macro2::Span) {
        let lines = span.end().line + 1 - span.start().line;
        if lines > self.longest.0 {
            self.longest = (lines, format!("{}::{name}", self.module));
        }
    }
}

impl<'ast> Visit<'ast> for Sizes {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !for_tests(attributes(item)) {
            syn::visit::visit_item(self, item);
        }
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.function(&function.sig.ident, function.block.span());
        syn::visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.function(&function.sig.ident, function.block.span());
        syn::visit::visit_impl_item_fn(self, function);
    }

    fn visit_expr_unsafe(&mut self, block: &'ast syn::ExprUnsafe) {
        self.unsafe_blocks += 1;
        syn::visit::visit_expr_unsafe(self, block);
    }
}

/// The files of the repository that a shell reads: by name, or by their first line.
fn shell_files(checkout: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("git").arg("-C").arg(checkout).args(["ls-files", "-z"]).output()?;
    if !output.status.success() {
        return Err(format!("git ls-files: {}", String::from_utf8_lossy(&output.stderr).trim()).into());
    }
    let names = String::from_utf8(output.stdout)?;
    let files = names.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from);
    Ok(files
        .filter(|file| file.extension().is_some_and(|e| e == "sh") || begins_as_shell(&checkout.join(file)))
        .collect())
}

fn begins_as_shell(file: &Path) -> bool {
    let Ok(text) = fs::read(file) else { return false };
    let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    first.starts_with(b"#!") && first.ends_with(b"sh")
}
