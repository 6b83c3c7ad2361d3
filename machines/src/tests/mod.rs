//! The tests, and on which releases they run.

mod bare;
mod changes;
mod coredump;
mod first_push;
mod journal;
mod lifecycle;
mod migration;
mod package;
mod package_file;
mod replacement;
mod takeover;

use libtest_mimic::Trial;

use crate::failure;
use crate::suite::{SUITES, Suite};

/// A test: its name is that of its module and its function.
pub struct Test {
    name: &'static str,
    run: Run,
}

enum Run {
    /// On a release.
    On(fn(&Suite)),
    /// On the machine that runs the tests.
    Here(fn()),
}

/// The tests of a module, by the names of their functions. A function that is forgotten here is dead code, of
/// which the compiler warns.
macro_rules! tests {
    (run as $kind:ident: $($name:ident),+ $(,)?) => {
        pub const TESTS: &[crate::tests::Test] = &[$(crate::tests::Test {
            name: concat!(module_path!(), "::", stringify!($name)),
            run: crate::tests::Run::$kind($name),
        }),+];
    };
    ($($name:ident),+ $(,)?) => { crate::tests::tests! { run as On: $($name),+ } };
}
macro_rules! tests_here {
    ($($name:ident),+ $(,)?) => { crate::tests::tests! { run as Here: $($name),+ } };
}
pub(crate) use {tests, tests_here};

/// On every release.
const ON_MACHINES: &[&[Test]] = &[
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
/// On the oldest release that the README names, for itself: everything is built there.
const BARE: &[Test] = bare::TESTS;
const HERE: &[Test] = package_file::TESTS;

/// Every test, as `SUITE::MODULE::TEST`. Those on a release that is not wanted, or on which a program that was built
/// here does not start, are ignored.
pub fn trials() -> Vec<Trial> {
    let mut trials: Vec<Trial> = HERE.iter().map(|test| test.trial(None)).collect();
    trials.extend(BARE.iter().map(|test| test.trial(Some(&SUITES[0]))));
    for suite in SUITES {
        let is_ignored = !suite.is_wanted() || !suite.runs_programs_of_this_machine();
        let tests = ON_MACHINES.iter().copied().flatten();
        trials.extend(tests.map(|test| test.trial(Some(suite)).with_ignored_flag(is_ignored)));
    }
    trials
}

impl Test {
    fn trial(&'static self, suite: Option<&'static Suite>) -> Trial {
        let name = self.name.trim_start_matches(concat!(module_path!(), "::"));
        match (&self.run, suite) {
            (Run::On(test), Some(suite)) => {
                Trial::test(format!("{}::{name}", suite.name), move || failure::caught(move || test(suite)))
            }
            (Run::Here(test), _) => Trial::test(name, move || failure::caught(test)),
            (Run::On(_), None) => unreachable!("{name} needs a release"),
        }
    }
}
