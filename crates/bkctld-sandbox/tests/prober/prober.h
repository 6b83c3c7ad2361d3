/* What the parts of the prober share. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Whether the jail is in compat isolation. */
extern int compat;

/* An outcome is 0 for success, else an error number. */
#define END -1
#define ANY_FAILURE -2

/* Counts an attempt, and reports it unless its outcome is one of those listed, up to END. */
void expect(const char *kind, const char *name, int outcome, ...);

/* Makes the call, and expects one of the outcomes. */
#define TRY(kind, name, call, ...)                                                                           \
    do {                                                                                                     \
        errno = 0;                                                                                           \
        long result_ = (long)(call);                                                                         \
        expect(kind, name, result_ == -1 ? errno : 0, __VA_ARGS__, END);                                     \
    } while (0)

/* The parts. */
void probe_numbers(void);
void probe_calls(void);
void probe_limits(void);
void probe_ioctls(void);
void probe_sockets(void);
void probe_files(void);
/* With the accepted socket, and the port of a service of the server. */
void probe_accepted(int fd, int port);
