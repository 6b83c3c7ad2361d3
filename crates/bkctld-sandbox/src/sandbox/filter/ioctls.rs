//! The ioctls of a session.
//!
//! An allow list, unlike that of the system calls: what file systems, terminals and sockets
//! understand grows with every kernel and module, and some of it undoes what the rest of the program relies
//! on. Subvolumes in `data` would be missing from every inc; files can exchange their content without a new
//! time of change (`EXT4_IOC_MOVE_EXT`, `XFS_IOC_SWAPEXT`, `XFS_IOC_EXCHANGE_RANGE`), so that an inc would take
//! the old content for theirs; a terminal can be typed into; a socket tells the server's interfaces.
//!
//! Found by watching sshd, rsync, sftp-server, scp, shells and coreutils at work, on a terminal and
//! without. Of them only those on terminals and `FICLONE` are needed; the others are harmless and in use.

use linux_raw_sys::general as nr;
use linux_raw_sys::ioctl;

use super::assembler::{Assembler, EPERM};

const ALLOWED: &[u32] = &[
    // Terminals: their settings (newer C libraries use those with a 2), size, processes, and making them.
    ioctl::TCGETS,
    ioctl::TCSETS,
    ioctl::TCSETSW,
    ioctl::TCSETSF,
    ioctl::TCGETS2,
    ioctl::TCSETS2,
    ioctl::TCSETSW2,
    ioctl::TCSETSF2,
    ioctl::TCSBRK,
    ioctl::TCXONC,
    ioctl::TCFLSH,
    ioctl::TIOCSCTTY,
    ioctl::TIOCNOTTY,
    ioctl::TIOCGPGRP,
    ioctl::TIOCSPGRP,
    ioctl::TIOCGSID,
    ioctl::TIOCGWINSZ,
    ioctl::TIOCSWINSZ,
    ioctl::TIOCGPTN,
    ioctl::TIOCSPTLCK,
    ioctl::TIOCGPTPEER,
    ioctl::TIOCOUTQ,
    // Descriptors.
    ioctl::FIONREAD,
    ioctl::FIONBIO,
    ioctl::FIOASYNC,
    ioctl::FIOCLEX,
    ioctl::FIONCLEX,
    // Files: sharing blocks, which sets the time of change, and looking.
    ioctl::FIGETBSZ,
    ioctl::FICLONE,
    ioctl::FICLONERANGE,
    ioctl::FIDEDUPERANGE,
    ioctl::FS_IOC_FIEMAP,
    ioctl::FS_IOC_GETFLAGS,
    ioctl::FS_IOC_FSGETXATTR,
];

pub(super) fn bound(program: &mut Assembler) {
    program.allow_only(nr::__NR_ioctl, 1, ALLOWED, EPERM);
}

#[cfg(test)]
mod tests {
    use super::super::tests::judge_in_both;
    use super::*;

    #[test]
    fn ioctls_are_those_that_are_known_to_be_needed() {
        for command in [ioctl::TCGETS, ioctl::TIOCSCTTY, ioctl::FICLONE, ioctl::FIONREAD] {
            assert_eq!(judge_in_both(nr::__NR_ioctl, &[0, u64::from(command)]), Ok(()), "{command:#x}");
        }
        for command in [
            ioctl::BTRFS_IOC_SUBVOL_CREATE,
            ioctl::BTRFS_IOC_SUBVOL_SETFLAGS,
            ioctl::FS_IOC_SETFLAGS,
            ioctl::FS_IOC_FSSETXATTR,
            ioctl::TIOCSTI,
            ioctl::TIOCLINUX,
            ioctl::TIOCSETD,
            ioctl::SIOCGIFCONF,
            ioctl::FIFREEZE,
            0xc028_660f, // EXT4_IOC_MOVE_EXT
            0xc0c0_586d, // XFS_IOC_SWAPEXT
            0x4028_5881, // XFS_IOC_EXCHANGE_RANGE
            0x1234,
        ] {
            assert_eq!(judge_in_both(nr::__NR_ioctl, &[0, u64::from(command)]), Err(EPERM), "{command:#x}");
        }
        // The kernel ignores the upper half, so it must not help.
        assert_eq!(judge_in_both(nr::__NR_ioctl, &[0, 1 << 32 | 0x5412]), Err(EPERM));
    }
}
