//! The filter of the system calls of a session.
//!
//! The filter lists refused calls rather than allowed ones: sshd, OpenSSL and libc come from the server's
//! distribution and use new calls with every release, and namespaces and missing capabilities already stop
//! the calls that an allow list would refuse in addition. Calls whose number the program does not know (newer
//! calls, numbers of other architectures) do not exist (ENOSYS), so libc falls back. Ioctls and calls about
//! sockets have allow lists.
//!
//! Assembled here rather than by a library: the one that was tried (seccompiler) has no user
//! notifications, covers fewer architectures, and leaves loading with a listener to the caller
//! anyway. The kernel caches "always allowed" for every number whose verdict needs no argument, so
//! a long list costs the allowed calls nothing.

mod assembler;
mod ioctls;
mod sockets;

use bkctld_core::config::Isolation;
use bkctld_sys::seccomp::Instruction;
use linux_raw_sys::general::{
    self as nr, CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUSER,
    CLONE_NEWUTS,
};

use assembler::{Assembler, ENOSYS, EPERM, ret};

const RET_USER_NOTIF: u32 = 0x7fc0_0000;

/// The highest number that this list was made with.
const LAST_KNOWN: u32 = nr::__NR_removexattrat;

const NEW_NAMESPACE: u32 =
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

/// Calls that are refused whatever their arguments are.
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

/// Calls that are refused likewise, on machines that have them.
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
#[cfg(not(any(target_arch = "x86_64", target_arch = "powerpc64")))]
const NEVER_HERE: &[u32] = &[nr::__NR_lookup_dcookie, nr::__NR_nfsservctl];
/// `socketcall` would get by what is said of sockets.
#[cfg(target_arch = "powerpc64")]
const NEVER_HERE: &[u32] =
    &[nr::__NR_lookup_dcookie, nr::__NR_nfsservctl, nr::__NR_socketcall, nr::__NR_umount];

/// `personality(PER_LINUX)` and asking for the present one.
const PERSONALITIES: &[u32] = &[0, 0xffff_ffff];

/// Kinds of device nodes in a mode, and the mask of kinds.
const DEVICES: &[u32] = &[0o060000, 0o020000];
const KIND: u32 = 0o170000;

/// `madvise` that tells the kernel a page of the server's memory is broken: HWPOISON, SOFT_OFFLINE.
const BREAKING: &[u32] = &[100, 101];

/// The class of an `ioprio_set` in its argument, and the one that goes before all others of the server:
/// real time.
const IO_CLASS: u32 = 7 << 13;
const IO_REAL_TIME: &[u32] = &[1 << 13];

/// The limit of core files, which `init` has set.
const RLIMIT_CORE: u32 = 4;

/// The filter of every process in the sandbox.
pub(crate) fn confinement(isolation: Isolation) -> Vec<Instruction> {
    let mut program = Assembler::knowing_up_to(LAST_KNOWN);
    for &number in NEVER.iter().chain(NEVER_HERE) {
        program.refuse(number, EPERM);
    }
    // EPERM would make libc give up; with ENOSYS it uses clone, whose flags can be read.
    program.refuse(nr::__NR_clone3, ENOSYS);
    program.refuse_if_any_bit(nr::__NR_clone, 0, NEW_NAMESPACE);
    program.allow_only(nr::__NR_personality, 0, PERSONALITIES, EPERM);
    program.refuse_some(nr::__NR_madvise, 2, u32::MAX, BREAKING);
    program.refuse_some(nr::__NR_ioprio_set, 2, IO_CLASS, IO_REAL_TIME);
    program.refuse_some(nr::__NR_setrlimit, 0, u32::MAX, &[RLIMIT_CORE]);
    // Reading it stays allowed.
    program.refuse_with_pointer(nr::__NR_prlimit64, 1, RLIMIT_CORE, 2);
    sockets::bound(&mut program);
    ioctls::bound(&mut program);
    if isolation == Isolation::Full {
        #[cfg(target_arch = "x86_64")]
        program.refuse_some(nr::__NR_mknod, 1, KIND, DEVICES);
        program.refuse_some(nr::__NR_mknodat, 2, KIND, DEVICES);
    }
    program.finish()
}

/// The filter that has the monitor look at each program that starts or ends.
pub(crate) fn program_watch() -> Vec<Instruction> {
    let mut program = Assembler::any();
    for number in WATCHED {
        program.on(number, &[ret(RET_USER_NOTIF)]);
    }
    program.finish()
}

const WATCHED: [u32; 3] = [nr::__NR_execve, nr::__NR_execveat, nr::__NR_exit_group];

/// The kinds of watched calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watched {
    /// `execve`, with the address of the arguments.
    Exec(u64),
    /// `exit_group`, with the status that the program ends with.
    Exit(u8),
}

/// Reads the call that was reported to the monitor.
pub(crate) fn watched(number: i32, args: &[u64; 6]) -> Option<Watched> {
    match u32::try_from(number).ok()? {
        nr::__NR_execve => Some(Watched::Exec(args[1])),
        nr::__NR_execveat => Some(Watched::Exec(args[2])),
        nr::__NR_exit_group => Some(Watched::Exit(args[0] as u8)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::assembler::{
        AND, AUDIT_ARCH, IF_BITS, IF_EQUAL, IF_GREATER, LOAD, RET_ALLOW, RET_ERRNO, RETURN,
    };
    use super::*;

    /// The verdict of the kernel on a call.
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
        match verdict(&confinement(isolation), AUDIT_ARCH, number, all) {
            RET_ALLOW => Ok(()),
            errno => Err(errno & 0xffff),
        }
    }

    /// The verdict on calls that both isolations treat alike.
    pub(super) fn judge_in_both(number: u32, args: &[u64]) -> Result<(), u32> {
        let full = judge(Isolation::Full, number, args);
        assert_eq!(judge(Isolation::Compat, number, args), full, "{number} {args:x?}");
        full
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
        for (mode, verdict) in
            [(0o010644, Ok(())), (0o100644, Ok(())), (0o060600, Err(EPERM)), (0o020600, Err(EPERM))]
        {
            assert_eq!(full(nr::__NR_mknodat, &[0, 0, mode]), verdict);
            assert_eq!(compat(nr::__NR_mknodat, &[0, 0, mode]), Ok(()));
        }
    }

    #[test]
    fn the_limit_of_core_files_can_be_read_and_not_set() {
        let set = |number, args: &[u64]| judge_in_both(number, args);
        assert_eq!(set(nr::__NR_setrlimit, &[4, 0x1000]), Err(EPERM));
        assert_eq!(set(nr::__NR_setrlimit, &[7, 0x1000]), Ok(()));
        assert_eq!(set(nr::__NR_prlimit64, &[0, 4, 0, 0x1000]), Ok(()));
        assert_eq!(set(nr::__NR_prlimit64, &[0, 7, 0x1000, 0]), Ok(()));
        // The pointer's upper half alone, too.
        for pointer in [1, 0x1000, 1 << 32, 0x7fff_0000_0000, u64::MAX] {
            assert_eq!(set(nr::__NR_prlimit64, &[0, 4, pointer, 0]), Err(EPERM), "{pointer:#x}");
        }
    }

    #[test]
    fn neither_broken_memory_nor_real_time_is_asked_for() {
        let io = |class: u64| judge_in_both(nr::__NR_ioprio_set, &[1, 0, class << 13 | 4]);
        assert_eq!((io(0), io(1), io(2), io(3)), (Ok(()), Err(EPERM), Ok(()), Ok(())));
        let advise = |advice: u64| judge_in_both(nr::__NR_madvise, &[0, 0, advice]);
        assert!((0..=25).all(|advice| advise(advice).is_ok()));
        assert_eq!((advise(100), advise(101)), (Err(EPERM), Err(EPERM)));
    }

    #[test]
    fn another_architecture_has_no_system_calls() {
        assert_eq!(verdict(&confinement(Isolation::Full), 0x4000_0003, 1, [0; 6]), RET_ERRNO | ENOSYS);
    }

    #[test]
    fn the_monitor_is_told_of_programs_and_of_nothing_else() {
        let program = program_watch();
        for number in 0..=LAST_KNOWN {
            let expected = if WATCHED.contains(&number) { RET_USER_NOTIF } else { RET_ALLOW };
            assert_eq!(verdict(&program, AUDIT_ARCH, number, [0; 6]), expected);
        }
    }
}
