//! System calls that no library offers, behind safe functions. The only unsafe code of the project, and
//! nothing but what it needs: every block says why it is sound.

pub mod btrfs;
pub mod clock;
pub mod extents;
pub mod filesystem;
pub mod mount;
pub mod namespace;
pub mod net;
pub mod process;
pub mod seccomp;
pub mod signal;
pub mod writers;
