//! The jails that the original still serves on this server, and the files that it has left.
//!
//! A jail of the second format ran as a container, `systemd-nspawn@J.service`; one of the first
//! format as an sshd in a chroot.

pub mod chroot;
pub mod nspawn;
pub mod sources;
