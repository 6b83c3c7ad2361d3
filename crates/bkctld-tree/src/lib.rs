//! Trees that a client writes, or wrote: reached by descriptors only, one name at a time, with no
//! link followed and no mount point crossed, however the client moves things about meanwhile.
//!
//! One engine ([`traverse`]) is under all who go through such a tree: it opens directories and opens them
//! again, cuts huge ones into parts, shares the work out among threads, and lets other trees have their turn.
//! [`walk()`] and [`remove()`] are here; who copies has a [`Traversal`] of its own.
#![forbid(unsafe_code)]

mod directory;
mod listing;
mod open;
mod pool;
mod remove;
pub mod stat;
mod traversal;
mod turns;
mod walk;
pub mod xattr;

pub use directory::Directory;
pub use listing::{Entry, Listing, list};
pub use open::{hold, open_dir, open_dir_below, open_file, open_held};
pub use remove::{Failed, remove};
pub use traversal::{DirectoryIn, Entered, Found, Here, MAX_DEPTH, Traversal, traverse};
pub use turns::{Turns, give_way, wait_aside};
pub use walk::{Name, Visitor, walk};

use pool::work;
