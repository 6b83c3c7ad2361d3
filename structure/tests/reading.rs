//! A small workspace is read as Rust would read it.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use structure::{Workspace, circles, picture};

/// A workspace of these files below `crates/`.
fn workspace(files: &[(&str, &str)]) -> Workspace {
    let checkout = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let file = checkout.path().join("crates").join(name);
        fs::create_dir_all(file.parent().unwrap_or(Path::new("/"))).unwrap();
        fs::write(file, text).unwrap();
    }
    Workspace::read(checkout.path()).unwrap()
}

fn circles_in(found: &Workspace) -> Vec<String> {
    circles::find(found).iter().map(ToString::to_string).collect()
}

#[test]
fn a_module_stands_above_those_that_it_uses_and_needless_arrows_are_left_out() {
    let found = workspace(&[
        ("low/src/lib.rs", "pub mod z; mod a;"),
        ("low/src/z.rs", "use crate::a::A; pub struct Z(A);"),
        ("low/src/a.rs", "pub struct A;"),
        ("high/src/main.rs", "mod x; mod y; fn main() { x::run() }"),
        ("high/src/x.rs", "use low::z; pub fn run() { crate::y::run(); z::Z::new(); }"),
        ("high/src/y.rs", "pub fn run() {}"),
    ]);
    let expected =
        "high             -> low\n  x                -> y\n  y\n\nlow\n  z                -> a\n  a\n";
    assert_eq!(picture::draw(&found), expected);
    assert_eq!(circles_in(&found), [""; 0]);
}

#[test]
fn a_re_export_counts_for_the_file_that_defines_the_name() {
    let found = workspace(&[
        ("one/src/lib.rs", "mod a; mod b;"),
        ("one/src/a/mod.rs", "mod inner; pub use inner::Inner; use crate::b::B;"),
        ("one/src/a/inner.rs", "pub struct Inner;"),
        ("one/src/b.rs", "use crate::a::Inner; pub struct B(Inner);"),
    ]);
    // The modules go round; the files do not.
    let expected = ["top modules of one in a circle:\n    a -> b: a -> b\n    b -> a: b -> a::inner"];
    assert_eq!(circles_in(&found), expected);
}

#[test]
fn two_files_that_use_each_other_are_a_circle_and_parent_and_child_are_none() {
    let found = workspace(&[
        ("one/src/lib.rs", "mod a;"),
        ("one/src/a/mod.rs", "mod b; mod c; pub struct A(b::B);"),
        ("one/src/a/b.rs", "use super::A; use super::c::C; pub struct B(Box<A>, C);"),
        ("one/src/a/c.rs", "pub struct C; fn f() { say!(super::b::B) }"),
    ]);
    let expected = ["files in a circle:\n    one::a::b -> one::a::c\n    one::a::c -> one::a::b"];
    assert_eq!(circles_in(&found), expected);
}

#[test]
fn what_only_tests_use_is_no_arrow() {
    let found = workspace(&[
        ("one/src/lib.rs", "mod a; mod b;"),
        ("one/src/a.rs", "use crate::b::B; pub struct A(B);"),
        ("one/src/b.rs", "pub struct B; #[cfg(test)] mod tests { use crate::a::A; }"),
    ]);
    assert_eq!(circles_in(&found), [""; 0]);
}
