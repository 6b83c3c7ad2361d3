//! What system calls a session may not make.
//!
//! A list of what is refused rather than of what is allowed: sshd, OpenSSL and libc come from the
//! server's distribution and use new calls with every release, and what an allow list would add is
//! already out of reach by namespaces and missing capabilities. What the program does not know by
//! number (newer calls, other architectures' numbers) does not exist (ENOSYS), so libc falls back.
//!
//! Assembled here rather than by a library: the one that was tried (seccompiler) has no user
//! notifications, covers fewer architectures, and leaves loading with a listener to the caller
//! anyway. The kernel caches "always allowed" for every number whose verdict needs no argument, so
//! a long list costs the allowed calls nothing.

use bkctld_core::config::Isolation;
use bkctld_sys::seccomp::Instruction;
use linux_raw_sys::general::{
    self as nr, CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUSER,
    CLONE_NEWUTS,
};
use linux_raw_sys::ioctl;

const RET_ALLOW: u32 = 0x7fff_0000;
const RET_ERRNO: u32 = 0x0005_0000;
const RET_USER_NOTIF: u32 = 0x7fc0_0000;

const EPERM: u32 = 1;
const ENOSYS: u32 = 38;
const EAFNOSUPPORT: u32 = 97;

// `struct seccomp_data`: number, architecture, instruction pointer, six arguments of 64 bits.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

/// `AUDIT_ARCH_*`: the machine's ELF number, 64 bits, little endian.
#[cfg(target_arch = "x86_64")]
const AUDIT_ARCH: u32 = 62 | 0xc000_0000;
#[cfg(target_arch = "aarch64")]
const AUDIT_ARCH: u32 = 183 | 0xc000_0000;
#[cfg(target_arch = "riscv64")]
const AUDIT_ARCH: u32 = 243 | 0xc000_0000;
#[cfg(target_arch = "loongarch64")]
const AUDIT_ARCH: u32 = 258 | 0xc000_0000;
#[cfg(all(target_arch = "powerpc64", target_endian = "little"))]
const AUDIT_ARCH: u32 = 21 | 0xc000_0000;

/// The highest number that this list was made with.
const LAST_KNOWN: u32 = nr::__NR_removexattrat;

const NEW_NAMESPACE: u32 =
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

/// Refused whatever the arguments.
const NEVER: &[u32] = &[
    // Mounts. The old calls need a capability that full isolation does not leave; compat does.
    nr::__NR_mount,
    nr::__NR_umount2,
    nr::__NR_pivot_root,
    nr::__NR_open_tree,
    nr::__NR_move_mount,
    nr::__NR_fsopen,
    nr::__NR_fsconfig,
    nr::__NR_fsmount,
    nr::__NR_fspick,
    nr::__NR_mount_setattr,
    nr::__NR_statmount,
    nr::__NR_listmount,
    // Namespaces.
    nr::__NR_unshare,
    nr::__NR_setns,
    // Other processes.
    nr::__NR_ptrace,
    nr::__NR_process_vm_readv,
    nr::__NR_process_vm_writev,
    nr::__NR_process_madvise,
    nr::__NR_kcmp,
    nr::__NR_pidfd_getfd,
    // Kernel interfaces with a history of holes that no backup needs.
    nr::__NR_add_key,
    nr::__NR_request_key,
    nr::__NR_keyctl,
    nr::__NR_bpf,
    nr::__NR_perf_event_open,
    nr::__NR_userfaultfd,
    nr::__NR_io_uring_setup,
    nr::__NR_io_uring_enter,
    nr::__NR_io_uring_register,
    // Files by handle reach out of every root; memory files could be run although nothing that the
    // client writes can.
    nr::__NR_open_by_handle_at,
    nr::__NR_memfd_create,
    nr::__NR_fanotify_init,
    // The machine.
    nr::__NR_kexec_load,
    nr::__NR_init_module,
    nr::__NR_finit_module,
    nr::__NR_delete_module,
    nr::__NR_reboot,
    nr::__NR_swapon,
    nr::__NR_swapoff,
    nr::__NR_quotactl,
    nr::__NR_quotactl_fd,
    nr::__NR_acct,
    nr::__NR_syslog,
    nr::__NR_vhangup,
    nr::__NR_sethostname,
    nr::__NR_setdomainname,
    // Clocks.
    nr::__NR_settimeofday,
    nr::__NR_clock_settime,
    nr::__NR_clock_adjtime,
    nr::__NR_adjtimex,
];

/// Refused whatever the arguments, on machines that have them.
#[cfg(target_arch = "x86_64")]
const NEVER_HERE: &[u32] = &[
    nr::__NR_iopl,
    nr::__NR_ioperm,
    nr::__NR_modify_ldt,
    nr::__NR_kexec_file_load,
    nr::__NR_memfd_secret,
    nr::__NR_lookup_dcookie,
    nr::__NR_nfsservctl,
    nr::__NR_uselib,
    nr::__NR__sysctl,
];
#[cfg(not(target_arch = "x86_64"))]
const NEVER_HERE: &[u32] = &[nr::__NR_lookup_dcookie, nr::__NR_nfsservctl];

/// Families of sockets that a session may have; it has no network to use them on.
const FAMILIES: &[u32] = &[1, 2, 10]; // AF_UNIX, AF_INET, AF_INET6

/// `personality(PER_LINUX)` and asking for the present one.
const PERSONALITIES: &[u32] = &[0, 0xffff_ffff];

/// Kinds of device nodes in a mode, and the mask of kinds.
const DEVICES: &[u32] = &[0o060000, 0o020000];
const KIND: u32 = 0o170000;

/// Refused in full isolation. A subvolume in `data` would be missing from every inc; a terminal
/// must not be typed into.
const IOCTLS_NEVER: &[u32] = &[
    ioctl::BTRFS_IOC_SUBVOL_CREATE,
    ioctl::BTRFS_IOC_SUBVOL_CREATE_V2,
    ioctl::BTRFS_IOC_SNAP_CREATE,
    ioctl::BTRFS_IOC_SNAP_CREATE_V2,
    ioctl::BTRFS_IOC_SNAP_DESTROY,
    ioctl::BTRFS_IOC_SNAP_DESTROY_V2,
    ioctl::BTRFS_IOC_SUBVOL_SETFLAGS,
    ioctl::BTRFS_IOC_SET_RECEIVED_SUBVOL,
    ioctl::TIOCSTI,
    ioctl::TIOCLINUX,
];

/// All that is allowed in compat isolation, where the session holds CAP_SYS_ADMIN for the sake of
/// `trusted.*` attributes: terminals, descriptors, sharing of blocks.
const IOCTLS_COMPAT: &[u32] = &[
    ioctl::TCGETS,
    ioctl::TCSETS,
    ioctl::TCSETSW,
    ioctl::TCSETSF,
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
    ioctl::FIONREAD,
    ioctl::FIONBIO,
    ioctl::FIOASYNC,
    ioctl::FIOCLEX,
    ioctl::FIONCLEX,
    ioctl::FIGETBSZ,
    ioctl::FICLONE,
    ioctl::FICLONERANGE,
    ioctl::FIDEDUPERANGE,
    ioctl::FS_IOC_FIEMAP,
    ioctl::FS_IOC_GETFLAGS,
    ioctl::FS_IOC_FSGETXATTR,
];

/// The filter of everything in the sandbox.
pub(crate) fn refusals(isolation: Isolation) -> Vec<Instruction> {
    let mut program = Assembler::begin();
    for &number in NEVER.iter().chain(NEVER_HERE) {
        program.refuse(number, EPERM);
    }
    // EPERM would make libc give up; with ENOSYS it uses clone, whose flags can be read.
    program.refuse(nr::__NR_clone3, ENOSYS);
    program.refuse_if_any_bit(nr::__NR_clone, 0, NEW_NAMESPACE);
    program.allow_only(nr::__NR_socket, 0, FAMILIES, EAFNOSUPPORT);
    program.allow_only(nr::__NR_personality, 0, PERSONALITIES, EPERM);
    match isolation {
        Isolation::Full => {
            #[cfg(target_arch = "x86_64")]
            program.refuse_some(nr::__NR_mknod, 1, KIND, DEVICES);
            program.refuse_some(nr::__NR_mknodat, 2, KIND, DEVICES);
            program.refuse_some(nr::__NR_ioctl, 1, u32::MAX, IOCTLS_NEVER);
        }
        Isolation::Compat => program.allow_only(nr::__NR_ioctl, 1, IOCTLS_COMPAT, EPERM),
    }
    program.finish()
}

/// The filter that tells the monitor of programs that start and end.
pub(crate) fn notifications() -> Vec<Instruction> {
    let mut program = Assembler(vec![statement(LOAD, NUMBER)]);
    for number in WATCHED {
        program.on(number, &[ret(RET_USER_NOTIF)]);
    }
    program.finish()
}

const WATCHED: [u32; 3] = [nr::__NR_execve, nr::__NR_execveat, nr::__NR_exit_group];

/// What a watched call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watched {
    /// `execve`, with the address of the arguments.
    Exec(u64),
    /// `exit_group`, with the status.
    Exit(u8),
}

/// Reads the call that the monitor was told of.
pub(crate) fn watched(number: i32, args: &[u64; 6]) -> Option<Watched> {
    match u32::try_from(number).ok()? {
        nr::__NR_execve => Some(Watched::Exec(args[1])),
        nr::__NR_execveat => Some(Watched::Exec(args[2])),
        nr::__NR_exit_group => Some(Watched::Exit(args[0] as u8)),
        _ => None,
    }
}

// Operations of classic BPF.
const LOAD: u16 = 0x20; // LD | W | ABS
const AND: u16 = 0x54; // ALU | AND | K
const IF_EQUAL: u16 = 0x15; // JMP | JEQ | K
const IF_GREATER: u16 = 0x25; // JMP | JGT | K
const IF_BITS: u16 = 0x45; // JMP | JSET | K
const RETURN: u16 = 0x06; // RET | K

fn statement(code: u16, k: u32) -> Instruction {
    Instruction { code, if_true: 0, if_false: 0, k }
}

fn branch(code: u16, k: u32, if_true: u8, if_false: u8) -> Instruction {
    Instruction { code, if_true, if_false, k }
}

fn ret(value: u32) -> Instruction {
    statement(RETURN, value)
}

/// The low half of an argument. All arguments that are looked at are 32 bits to the kernel, which
/// ignores the rest.
fn argument(index: u32) -> Instruction {
    statement(LOAD, ARGUMENTS + 8 * index)
}

struct Assembler(Vec<Instruction>);

impl Assembler {
    fn begin() -> Assembler {
        Assembler(vec![
            statement(LOAD, ARCHITECTURE),
            branch(IF_EQUAL, AUDIT_ARCH, 1, 0),
            ret(RET_ERRNO | ENOSYS),
            // Above the known numbers lie also those of x32, which have bit 30 set.
            statement(LOAD, NUMBER),
            branch(IF_GREATER, LAST_KNOWN, 0, 1),
            ret(RET_ERRNO | ENOSYS),
        ])
    }

    /// Runs `body`, which must return, if the call is this one.
    fn on(&mut self, number: u32, body: &[Instruction]) {
        // The bodies are tables above, all far shorter than 255.
        self.0.push(branch(IF_EQUAL, number, 0, body.len() as u8));
        self.0.extend_from_slice(body);
    }

    fn refuse(&mut self, number: u32, errno: u32) {
        self.on(number, &[ret(RET_ERRNO | errno)]);
    }

    fn refuse_if_any_bit(&mut self, number: u32, arg: u32, bits: u32) {
        let refuse = ret(RET_ERRNO | EPERM);
        self.on(number, &[argument(arg), branch(IF_BITS, bits, 0, 1), refuse, ret(RET_ALLOW)]);
    }

    fn refuse_some(&mut self, number: u32, arg: u32, mask: u32, values: &[u32]) {
        let mut body = vec![argument(arg), statement(AND, mask)];
        for &value in values {
            body.extend([branch(IF_EQUAL, value, 0, 1), ret(RET_ERRNO | EPERM)]);
        }
        body.push(ret(RET_ALLOW));
        self.on(number, &body);
    }

    fn allow_only(&mut self, number: u32, arg: u32, values: &[u32], errno: u32) {
        let mut body = vec![argument(arg)];
        for &value in values {
            body.extend([branch(IF_EQUAL, value, 0, 1), ret(RET_ALLOW)]);
        }
        body.push(ret(RET_ERRNO | errno));
        self.on(number, &body);
    }

    fn finish(mut self) -> Vec<Instruction> {
        self.0.push(ret(RET_ALLOW));
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel would return for a call.
    fn verdict(program: &[Instruction], arch: u32, number: u32, args: [u64; 6]) -> u32 {
        let mut data = Vec::new();
        data.extend(number.to_ne_bytes());
        data.extend(arch.to_ne_bytes());
        data.extend(0_u64.to_ne_bytes());
        args.iter().for_each(|arg| data.extend(arg.to_ne_bytes()));
        let (mut at, mut a) = (0, 0_u32);
        loop {
            let Instruction { code, if_true, if_false, k } = program[at];
            let mut jump = |holds: bool| at += usize::from(if holds { if_true } else { if_false });
            match code {
                LOAD => a = u32::from_ne_bytes(data[k as usize..k as usize + 4].try_into().unwrap()),
                AND => a &= k,
                IF_EQUAL => jump(a == k),
                IF_GREATER => jump(a > k),
                IF_BITS => jump(a & k != 0),
                RETURN => return k,
                other => panic!("operation {other:#x}"),
            }
            at += 1;
        }
    }

    fn judge(isolation: Isolation, number: u32, args: &[u64]) -> Result<(), u32> {
        let mut all = [0; 6];
        all[..args.len()].copy_from_slice(args);
        match verdict(&refusals(isolation), AUDIT_ARCH, number, all) {
            RET_ALLOW => Ok(()),
            errno => Err(errno & 0xffff),
        }
    }

    #[test]
    fn everything_listed_is_refused_and_what_is_needed_is_not() {
        for isolation in [Isolation::Full, Isolation::Compat] {
            for &number in NEVER.iter().chain(NEVER_HERE) {
                assert_eq!(judge(isolation, number, &[]), Err(EPERM), "{number}");
            }
            for number in [
                nr::__NR_read,
                nr::__NR_openat,
                nr::__NR_execve,
                nr::__NR_chroot,
                nr::__NR_seccomp,
                nr::__NR_prctl,
                nr::__NR_fchownat,
                nr::__NR_removexattrat,
            ] {
                assert_eq!(judge(isolation, number, &[]), Ok(()), "{number}");
            }
            assert_eq!(judge(isolation, nr::__NR_clone3, &[]), Err(ENOSYS));
            for unknown in [LAST_KNOWN + 1, 1000, 0x4000_0000, 0x4000_0001, u32::MAX] {
                assert_eq!(judge(isolation, unknown, &[]), Err(ENOSYS), "{unknown:#x}");
            }
        }
    }

    #[test]
    fn arguments_decide_where_they_must() {
        let full = |number, args: &[u64]| judge(Isolation::Full, number, args);
        let compat = |number, args: &[u64]| judge(Isolation::Compat, number, args);
        assert_eq!(full(nr::__NR_clone, &[0x0120_0011]), Ok(()));
        assert_eq!(full(nr::__NR_clone, &[u64::from(CLONE_NEWUSER) | 17]), Err(EPERM));
        assert_eq!(full(nr::__NR_socket, &[2, 1]), Ok(()));
        assert_eq!(full(nr::__NR_socket, &[16, 3]), Err(EAFNOSUPPORT));
        // The kernel ignores the upper half, so it must not help.
        assert_eq!(full(nr::__NR_socket, &[1 << 32 | 38]), Err(EAFNOSUPPORT));
        for (mode, verdict) in
            [(0o010644, Ok(())), (0o100644, Ok(())), (0o060600, Err(EPERM)), (0o020600, Err(EPERM))]
        {
            assert_eq!(full(nr::__NR_mknodat, &[0, 0, mode]), verdict);
            assert_eq!(compat(nr::__NR_mknodat, &[0, 0, mode]), Ok(()));
        }
        for command in IOCTLS_NEVER {
            assert_eq!(full(nr::__NR_ioctl, &[0, u64::from(*command)]), Err(EPERM));
            assert_eq!(compat(nr::__NR_ioctl, &[0, u64::from(*command)]), Err(EPERM));
        }
        assert_eq!(full(nr::__NR_ioctl, &[0, 0x1234]), Ok(()));
        assert_eq!(compat(nr::__NR_ioctl, &[0, 0x1234]), Err(EPERM));
        assert_eq!(compat(nr::__NR_ioctl, &[0, u64::from(ioctl::TCGETS)]), Ok(()));
    }

    #[test]
    fn another_architecture_has_no_system_calls() {
        assert_eq!(verdict(&refusals(Isolation::Full), 0x4000_0003, 1, [0; 6]), RET_ERRNO | ENOSYS);
    }

    #[test]
    fn the_monitor_is_told_of_programs_and_of_nothing_else() {
        let program = notifications();
        for number in 0..=LAST_KNOWN {
            let expected = if WATCHED.contains(&number) { RET_USER_NOTIF } else { RET_ALLOW };
            assert_eq!(verdict(&program, AUDIT_ARCH, number, [0; 6]), expected);
        }
    }
}
