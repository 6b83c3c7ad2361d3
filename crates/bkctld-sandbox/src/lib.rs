//! The listener of a jail, one sandbox for each of its connections, and the record of each session.
//!
//! ```text
//! supervisor      only where systemd is not: keeps the listener alive
//! └ listener      holds the port; one process, no threads, no timers
//!   └ monitor     one for each connection, root on the server: makes the sandbox, watches, records
//!     └ init      process 1 of the sandbox: starts sshd, reaps, ends everything with it
//!       └ sshd …  the client's programs
//! ```
//!
//! Each process notices the death of the one above it by a pipe or socket that closes, and ends the processes
//! below it; whichever is killed, nothing of a session remains.
#![forbid(unsafe_code)]

mod bounds;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod listener;
mod notify;
mod sandbox;
mod served;
mod session;
mod supervisor;
mod wait;

pub use listener::{ListenerEnd, listen};
pub use served::{ServedJail, StartedBy};
pub use supervisor::supervise;
