/* What a session can reach and change of files, and whether a change ever leaves the time of change as it
 * was, by which incs tell what has changed. */
#include "prober.h"

#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <time.h>

static void places(void) {
    static const char *const shut[] = {"/",         "/etc",     "/etc/ssh", "/root", "/root/.ssh", "/usr",
                                       "/usr/bin",  "/usr/sbin", "/bin",    "/sbin", "/lib",       "/lib64",
                                       "/dev",      "/proc",    "/proc/1",  "/proc/self", "/sys",  "/home"};
    static const char *const open_to_it[] = {"/data", "/var", "/var/backup", "/tmp", "/run"};
    char name[64];
    for (size_t at = 0; at < sizeof shut / sizeof *shut; at++) {
        sprintf(name, "%s/prober.file", shut[at]);
        TRY("file", name, open(name, O_WRONLY | O_CREAT, 0600), ANY_FAILURE);
        TRY("file", name, mkdir(name, 0700), ANY_FAILURE);
    }
    for (size_t at = 0; at < sizeof open_to_it / sizeof *open_to_it; at++) {
        sprintf(name, "%s/prober.program", open_to_it[at]);
        int from = open("/proc/self/exe", O_RDONLY), to = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0700);
        TRY("file", name, sendfile(to, from, NULL, 1 << 24) > 0 ? 0 : -1, 0);
        close(to);
        fchmodat(AT_FDCWD, name, 04755, 0);
        TRY("file", "run what was written", execl(name, name, NULL), EACCES);
        to = open(name, O_RDONLY);
        TRY("file", "map what was written as a program",
            mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, to, 0), EPERM);
        void *mapped = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, to, 0);
        TRY("file", "make what was written a program", mprotect(mapped, 4096, PROT_READ | PROT_EXEC), EACCES);
        munmap(mapped, 4096);
        close(to);
        close(from);
        unlink(name);
    }
    static const char *const files[] = {"/etc/passwd", "/etc/shadow", "/etc/ssh/sshd_config",
                                        "/etc/ssh/ssh_host_ed25519_key", "/root/.ssh/authorized_keys",
                                        "/usr/sbin/sshd", "/usr/bin/rsync"};
    for (size_t at = 0; at < sizeof files / sizeof *files; at++) {
        TRY("file", files[at], open(files[at], O_WRONLY | O_APPEND), EROFS, ETXTBSY, EACCES, EPERM);
        TRY("file", files[at], chmod(files[at], 0777), EROFS);
        TRY("file", files[at], unlink(files[at]), EROFS);
        TRY("file", files[at], rename("/data/m", files[at]), EROFS, EXDEV);
        TRY("file", files[at], link(files[at], "/data/prober.link"), EXDEV, EPERM);
        TRY("file", files[at], utimensat(AT_FDCWD, files[at], NULL, 0), EROFS);
    }
    static const char *const hidden[] = {"/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname",
                                         "/proc/sysrq-trigger", "/proc/kcore", "/proc/kmsg", "/proc/kallsyms",
                                         "/proc/keys", "/proc/timer_list", "/proc/sys/vm/drop_caches", "/dev/mem",
                                         "/dev/kmsg", "/dev/loop-control", "/dev/fuse", "/dev/net/tun", "/dev/kvm",
                                         "/dev/vda", "/dev/sda", "/sys/fs/cgroup", "/sys/kernel", "/proc/bus"};
    for (size_t at = 0; at < sizeof hidden / sizeof *hidden; at++) {
        TRY("file", hidden[at], open(hidden[at], O_RDONLY), ANY_FAILURE);
        TRY("file", hidden[at], open(hidden[at], O_WRONLY), ANY_FAILURE);
    }
}

#define SIZE 65536

/* `change` must set the time of change of the file if it changes what is in it. */
#define CHANGE(name, fd, change)                                                                             \
    do {                                                                                                     \
        static char old_[SIZE * 2], new_[SIZE * 2];                                                          \
        struct stat was_, is_;                                                                               \
        settle(fd);                                                                                          \
        ssize_t length_ = pread(fd, old_, sizeof old_, 0);                                                   \
        fstat(fd, &was_);                                                                                    \
        tick();                                                                                              \
        change;                                                                                              \
        fsync(fd);                                                                                           \
        fstat(fd, &is_);                                                                                     \
        int same_ = pread(fd, new_, sizeof new_, 0) == length_ && !memcmp(old_, new_, length_);              \
        int noticed_ = was_.st_ctim.tv_sec != is_.st_ctim.tv_sec || was_.st_ctim.tv_nsec != is_.st_ctim.tv_nsec; \
        expect("change of content", name, same_ || noticed_ ? 0 : EIO, 0, END);                              \
    } while (0)

static void tick(void) { nanosleep(&(struct timespec){0, 20000000}, NULL); }

static void settle(int fd) {
    static char block[SIZE];
    memset(block, 'o', sizeof block);
    ftruncate(fd, SIZE);
    pwrite(fd, block, sizeof block, 0);
    fsync(fd);
}

static void changes(void) {
    static char data[SIZE];
    memset(data, 'n', sizeof data);
    int fd = open("/data/prober.change", O_RDWR | O_CREAT | O_TRUNC, 0600);
    int source = open("/data/prober.source", O_RDWR | O_CREAT | O_TRUNC, 0600);
    int direct = open("/data/prober.change", O_RDWR | O_DIRECT), ends[2];
    pwrite(source, data, sizeof data, 0);
    fsync(source);
    struct iovec part = {data, 4096};
    CHANGE("pwrite", fd, pwrite(fd, data, 4096, 0));
    CHANGE("pwritev2", fd, pwritev2(fd, &part, 1, 0, RWF_DSYNC));
    CHANGE("a direct write", fd, {
        void *aligned;
        if (!posix_memalign(&aligned, 4096, 4096)) {
            memset(aligned, 'd', 4096);
            pwrite(direct, aligned, 4096, 0);
            free(aligned);
        }
    });
    CHANGE("ftruncate", fd, ftruncate(fd, 100));
    CHANGE("a mapping", fd, {
        char *mapped = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        mapped[0] = 'm';
        munmap(mapped, SIZE);
    });
    static const struct {
        const char *name;
        int mode;
    } modes[] = {
        {"a hole", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE}, {"zeros", FALLOC_FL_ZERO_RANGE},
        {"a collapsed range", FALLOC_FL_COLLAPSE_RANGE},        {"an inserted range", FALLOC_FL_INSERT_RANGE},
        {"unshared blocks", FALLOC_FL_UNSHARE_RANGE},           {"allocated zeros", 0x80},
    };
    for (size_t at = 0; at < sizeof modes / sizeof *modes; at++)
        CHANGE(modes[at].name, fd, fallocate(fd, modes[at].mode, 4096, 8192));
    CHANGE("copy_file_range", fd, copy_file_range(source, &(off_t){0}, fd, &(off_t){0}, 8192, 0));
    CHANGE("sendfile", fd, {
        lseek(fd, 0, SEEK_SET);
        lseek(source, 0, SEEK_SET);
        sendfile(fd, source, NULL, 8192);
    });
    CHANGE("splice", fd, {
        if (!pipe(ends)) {
            (void)!write(ends[1], data, 4096);
            splice(ends[0], NULL, fd, &(off_t){0}, 4096, 0);
            close(ends[0]);
            close(ends[1]);
        }
    });
    CHANGE("FICLONE", fd, ioctl(fd, FICLONE, source));
    CHANGE("FICLONERANGE", fd,
           ioctl(fd, FICLONERANGE, &((struct file_clone_range){.src_fd = source, .src_length = 8192})));
    close(fd);
    close(source);
    close(direct);
    unlink("/data/prober.change");
    unlink("/data/prober.source");
}

void probe_files(void) {
    places();
    changes();
}
