// One write(2), with O_DIRECT, of which the second half of the data is not there yet: the kernel waits for it
// in the midst of the call. "slow_write FILE BYTES" writes that many A; a line on standard input lets it end.
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc != 3)
        errx(2, "usage: slow_write FILE BYTES");
    size_t size = strtoul(argv[2], NULL, 10), half = size / 2;
    int file = open(argv[1], O_WRONLY | O_DIRECT);
    int faults = syscall(SYS_userfaultfd, O_CLOEXEC);
    struct uffdio_api api = { .api = UFFD_API };
    char *data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct uffdio_register missing = { .range = { .start = (unsigned long)data + half, .len = half },
                                       .mode = UFFDIO_REGISTER_MODE_MISSING };
    if (file < 0 || faults < 0 || data == MAP_FAILED || ioctl(faults, UFFDIO_API, &api)
        || ioctl(faults, UFFDIO_REGISTER, &missing))
        err(1, "%s", argv[1]);
    memset(data, 'A', half);
    pid_t child = fork();
    if (child == 0) {
        char *rest = mmap(NULL, half, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), line;
        memset(rest, 'A', half);
        while (read(0, &line, 1) == 1 && line != '\n')
            ;
        struct uffdio_copy copy = { .dst = missing.range.start, .src = (unsigned long)rest, .len = half };
        _exit(ioctl(faults, UFFDIO_COPY, &copy) ? 1 : 0);
    }
    if (pwrite(file, data, size, 0) != (ssize_t)size || close(file))
        err(1, "write");
    int status;
    return waitpid(child, &status, 0) == child && status == 0 ? 0 : 1;
}
