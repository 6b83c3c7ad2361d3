//! The tests, and on which releases they run.

mod changes;
mod coredump;
mod first_push;
mod journal;
mod lifecycle;
mod migration;
mod package;
mod replacement;
mod takeover;

use libtest_mimic::Trial;

use crate::failure;
use crate::suite::{SUITES, Suite};

/// A test: its name is that of its module and its function.
pub struct Test {
    name: &'static str,
    run: fn(&Suite),
}

/// The tests of a module, by the names of their functions. A function that is forgotten here is dead code, of
/// which the compiler warns.
macro_rules! tests {
    ($($name:ident),+ $(,)?) => {
        pub const TESTS: &[crate::tests::Test] = &[
            $(crate::tests::Test { name: concat!(module_path!(), "::", stringify!($name)), run: $name }),+
        ];
    };
}
pub(crate) use tests;

const MODULES: &[&[Test]] = &[
    lifecycle::TESTS,
    changes::TESTS,
    journal::TESTS,
    takeover::TESTS,
    migration::TESTS,
    package::TESTS,
    replacement::TESTS,
    first_push::TESTS,
    coredump::TESTS,
];

/// Every test on every release, as `SUITE::MODULE::TEST`; those on a release on which a program that was built
/// here does not start are ignored.
pub fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for suite in SUITES {
        let ignored = !suite.runs_programs_of_this_machine();
        for test in MODULES.iter().copied().flatten() {
            let name = test.name.trim_start_matches(concat!(module_path!(), "::"));
            let name = format!("{}::{name}", suite.name);
            let trial = Trial::test(name, || failure::caught(|| (test.run)(suite)));
            trials.push(trial.with_ignored_flag(ignored));
        }
    }
    trials
}
