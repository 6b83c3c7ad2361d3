/* Calls that would do something if nothing refused them, with the arguments that it takes. */
#include "prober.h"

#include <linux/ioprio.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>

#define CALL(name, ...) TRY("attempt", name, syscall(__VA_ARGS__), EPERM)

static const struct {
    const char *name;
    unsigned long flag;
} namespaces[] = {
    {"user", 0x10000000}, {"mount", 0x20000},    {"net", 0x40000000}, {"pid", 0x20000000},
    {"ipc", 0x8000000},   {"uts", 0x4000000},    {"cgroup", 0x2000000}, {"time", 0x80},
};

static void mounts(void) {
    mkdir("/data/m", 0755);
    CALL("mount tmpfs", SYS_mount, "none", "/data/m", "tmpfs", 0L, 0L);
    CALL("mount proc", SYS_mount, "none", "/data/m", "proc", 0L, 0L);
    CALL("bind mount", SYS_mount, "/usr", "/data/m", "", (long)MS_BIND, 0L);
    CALL("remount the root writable", SYS_mount, "none", "/", "", (long)MS_REMOUNT, 0L);
    CALL("remount the data with devices", SYS_mount, "none", "/data", "", (long)(MS_REMOUNT | MS_BIND), 0L);
    CALL("make mounts shared", SYS_mount, "none", "/", "", (long)(MS_SHARED | MS_REC), 0L);
    CALL("unmount /usr", SYS_umount2, "/usr", 2L);
    CALL("unmount /proc", SYS_umount2, "/proc", 2L);
    CALL("pivot_root", SYS_pivot_root, "/data", "/data/m");
    CALL("open_tree", 428L, (long)AT_FDCWD, "/", 1L);
    TRY("attempt", "open_tree_attr", syscall(467L, (long)AT_FDCWD, "/", 1L, 0L, 0L), ENOSYS);
    CALL("move_mount", 429L, (long)AT_FDCWD, "/usr", (long)AT_FDCWD, "/data/m", 0L);
    CALL("fsopen", 430L, "tmpfs", 0L);
    CALL("fspick", 433L, (long)AT_FDCWD, "/data", 0L);
    uint64_t attributes[4] = {0, 1, 0, 0};
    CALL("mount_setattr", 442L, (long)AT_FDCWD, "/usr", 0L, attributes, 32L);
    uint64_t request[4] = {32, UINT64_MAX, 0, 0}, answer[64];
    CALL("listmount", 458L, request, answer, 64L, 0L);
}

static void other_namespaces(void) {
    char name[32];
    for (size_t at = 0; at < sizeof namespaces / sizeof *namespaces; at++) {
        sprintf(name, "unshare %s", namespaces[at].name);
        CALL(name, SYS_unshare, namespaces[at].flag);
        /* CLONE_NEWTIME is none of clone's: its bit belongs to the signal. */
        if (namespaces[at].flag == 0x80)
            continue;
        sprintf(name, "clone %s", namespaces[at].name);
        errno = 0;
        long pid = syscall(SYS_clone, namespaces[at].flag | SIGCHLD, 0L, 0L, 0L, 0L);
        if (pid == 0)
            _exit(0);
        expect("attempt", name, pid == -1 ? errno : 0, EPERM, END);
        uint64_t args[11] = {namespaces[at].flag, 0, 0, 0, SIGCHLD};
        sprintf(name, "clone3 %s", namespaces[at].name);
        errno = 0;
        pid = syscall(435L, args, sizeof args);
        if (pid == 0)
            _exit(0);
        expect("attempt", name, pid == -1 ? errno : 0, ENOSYS, END);
    }
    static const char *const kinds[] = {"mnt", "net", "user", "pid", "uts", "ipc", "cgroup"};
    for (size_t at = 0; at < sizeof kinds / sizeof *kinds; at++) {
        sprintf(name, "/proc/self/ns/%s", kinds[at]);
        int fd = open(name, O_RDONLY);
        CALL(name, SYS_setns, (long)fd, 0L);
        close(fd);
        sprintf(name, "/proc/1/ns/%s", kinds[at]);
        TRY("attempt", name, open(name, O_RDONLY), ANY_FAILURE);
    }
}

static void other_processes(void) {
    static char buffer[64];
    struct {
        void *base;
        size_t len;
    } mine = {buffer, sizeof buffer};
    CALL("ptrace: trace me", SYS_ptrace, 0L, 0L, 0L, 0L);
    CALL("ptrace: attach to init", SYS_ptrace, 16L, 1L, 0L, 0L);
    CALL("ptrace: seize the parent", SYS_ptrace, 0x4206L, (long)getppid(), 0L, 0L);
    CALL("process_vm_readv of the parent", SYS_process_vm_readv, (long)getppid(), &mine, 1L, &mine, 1L, 0L);
    CALL("process_vm_writev of the parent", SYS_process_vm_writev, (long)getppid(), &mine, 1L, &mine, 1L, 0L);
    int self = (int)syscall(SYS_pidfd_open, (long)getpid(), 0L);
    CALL("pidfd_getfd", 438L, (long)self, 0L, 0L);
    CALL("setns by pidfd", SYS_setns, (long)self, 0x20000L);
    CALL("kcmp", SYS_kcmp, (long)getpid(), (long)getppid(), 0L, 0L, 0L);
    TRY("attempt", "memory of init", open("/proc/1/mem", O_RDWR), ANY_FAILURE);
    /* Newer kernels let CAP_SYS_ADMIN open it; then nothing is in it. */
    char byte;
    int environment = open("/proc/1/environ", O_RDONLY);
    int outcome = environment == -1 ? errno : ENODATA;
    while (outcome == ENODATA && read(environment, &byte, 1) == 1)
        if (byte)
            outcome = 0;
    expect("attempt", "environment of init", outcome, EACCES, ENODATA, END);
    close(environment);
    TRY("attempt", "program of init", open("/proc/1/exe", O_RDONLY), ANY_FAILURE);
    TRY("attempt", "root of init", open("/proc/1/root/etc", O_RDONLY), ANY_FAILURE);
    TRY("attempt", "real time", sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 1}), EPERM);
    /* Better than whatever the one has that runs the tests. */
    TRY("attempt", "a better nice value", setpriority(PRIO_PROCESS, 0, -20), EPERM, EACCES);
    close(self);
}

static void interfaces(void) {
    static char page[4096];
    uint64_t zero[32] = {0};
    CALL("add_key", SYS_add_key, "user", "x", "y", 1L, -3L);
    CALL("request_key", SYS_request_key, "user", "x", 0L, -3L);
    CALL("keyctl: join a session", SYS_keyctl, 1L, 0L, 0L, 0L, 0L);
    CALL("bpf: map", SYS_bpf, 0L, zero, 72L);
    CALL("bpf: program", SYS_bpf, 5L, zero, 128L);
    CALL("perf_event_open", SYS_perf_event_open, zero, 0L, -1L, -1L, 0L);
    CALL("userfaultfd", SYS_userfaultfd, 1L);
    CALL("io_uring_setup", 425L, 2L, zero);
    CALL("memfd_create", SYS_memfd_create, "x", 0L);
    CALL("fanotify_init", SYS_fanotify_init, 0L, 0L);
    struct {
        unsigned bytes;
        int type;
        char data[128];
    } handle = {.bytes = 128};
    int mount_id, data = open("/data", O_RDONLY | O_DIRECTORY);
    TRY("attempt", "name_to_handle_at", syscall(SYS_name_to_handle_at, (long)data, "", &handle, &mount_id, 0x1000L), 0);
    CALL("open_by_handle_at", SYS_open_by_handle_at, (long)data, &handle, 0L);
    close(data);
    TRY("attempt", "kernel log", syscall(SYS_syslog, 3L, page, 4096L), EPERM);
    CALL("accounting", SYS_acct, "/data/m");
    CALL("swapon", SYS_swapon, "/data/m", 0L);
    CALL("quotactl", SYS_quotactl, 0x80000100L, "/dev/loop0", 0L, 0L);
    CALL("init_module", SYS_init_module, page, 0L, "");
    CALL("kexec_load", SYS_kexec_load, 0L, 0L, 0L, 0L);
    CALL("reboot", SYS_reboot, 0xfee1deadL, 0x28121969L, 0L, 0L);
    CALL("sethostname", SYS_sethostname, "owned", 5L);
    CALL("settimeofday", SYS_settimeofday, zero, 0L);
    CALL("personality: addresses that are not random", SYS_personality, 0x40000L);
    CALL("personality: reading is executing", SYS_personality, 0x400000L);
#ifdef __x86_64__
    CALL("iopl", SYS_iopl, 3L);
    CALL("modify_ldt", SYS_modify_ldt, 1L, zero, 16L);
#endif
}

static void nodes(void) {
    int device = compat ? 0 : EPERM;
    static const char *const places[] = {"/data", "/var", "/tmp", "/run"};
    char name[48];
    for (size_t at = 0; at < sizeof places / sizeof *places; at++) {
        sprintf(name, "%s/prober.block", places[at]);
        TRY("attempt", name, syscall(SYS_mknodat, (long)AT_FDCWD, name, (long)(S_IFBLK | 0600), 0x700L), device);
        TRY("attempt", name, open(name, O_RDONLY), compat ? EACCES : ENOENT);
        unlink(name);
        sprintf(name, "%s/prober.char", places[at]);
        TRY("attempt", name, syscall(SYS_mknodat, (long)AT_FDCWD, name, (long)(S_IFCHR | 0600), 0x101L), device);
        TRY("attempt", name, open(name, O_RDONLY), compat ? EACCES : ENOENT);
        unlink(name);
    }
    TRY("attempt", "/dev/prober", mknod("/dev/prober", S_IFBLK | 0600, 0x700), EROFS, EPERM);
}

void probe_calls(void) {
    mounts();
    other_namespaces();
    other_processes();
    interfaces();
    nodes();
}

/* With a core limit of 1 the kernel starts no handler of core files; with any other it does, even with 0. */
static void core_files(void) {
    struct rlimit now, zero = {0, 0}, one = {1, 1}, large = {RLIM_INFINITY, RLIM_INFINITY};
    TRY("limit", "read the limit of core files", getrlimit(RLIMIT_CORE, &now), 0);
    TRY("limit", "it is 1 and 1", now.rlim_cur == 1 && now.rlim_max == 1 ? 0 : (errno = ERANGE, -1), 0);
    const struct rlimit *const limits[] = {&zero, &one, &large};
    for (size_t at = 0; at < sizeof limits / sizeof *limits; at++) {
        TRY("limit", "prlimit64 of core files", syscall(SYS_prlimit64, 0L, (long)RLIMIT_CORE, limits[at], 0L), EPERM);
        TRY("limit", "prlimit64 of init's", syscall(SYS_prlimit64, 1L, (long)RLIMIT_CORE, limits[at], 0L), EPERM);
        TRY("limit", "prlimit64 with more bits", syscall(SYS_prlimit64, 0L, 0x100000000L + RLIMIT_CORE, limits[at], 0L), EPERM);
#ifdef SYS_setrlimit
        TRY("limit", "setrlimit of core files", syscall(SYS_setrlimit, (long)RLIMIT_CORE, limits[at]), EPERM);
#endif
    }
}

/* What would break memory of the server, or take its disks for this session. */
static void breaking(void) {
    long size = sysconf(_SC_PAGESIZE);
    char *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *page = 1;
    TRY("limit", "madvise: a broken page", syscall(SYS_madvise, page, size, 100L), EPERM);
    TRY("limit", "madvise: a page to be retired", syscall(SYS_madvise, page, size, 101L), EPERM);
    TRY("limit", "madvise: not needed", syscall(SYS_madvise, page, size, (long)MADV_DONTNEED), 0);
    munmap(page, size);
    for (long level = 0; level < 8; level++)
        TRY("limit", "ioprio_set: real time", syscall(SYS_ioprio_set, 1L, 0L, IOPRIO_CLASS_RT << IOPRIO_CLASS_SHIFT | level), EPERM);
    TRY("limit", "ioprio_set: best effort", syscall(SYS_ioprio_set, 1L, 0L, IOPRIO_CLASS_BE << IOPRIO_CLASS_SHIFT | 7L), 0);
    TRY("limit", "ioprio_set: idle", syscall(SYS_ioprio_set, 1L, 0L, (long)IOPRIO_CLASS_IDLE << IOPRIO_CLASS_SHIFT), 0);
}

void probe_limits(void) {
    core_files();
    breaking();
}
