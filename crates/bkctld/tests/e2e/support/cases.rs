//! What a test runs on: a plain function with an attribute, and a test for each case of it.
//!
//! The cases stand here once, and not beside each test, as `rstest` and `test-case` want them.

/// Whether this test can run here; says why not. With `CI` set, what could have run must run.
pub fn can_run() -> bool {
    if rustix::process::geteuid().is_root() {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "CI runs the whole suite, which needs root");
    eprintln!("skipped: needs root (run ./test.sh)");
    false
}

/// One test for each file system: `#[apply(on_each_fs)] fn name_of_the_test(fs: FsKind) { … }`.
macro_rules! on_each_fs {
    ($(#[$meta:meta])* fn $name:ident($($argument:tt)+) $body:block) => {
        fn $name($($argument)+) $body

        $(#[$meta])*
        mod $name {
            use $crate::support::{FsKind, cases::can_run};

            #[test]
            fn on_btrfs() {
                if can_run() {
                    super::$name(FsKind::Btrfs);
                }
            }

            #[test]
            fn on_ext4() {
                if can_run() {
                    super::$name(FsKind::Ext4);
                }
            }

            #[test]
            fn on_xfs() {
                if can_run() {
                    super::$name(FsKind::Xfs);
                }
            }
        }
    };
}
pub(crate) use on_each_fs;

/// A test that needs root, whatever the file system: `#[apply(as_root)] fn name_of_the_test() { … }`.
macro_rules! as_root {
    ($(#[$meta:meta])* fn $name:ident() $body:block) => {
        $(#[$meta])*
        #[test]
        fn $name() {
            if $crate::support::cases::can_run() $body
        }
    };
}
pub(crate) use as_root;
