//! A real server for each test: a loop-mounted volume, its own network, stock clients.

pub mod client;
pub mod digest;
pub mod machine;
pub mod nagios;
pub mod network;
pub mod original;
pub mod processes;
pub mod run;
pub mod server;
pub mod strace;
pub mod terminal;
pub mod tree;
pub mod volume;

pub use client::Client;
pub use digest::Digest;
pub use machine::Machine;
pub use run::{Ran, run, sh, wait_for};
pub use server::{Server, write, write_program};
pub use volume::FsKind;

/// Whether this test can run here; says why not. With `CI` set, what could have run must run.
pub fn can_run() -> bool {
    if rustix::process::geteuid().is_root() {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "CI runs the whole suite, which needs root");
    eprintln!("skipped: needs root (run ./test.sh)");
    false
}

/// One test for each file system: `on_each_fs!(name_of_the_test, |fs| { … })`.
macro_rules! on_each_fs {
    ($($(#[$meta:meta])* fn $name:ident($fs:ident) $body:block)+) => {$(
        $(#[$meta])*
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            fn check($fs: $crate::support::FsKind) $body

            #[test]
            fn on_btrfs() {
                if $crate::support::can_run() { check($crate::support::FsKind::Btrfs) }
            }

            #[test]
            fn on_ext4() {
                if $crate::support::can_run() { check($crate::support::FsKind::Ext4) }
            }

            #[test]
            fn on_xfs() {
                if $crate::support::can_run() { check($crate::support::FsKind::Xfs) }
            }
        }
    )+};
}
pub(crate) use on_each_fs;

/// Tests that need root, whatever the file system.
macro_rules! as_root {
    ($($(#[$meta:meta])* fn $name:ident() $body:block)+) => {$(
        $(#[$meta])*
        #[test]
        fn $name() {
            if $crate::support::can_run() $body
        }
    )+};
}
pub(crate) use as_root;
