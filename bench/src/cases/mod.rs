//! What is measured, one file for each part of the program.

mod before;
mod incs;
mod servers;
mod sessions;
mod sizes;
mod sync;

use crate::Result;

/// One comparison.
pub struct Case {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What it measures.
    pub what: &'static str,
    /// Measures and prints.
    pub run: fn() -> Result<()>,
}

/// All of them.
pub const ALL: &[Case] = &[
    Case { name: "inc", what: "a detached inc of 200,000 small files, 1 % changed", run: incs::detached },
    Case { name: "snapshot", what: "incs of 100 jails on btrfs", run: incs::snapshots },
    Case { name: "delete", what: "rm of an inc of 200,000 hard-linked files", run: incs::delete },
    Case {
        name: "retention",
        what: "rm with nothing to delete, 100 jails, 32 incs, 32 rules",
        run: servers::retention,
    },
    Case {
        name: "checks",
        what: "check-incs all and check-jails of 100 jails, 32 incs, 32 rules",
        run: servers::checks,
    },
    Case { name: "status", what: "status of 300 jails", run: servers::status },
    Case { name: "report", what: "report and metrics of 300 jails, 5 incs", run: servers::report },
    Case { name: "stats", what: "stats of 1,000,000 small files", run: sizes::stats },
    Case {
        name: "before",
        what: "inc, stats and rm of 50,000 files, against an earlier build",
        run: before::trees,
    },
    Case { name: "init", what: "a new jail", run: servers::init },
    Case { name: "sync", what: "sync all of 100 unchanged jails", run: sync::unchanged },
    Case { name: "login", what: "ssh ... true", run: sessions::login },
    Case { name: "push", what: "rsync push of 50,000 small files and of one of 1 GB", run: sessions::push },
    Case { name: "idle", what: "an idle started jail", run: sessions::idle },
];
