//! The crates of the workspace, read as Rust reads them: from the root file along `mod`.
//!
//! What is compiled for tests only is left out: a test may use everything.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use syn::{Item, Meta, Visibility};

use crate::Result;
use crate::imports::{self, Import};

/// The crates below `crates/`.
#[derive(Debug)]
pub struct Workspace {
    /// By the name that `use` knows them by.
    pub crates: BTreeMap<String, Crate>,
}

/// A crate's modules.
#[derive(Debug)]
pub struct Crate {
    /// By path below the crate; the root has the empty one.
    pub modules: BTreeMap<Vec<String>, Module>,
}

/// One file.
#[derive(Debug)]
pub struct Module {
    /// The file.
    pub file: PathBuf,
    /// Its text, for what is counted in lines.
    pub text: String,
    /// Its items, without those for tests.
    pub items: Vec<Item>,
    /// Which names it gives to paths by `use`.
    pub(crate) imports: Vec<Import>,
}

impl Workspace {
    /// Reads every crate below `crates/` of a checkout.
    ///
    /// # Errors
    /// A file that cannot be read or is not Rust; a `mod` without a file.
    pub fn read(checkout: &Path) -> Result<Workspace> {
        let mut crates = BTreeMap::new();
        let directory = checkout.join("crates");
        for entry in fs::read_dir(&directory).map_err(|error| format!("{}: {error}", directory.display()))? {
            let entry = entry?;
            let source = entry.path().join("src");
            let root = ["lib.rs", "main.rs"].map(|name| source.join(name)).into_iter().find(|f| f.exists());
            let Some(root) = root else { continue };
            let mut modules = BTreeMap::new();
            read_module(&root, &source, Vec::new(), &mut modules)?;
            let name = entry.file_name().to_string_lossy().replace('-', "_");
            crates.insert(name, Crate { modules });
        }
        Ok(Workspace { crates })
    }
}

/// Reads one file and the modules below it, whose files lie in `directory`.
fn read_module(
    file: &Path,
    directory: &Path,
    path: Vec<String>,
    modules: &mut BTreeMap<Vec<String>, Module>,
) -> Result<()> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let parsed = syn::parse_file(&text).map_err(|error| format!("{}: {error}", file.display()))?;
    let items: Vec<Item> = parsed.items.into_iter().filter(|item| !for_tests(attributes(item))).collect();
    for item in &items {
        let Item::Mod(module) = item else { continue };
        if module.content.is_some() {
            continue;
        }
        let name = module.ident.to_string();
        let below = directory.join(&name);
        let places = [directory.join(format!("{name}.rs")), below.join("mod.rs")];
        let file = places
            .into_iter()
            .find(|place| place.exists())
            .ok_or_else(|| format!("{}: no file for mod {name}", file.display()))?;
        read_module(&file, &below, [path.as_slice(), &[name]].concat(), modules)?;
    }
    let imports = imports::of_items(&items);
    modules.insert(path, Module { file: file.to_path_buf(), text, items, imports });
    Ok(())
}

/// Whether the item is compiled for tests or for fuzzing only: each `cfg` of that kind names one of the two.
pub(crate) fn for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => {
            let condition = list.tokens.to_string();
            !condition.starts_with("not") && (condition.contains("test") || condition.contains("fuzzing"))
        }
        meta => meta.path().is_ident("test"),
    })
}

pub(crate) fn attributes(item: &Item) -> &[syn::Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Whether others may name it.
pub(crate) fn is_public(visibility: &Visibility) -> bool {
    !matches!(visibility, Visibility::Inherited)
}
