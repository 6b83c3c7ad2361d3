/* Every system call by its number, with arguments that the kernel itself would not take. What is filtered
 * comes back with EPERM or ENOSYS; what is not, with another error or none. */
#include "prober.h"

#include <poll.h>

/* The highest number that exists in a session: `removexattrat`. */
#define LAST 466

/* Refused whatever the arguments. Numbers above 423 are the same on all machines. */
static const int refused[] = {
    SYS_mount, SYS_umount2, SYS_pivot_root, 428 /* open_tree */, 429 /* move_mount */, 430 /* fsopen */,
    431 /* fsconfig */, 432 /* fsmount */, 433 /* fspick */, 442 /* mount_setattr */, 457 /* statmount */,
    458 /* listmount */,
    SYS_unshare, SYS_setns,
    SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, 440 /* process_madvise */, SYS_kcmp,
    438 /* pidfd_getfd */,
    SYS_add_key, SYS_request_key, SYS_keyctl, SYS_bpf, SYS_perf_event_open, SYS_userfaultfd,
    425, 426, 427 /* io_uring */,
    SYS_open_by_handle_at, SYS_memfd_create, SYS_fanotify_init,
    SYS_kexec_load, SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_reboot, SYS_swapon, SYS_swapoff,
    SYS_quotactl, 443 /* quotactl_fd */, SYS_acct, SYS_syslog, SYS_vhangup, SYS_sethostname, SYS_setdomainname,
    SYS_settimeofday, SYS_clock_settime, SYS_clock_adjtime, SYS_adjtimex,
    SYS_lookup_dcookie, SYS_nfsservctl,
#ifdef __x86_64__
    SYS_iopl, SYS_ioperm, SYS_modify_ldt, SYS_kexec_file_load, 447 /* memfd_secret */, SYS_uselib, SYS__sysctl,
#endif
    /* No socket gets an address. */
    SYS_connect, SYS_bind, SYS_listen, SYS_accept, SYS_accept4,
    /* These by their arguments: all bits are set in ours. */
    SYS_clone, SYS_ioctl, SYS_setsockopt, SYS_sendto, SYS_sendmsg, SYS_sendmmsg,
};

/* Not tried in this way: they end, or double, or stop the process that makes them. */
static const int skipped[] = {
    SYS_exit, SYS_exit_group, SYS_rt_sigreturn,
#ifdef __x86_64__
    SYS_fork, SYS_vfork, SYS_pause, 335 /* uretprobe */, 336 /* uprobe */,
#endif
};

static int listed(const int *list, size_t count, long number) {
    for (size_t at = 0; at < count; at++)
        if (list[at] == number)
            return 1;
    return 0;
}

/* The outcome in a process of its own; EINPROGRESS if there is none within five seconds. */
static int outcome_of(long number) {
    int ends[2], outcome = EINPROGRESS;
    if (pipe(ends))
        return errno;
    pid_t child = fork();
    if (child == 0) {
        errno = 0;
        long result = syscall(number, -1L, -1L, -1L, -1L, -1L, -1L);
        outcome = result == -1 ? errno : 0;
        (void)!write(ends[1], &outcome, sizeof outcome);
        /* Not exit_group: the monitor would be told of it, hundreds of times. */
        syscall(SYS_exit, 0);
    }
    close(ends[1]);
    struct pollfd one = {.fd = ends[0], .events = POLLIN};
    if (poll(&one, 1, 5000) == 1)
        (void)!read(ends[0], &outcome, sizeof outcome);
    close(ends[0]);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return outcome;
}

static void name_of(char *name, long number) { sprintf(name, "number %#lx", (unsigned long)number); }

void probe_numbers(void) {
    char name[32];
    for (long number = 0; number <= LAST; number++) {
        if (listed(skipped, sizeof skipped / sizeof *skipped, number))
            continue;
        name_of(name, number);
        int outcome = outcome_of(number);
        if (listed(refused, sizeof refused / sizeof *refused, number))
            expect("system call", name, outcome, EPERM, END);
        else if (number == SYS_socket || number == SYS_socketpair)
            expect("system call", name, outcome, EAFNOSUPPORT, END);
        else if (number == 435 /* clone3 */)
            expect("system call", name, outcome, ENOSYS, END);
        else
            /* The table is whole: whatever else is refused is missing in it. */
            expect("system call", name, outcome == EPERM, 0, END);
    }
    for (long number = LAST + 1; number <= LAST + 100; number++) {
        name_of(name, number);
        expect("system call", name, outcome_of(number), ENOSYS, END);
    }
#ifdef __x86_64__
    /* Those of x32, by which filters of numbers have been gone round. */
    for (long number = 0x40000000; number <= 0x40000000 + 600; number++) {
        name_of(name, number);
        expect("system call", name, outcome_of(number), ENOSYS, END);
    }
    /* Those of 32 bits: the old gate into the kernel. A machine without it kills the caller. */
    for (int number = 0; number <= LAST; number += 7) {
        int status;
        pid_t child = fork();
        if (child == 0) {
            int result = number;
            __asm__ volatile("int $0x80" : "+a"(result) : "b"(-1), "c"(-1), "d"(-1) : "memory", "r8", "r9", "r10", "r11");
            syscall(SYS_exit, result == -ENOSYS ? 0 : 1);
        }
        waitpid(child, &status, 0);
        sprintf(name, "int 0x80 %d", number);
        expect("system call", name, WIFEXITED(status) && WEXITSTATUS(status) != 0, 0, END);
    }
#endif
}
