//! Filters on system calls, and the descriptor by which a parent is told of some of them.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// One instruction of a classic BPF program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// The operation, as linux/bpf_common.h numbers it.
    pub code: u16,
    /// Instructions to skip when a comparison holds.
    pub if_true: u8,
    /// Instructions to skip when it does not.
    pub if_false: u8,
    /// The operand: a constant or an offset.
    pub k: u32,
}

#[repr(C)]
struct Program {
    len: u16,
    instructions: *const Instruction,
}

/// Puts the filter on the calling thread and all that it starts from now on. Needs
/// `no_new_privs` or CAP_SYS_ADMIN.
pub fn install(program: &[Instruction]) -> io::Result<()> {
    load(program, 0).map(drop)
}

/// Like [`install`]; system calls for which the program returns `SECCOMP_RET_USER_NOTIF` wait until
/// whoever holds the descriptor lets them go on.
pub fn install_with_notifications(program: &[Instruction]) -> io::Result<OwnedFd> {
    // Waiting killably (5.19) spares the watched program's signals from interrupting a call that
    // the parent has already seen, which would then be seen twice. Older kernels do without.
    let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    let fd = match load(program, flags | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => load(program, flags)?,
        other => other?,
    };
    // SAFETY: with NEW_LISTENER the call has returned a descriptor that it has just opened.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn load(program: &[Instruction], flags: libc::c_ulong) -> io::Result<i32> {
    let len = u16::try_from(program.len()).map_err(|_| io::Error::other("the filter is too long"))?;
    let program = Program { len, instructions: program.as_ptr() };
    // SAFETY: `program` has the layout of the kernel's sock_fprog and points to `len` instructions
    // with the layout of sock_filter; the kernel copies them, checks them and keeps no pointer.
    let result =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as i32) }
}

/// A system call that waits to go on.
#[derive(Clone, Copy, Debug)]
pub struct Notification {
    id: u64,
    /// The thread that waits, as the receiver's PID namespace numbers it.
    pub pid: i32,
    /// The number of the call.
    pub number: i32,
    /// Its arguments, as they are in the registers.
    pub args: [u64; 6],
}

/// The descriptor of [`install_with_notifications`], in the hands of the one who watches.
#[derive(Debug)]
pub struct Notifications(OwnedFd);

impl Notifications {
    /// Takes the descriptor, which must come from [`install_with_notifications`]; with any other
    /// every call gives an error.
    pub fn new(fd: OwnedFd) -> Notifications {
        Notifications(fd)
    }

    /// The next call that waits; `None` when its thread is gone already. Blocks while none waits.
    pub fn next(&self) -> io::Result<Option<Notification>> {
        // The kernel may know more fields than this program and writes as many as it knows.
        let mut buffer = [0_u64; 64];
        // SAFETY: the buffer is zeroed, as the kernel demands, aligned for the structure, and several
        // times larger than it is in any kernel so far.
        let result = unsafe {
            libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV as _, buffer.as_mut_ptr())
        };
        if result != 0 {
            return match io::Error::last_os_error() {
                error if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINTR)) => Ok(None),
                error => Err(error),
            };
        }
        // SAFETY: the kernel has written a seccomp_notif at the start of the buffer, which is larger
        // and aligned for it; every bit pattern is a value of that structure.
        let notif = unsafe { &*buffer.as_ptr().cast::<libc::seccomp_notif>() };
        Ok(Some(Notification {
            id: notif.id,
            pid: notif.pid as i32,
            number: notif.data.nr,
            args: notif.data.args,
        }))
    }

    /// Whether the call still waits: what was read of its process was really that process.
    pub fn is_waiting(&self, notification: &Notification) -> bool {
        let id = notification.id;
        // SAFETY: the kernel reads one u64, which outlives the call.
        let result = unsafe {
            libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID as _, &raw const id)
        };
        result == 0
    }

    /// Lets the call go on as if it had not been watched.
    pub fn let_go(&self, notification: &Notification) -> io::Result<()> {
        let mut response = libc::seccomp_notif_resp {
            id: notification.id,
            val: 0,
            error: 0,
            flags: libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32,
        };
        // SAFETY: the kernel reads one seccomp_notif_resp, which outlives the call.
        let result = unsafe {
            libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND as _, &raw mut response)
        };
        match result {
            0 => Ok(()),
            _ => match io::Error::last_os_error() {
                // The thread was killed meanwhile.
                error if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
                error => Err(error),
            },
        }
    }
}

impl AsFd for Notifications {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
