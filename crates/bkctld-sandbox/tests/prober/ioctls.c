/* Ioctls: nearly every number on no descriptor, and those that matter on what they are for. */
#include "prober.h"

#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <linux/btrfs.h>
#include <linux/fs.h>
#include <linux/fscrypt.h>
#include <linux/fsverity.h>
#include <linux/nsfs.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>

#ifndef FIGETBSZ
#define FIGETBSZ _IO(0, 2)
#endif
#ifndef FIDEDUPERANGE
#define FIDEDUPERANGE _IOWR(0x94, 54, struct file_dedupe_range)
#endif

/* All that programs of a session need. */
static const unsigned allowed[] = {
    TCGETS, TCSETS, TCSETSW, TCSETSF, TCGETS2, TCSETS2, TCSETSW2, TCSETSF2, TCSBRK, TCXONC, TCFLSH, TIOCSCTTY,
    TIOCNOTTY, TIOCGPGRP, TIOCSPGRP, TIOCGSID, TIOCGWINSZ, TIOCSWINSZ, TIOCGPTN, TIOCSPTLCK, TIOCGPTPEER, TIOCOUTQ,
    FIONREAD, FIONBIO, FIOASYNC, FIOCLEX, FIONCLEX, FIGETBSZ, FICLONE, FICLONERANGE, FIDEDUPERANGE,
    _IOWR('f', 11, char[32]) /* FS_IOC_FIEMAP */, FS_IOC_GETFLAGS, FS_IOC_FSGETXATTR,
};

static void number(unsigned command) {
    char name[32];
    int outcome = EPERM;
    for (size_t at = 0; at < sizeof allowed / sizeof *allowed; at++)
        if (allowed[at] == command)
            outcome = EBADF;
    sprintf(name, "%#x", command);
    errno = 0;
    ioctl(-1, command, 0);
    expect("ioctl", name, errno, outcome, END);
}

/* With no descriptor: what passes the filter says so, EBADF, and does nothing. */
static void all_numbers(void) {
    /* Old ones have neither size nor direction. */
    for (unsigned command = 0; command < 0x10000; command++)
        number(command);
    /* Others consist of a letter, a number, the size of their argument, and its direction. */
    static const unsigned char letters[] = {0x12, 0x15, 0x22, 0x54, 0x58, 0x66, 0x67, 0x6d, 0x76, 0x77, 0x7a,
                                            0x89, 0x94, 0xae, 0xb7, 0xb8, 0xf5, 0xfe, 0xff, '!', '$', 'E', 'U', 'i'};
    static const unsigned sizes[] = {1,  2,  4,  8,  12, 16, 20, 24,  28,  32,  36,  40,  44,  48,   56,  60,
                                     64, 72, 80, 88, 96, 104, 112, 128, 136, 144, 192, 248, 256, 504, 1024, 4096};
    for (size_t letter = 0; letter < sizeof letters; letter++)
        for (unsigned one = 0; one < 256; one++)
            for (size_t size = 0; size < sizeof sizes / sizeof *sizes; size++)
                for (unsigned direction = 1; direction < 4; direction++)
                    number(_IOC(direction, letters[letter], one, sizes[size]));
}

#define FILES(name, ...) TRY("ioctl on a file", name, ioctl(__VA_ARGS__), EPERM)

static void on_data(int dir, int file) {
    static struct btrfs_ioctl_vol_args volume = {.name = "prober.volume"};
    static struct btrfs_ioctl_vol_args_v2 volume2 = {.name = "prober.volume2"};
    uint64_t flags = BTRFS_SUBVOL_RDONLY;
    long attributes = FS_IMMUTABLE_FL, word = 0;
    struct fsxattr extended = {.fsx_xflags = FS_XFLAG_PROJINHERIT, .fsx_projid = 7};
    char buffer[4096] = {0};
    FILES("BTRFS_IOC_SUBVOL_CREATE", dir, BTRFS_IOC_SUBVOL_CREATE, &volume);
    FILES("BTRFS_IOC_SUBVOL_CREATE_V2", dir, BTRFS_IOC_SUBVOL_CREATE_V2, &volume2);
    volume.fd = volume2.fd = dir;
    FILES("BTRFS_IOC_SNAP_CREATE", dir, BTRFS_IOC_SNAP_CREATE, &volume);
    FILES("BTRFS_IOC_SNAP_CREATE_V2", dir, BTRFS_IOC_SNAP_CREATE_V2, &volume2);
    FILES("BTRFS_IOC_SNAP_DESTROY", dir, BTRFS_IOC_SNAP_DESTROY, &volume);
    FILES("BTRFS_IOC_SUBVOL_SETFLAGS", dir, BTRFS_IOC_SUBVOL_SETFLAGS, &flags);
    FILES("BTRFS_IOC_DEFRAG", file, BTRFS_IOC_DEFRAG, NULL);
    FILES("BTRFS_IOC_SYNC", dir, BTRFS_IOC_SYNC, NULL);
    FILES("BTRFS_IOC_TREE_SEARCH", dir, BTRFS_IOC_TREE_SEARCH, buffer);
    FILES("BTRFS_IOC_INO_LOOKUP_USER", dir, BTRFS_IOC_INO_LOOKUP_USER, buffer);
    FILES("BTRFS_IOC_GET_SUBVOL_INFO", dir, BTRFS_IOC_GET_SUBVOL_INFO, buffer);
    FILES("BTRFS_IOC_ENCODED_READ", file, _IOR(0x94, 64, char[128]), buffer);
    FILES("BTRFS_IOC_ENCODED_WRITE", file, _IOW(0x94, 64, char[128]), buffer);
    FILES("FS_IOC_SETFLAGS", file, FS_IOC_SETFLAGS, &attributes);
    attributes = FS_NOCOW_FL;
    FILES("FS_IOC_SETFLAGS: no copy on write", dir, FS_IOC_SETFLAGS, &attributes);
    FILES("FS_IOC_FSSETXATTR", file, FS_IOC_FSSETXATTR, &extended);
    FILES("FS_IOC_SETVERSION", file, _IOW('v', 2, long), &word);
    FILES("FIFREEZE", dir, FIFREEZE, 0);
    FILES("FITRIM", dir, FITRIM, buffer);
    FILES("FIBMAP", file, FIBMAP, &word);
    FILES("FS_IOC_SET_ENCRYPTION_POLICY", dir, FS_IOC_SET_ENCRYPTION_POLICY, buffer);
    FILES("FS_IOC_ENABLE_VERITY", file, FS_IOC_ENABLE_VERITY, buffer);
    FILES("FS_IOC_SETFSLABEL", dir, FS_IOC_SETFSLABEL, buffer);
    FILES("FS_IOC_START_COMMIT", file, _IOR('X', 130, char[80]), buffer);
    FILES("FS_IOC_RESVSP", file, _IOW('X', 40, char[48]), buffer);
    FILES("FS_IOC_ZERO_RANGE", file, _IOW('X', 57, char[48]), buffer);
    FILES("XFS_IOC_FREE_EOFBLOCKS", file, _IOR('X', 58, char[128]), buffer);
    FILES("XFS_IOC_SWAPEXT", file, _IOWR('X', 109, char[192]), buffer);
    FILES("XFS_IOC_BULKSTAT", dir, _IOR('X', 127, char[64]), buffer);
    FILES("XFS_IOC_OPEN_BY_HANDLE", dir, _IOWR('X', 107, char[56]), buffer);
    FILES("XFS_IOC_GOINGDOWN", dir, _IOR('X', 125, uint32_t), &word);
    FILES("EXT4_IOC_SWAP_BOOT", file, _IO('f', 17), NULL);
    FILES("EXT4_IOC_MIGRATE", file, _IO('f', 9), NULL);
    FILES("EXT4_IOC_SHUTDOWN", dir, _IOR('X', 125, uint32_t), &word);
}

/* Exchanging content keeps the time of change, by which incs tell what has changed. */
static void exchange(int file, int other) {
    struct {
        uint32_t reserved, donor_fd;
        uint64_t orig_start, donor_start, len, moved_len;
    } move = {.donor_fd = other, .len = 4};
    struct {
        int32_t file1_fd;
        uint32_t pad;
        uint64_t file1_offset, file2_offset, length, flags;
    } range = {.file1_fd = other, .length = 16384};
    FILES("EXT4_IOC_MOVE_EXT", file, _IOWR('f', 15, char[40]), &move);
    FILES("XFS_IOC_EXCHANGE_RANGE", file, _IOW('X', 129, char[40]), &range);
}

static void on_others(void) {
    static const unsigned char for_namespaces[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    char name[48], letter = 'x';
    int namespace = open("/proc/self/ns/net", O_RDONLY), self = (int)syscall(SYS_pidfd_open, (long)getpid(), 0L);
    for (size_t at = 0; at < sizeof for_namespaces; at++) {
        sprintf(name, "of a namespace: %d", for_namespaces[at]);
        TRY("ioctl on another", name, ioctl(namespace, _IO(0xb7, for_namespaces[at])), EPERM);
        sprintf(name, "of a process: %d", for_namespaces[at]);
        TRY("ioctl on another", name, ioctl(self, _IO(0xff, for_namespaces[at])), EPERM);
    }
    int master = posix_openpt(O_RDWR | O_NOCTTY), discipline = 21, slave = -1;
    TRY("ioctl on another", "a terminal of its own", master, 0, master);
    if (master >= 0 && !grantpt(master) && !unlockpt(master))
        slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
    struct termios2 settings;
    TRY("ioctl on another", "TCGETS2", ioctl(slave, TCGETS2, &settings), 0);
    TRY("ioctl on another", "TIOCSTI", ioctl(slave, TIOCSTI, &letter), EPERM);
    TRY("ioctl on another", "TIOCLINUX", ioctl(slave, TIOCLINUX, &letter), EPERM);
    TRY("ioctl on another", "TIOCSETD", ioctl(slave, TIOCSETD, &discipline), EPERM);
    TRY("ioctl on another", "TIOCCONS", ioctl(slave, TIOCCONS), EPERM);
    TRY("ioctl on another", "TIOCVHANGUP", ioctl(slave, TIOCVHANGUP), EPERM);
    TRY("ioctl on another", "TIOCPKT", ioctl(master, TIOCPKT, &discipline), EPERM);
    TRY("ioctl on another", "upper half of the number", syscall(SYS_ioctl, (long)slave, 0x100000000L + TIOCSTI, &letter), EPERM);
    close(slave);
    close(master);
    close(self);
    close(namespace);
}

void probe_ioctls(void) {
    char block[16384];
    int dir = open("/data", O_RDONLY | O_DIRECTORY);
    int file = open("/data/prober.a", O_RDWR | O_CREAT | O_TRUNC, 0600);
    int other = open("/data/prober.b", O_RDWR | O_CREAT | O_TRUNC, 0600);
    memset(block, 'a', sizeof block);
    TRY("ioctl on a file", "a file to try them on", write(file, block, sizeof block) == sizeof block ? 0 : -1, 0);
    memset(block, 'b', sizeof block);
    TRY("ioctl on a file", "another", write(other, block, sizeof block) == sizeof block ? 0 : -1, 0);
    fsync(file);
    fsync(other);
    all_numbers();
    struct stat before, after;
    fstat(other, &before);
    exchange(file, other);
    on_data(dir, file);
    fstat(other, &after);
    char byte = 0;
    /* From the disk, not from memory. */
    posix_fadvise(other, 0, 0, POSIX_FADV_DONTNEED);
    pread(other, &byte, 1, 0);
    int kept = before.st_ctim.tv_sec == after.st_ctim.tv_sec && before.st_ctim.tv_nsec == after.st_ctim.tv_nsec;
    TRY("ioctl on a file", "content changes and its time does not", kept && byte != 'b' ? 0 : (errno = EPERM, -1), EPERM);
    on_others();
    close(dir);
    close(file);
    close(other);
    unlink("/data/prober.a");
    unlink("/data/prober.b");
}
