//! `mount_setattr(2)`, which rustix does not have yet.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use linux_raw_sys::general::{
    AT_EMPTY_PATH, MOUNT_ATTR_IDMAP, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_RDONLY, MS_PRIVATE, mount_attr,
};

/// What a mount forbids, whatever is stored on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Writing, to whoever has the right otherwise.
    pub read_only: bool,
    /// That set-user-id bits and file capabilities count.
    pub nosuid: bool,
    /// Opening the devices that device nodes stand for.
    pub nodev: bool,
    /// Starting programs that are stored on it.
    pub noexec: bool,
}

impl Attributes {
    fn bits(self) -> u64 {
        [
            (self.read_only, MOUNT_ATTR_RDONLY),
            (self.nosuid, MOUNT_ATTR_NOSUID),
            (self.nodev, MOUNT_ATTR_NODEV),
            (self.noexec, MOUNT_ATTR_NOEXEC),
        ]
        .into_iter()
        .filter(|(wanted, _)| *wanted)
        .fold(0, |bits, (_, bit)| bits | u64::from(bit))
    }
}

/// Sets attributes of one detached mount (from `open_tree(OPEN_TREE_CLONE)`), and shifts its owners
/// by the map of `user_namespace` where one is given.
///
/// Makes it private as well: the copy of a shared mount, as systemd makes them all, would hand on to
/// the server whatever is mounted in it, and could be no process's root.
///
/// # Errors
/// `EINVAL` where the file system has no idmapped mounts or the mount is idmapped already.
pub fn set_attributes(
    mount: BorrowedFd<'_>,
    attributes: Attributes,
    user_namespace: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let mut attr = mount_attr {
        attr_set: attributes.bits(),
        attr_clr: 0,
        propagation: u64::from(MS_PRIVATE),
        userns_fd: 0,
    };
    if let Some(namespace) = user_namespace {
        attr.attr_set |= u64::from(MOUNT_ATTR_IDMAP);
        attr.userns_fd = namespace.as_raw_fd() as u64;
    }
    // SAFETY: the path is a C string, and `attr` is a mount_attr of exactly the size that is passed;
    // the kernel only reads both, and they outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            AT_EMPTY_PATH,
            &raw const attr,
            size_of::<mount_attr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
