//! Incs, the dated copies of a jail: makes, lists and deletes them.
//!
//! `INCDIR/J` is outside of every client's reach, so it is opened by path. In it lie, beside the
//! incs, our own hidden files: `.NAME.record` and `.NAME.index` of an inc, and what a run that was
//! interrupted left (`.making.…`, `.deleting.…`). They lie there and not in a directory of their own
//! because btrfs can rename a read-only snapshot within its directory only. An inc that has its
//! name is whole: it is built under a hidden name and renamed, and renamed away before it is
//! deleted. Nothing else in `INCDIR/J` is ever touched.

mod delete;
pub(crate) mod detached;
pub(crate) mod files;
mod list;
mod make;
mod name;
pub(crate) mod pattern;
mod protect;
pub(crate) mod record;
mod run;
pub(crate) mod times;

pub use delete::{Deleted, clear_leftovers, delete};
pub use list::{jails_with_incs, list};
pub use make::{Made, MakeOptions, Outcome, copy_whole, make};
pub use name::IncName;
pub use pattern::IncPattern;
pub use protect::{Protection, protection, set_protection};
pub use record::{Backend, Counts, Record};
pub use run::{Run, Timed};
pub use times::{TimeFile, TimedRun, timed_runs};
