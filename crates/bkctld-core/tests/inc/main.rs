//! Incs on real file systems: ext4, XFS and btrfs, each in an image of its own.
#![allow(missing_docs)]
// Helpers of tests fail as tests do.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

mod deletion;
mod fidelity;
mod hostile;
mod interruption;
mod sample;
mod snapshot;
mod space;
mod volume;
mod writers;
