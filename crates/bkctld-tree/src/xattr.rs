//! Extended attributes (POSIX ACLs and file capabilities are such), from one inode to another.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::fs::{
    XattrFlags, fgetxattr, flistxattr, fremovexattr, fsetxattr, lgetxattr, llistxattr, lsetxattr,
};
use rustix::io::Errno;

/// The most that the names of one inode's attributes can take in bytes (`XATTR_LIST_MAX`), and the
/// most that a value can (`XATTR_SIZE_MAX`).
const LIMIT: usize = 64 << 10;

/// Attributes of one inode: names and values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Xattrs(Vec<(CString, Vec<u8>)>);

/// Where attributes are read or written.
enum Target<'a> {
    Open(BorrowedFd<'a>),
    // A name in an open directory, for what cannot be opened (links, sockets, devices): the way
    // leads through the magic link of the descriptor, and the `l` calls do not follow the name.
    Named(CString),
}

impl Xattrs {
    /// Whether the inode has no attributes at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All attributes of an open file or directory.
    pub fn read(fd: impl AsFd) -> io::Result<Xattrs> {
        read_from(&Target::Open(fd.as_fd()))
    }

    /// All attributes of `name` (one component) in the directory; a link's own, not its target's.
    pub fn read_name(dir: impl AsFd, name: &CStr) -> io::Result<Xattrs> {
        read_from(&named(dir.as_fd(), name)?)
    }

    /// Sets them on an open file or directory.
    pub fn write(&self, fd: impl AsFd) -> io::Result<()> {
        self.write_to(&Target::Open(fd.as_fd()))
    }

    /// Sets them on `name` (one component) in the directory.
    pub fn write_name(&self, dir: impl AsFd, name: &CStr) -> io::Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        self.write_to(&named(dir.as_fd(), name)?)
    }

    fn write_to(&self, target: &Target<'_>) -> io::Result<()> {
        for (name, value) in &self.0 {
            let done = match target {
                Target::Open(fd) => fsetxattr(fd, name.as_c_str(), value, XattrFlags::empty()),
                Target::Named(path) => {
                    lsetxattr(path.as_c_str(), name.as_c_str(), value, XattrFlags::empty())
                }
            };
            match done {
                Ok(()) => {}
                // A label is the security module's own business: it may refuse one that it does not
                // know, and gives every file one anyway.
                Err(_) if is_label(name) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Takes from a new directory the access lists that it inherited from its parent, so that what is
/// made in it inherits none.
pub fn drop_inherited_acls(dir: impl AsFd) -> io::Result<()> {
    for name in [c"system.posix_acl_default", c"system.posix_acl_access"] {
        match fremovexattr(dir.as_fd(), name) {
            Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn is_label(name: &CStr) -> bool {
    matches!(name.to_bytes(), b"security.selinux" | b"security.SMACK64" | b"security.apparmor")
}

fn named<'a>(dir: BorrowedFd<'a>, name: &CStr) -> io::Result<Target<'a>> {
    let mut path = format!("/proc/self/fd/{}/", dir.as_raw_fd()).into_bytes();
    path.extend_from_slice(name.to_bytes());
    Ok(Target::Named(CString::new(path)?))
}

fn read_from(target: &Target<'_>) -> io::Result<Xattrs> {
    // Most inodes have none, and a small buffer on the stack holds the names of almost all others.
    let mut small = [0_u8; 512];
    let list = |buffer: &mut [u8]| match target {
        Target::Open(fd) => flistxattr(fd, buffer),
        Target::Named(path) => llistxattr(path.as_c_str(), buffer),
    };
    let mut large = Vec::new();
    let names = match list(&mut small) {
        Ok(len) => &small[..len],
        Err(Errno::OPNOTSUPP) => return Ok(Xattrs::default()),
        Err(Errno::RANGE) => {
            large.resize(LIMIT, 0);
            let len = list(&mut large)?;
            &large[..len]
        }
        Err(error) => return Err(error.into()),
    };
    let mut found = Vec::new();
    for name in names.split_inclusive(|&byte| byte == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
        match value_of(target, name) {
            Ok(value) => found.push((name.to_owned(), value)),
            // Taken away meanwhile, or shown in the list without being one (as some file systems do).
            Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Xattrs(found))
}

fn value_of(target: &Target<'_>, name: &CStr) -> rustix::io::Result<Vec<u8>> {
    let get = |buffer: &mut [u8]| match target {
        Target::Open(fd) => fgetxattr(fd, name, buffer),
        Target::Named(path) => lgetxattr(path.as_c_str(), name, buffer),
    };
    let mut small = [0_u8; 256];
    match get(&mut small) {
        Ok(len) => Ok(small[..len].to_vec()),
        Err(Errno::RANGE) => {
            let mut large = vec![0; LIMIT];
            let len = get(&mut large)?;
            large.truncate(len);
            Ok(large)
        }
        Err(error) => Err(error),
    }
}
