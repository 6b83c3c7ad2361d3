//! Trees that a client writes, or wrote: reached by descriptors only, one name at a time, with no
//! link followed and no mount point crossed, however the client moves things about meanwhile.
#![forbid(unsafe_code)]

mod open;
mod pool;
mod remove;
mod turns;
mod walk;
pub mod xattr;

pub use open::{Entry, Listing, list, look, open_dir, open_dir_path, open_file, open_held};
pub use pool::work;
pub use remove::{Failed, remove};
pub use turns::{Turns, aside, pass};
pub use walk::{Found, Visitor, open_dir_long, walk};
