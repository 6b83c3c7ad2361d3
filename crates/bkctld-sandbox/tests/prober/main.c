/* Tries, inside of a session, whatever could lead out of it, and says what went otherwise than it must.
 *
 * The test puts it into the jail's programs, either beside the others or in the place of sshd, as code would
 * be that has taken sshd over. `/data/prober.conf` says the isolation, and the port of a service of the
 * server. In C and linked statically: each attempt is a raw system call, for which Rust has `unsafe` only,
 * and the jail has no libraries that the prober could count on. */
#include "prober.h"

int compat;

static FILE *report;
static int unexpected;

/* Attempts by kind. */
static struct {
    const char *kind;
    int count;
} counts[16];

static void count(const char *kind) {
    int at = 0;
    while (counts[at].kind && strcmp(counts[at].kind, kind))
        at++;
    counts[at].kind = kind;
    counts[at].count++;
}

static const char *word(int outcome) {
    if (outcome == 0)
        return "success";
    if (outcome == ANY_FAILURE)
        return "a failure";
    const char *name = strerrorname_np(outcome);
    return name ? name : "an unknown error";
}

void expect(const char *kind, const char *name, int outcome, ...) {
    count(kind);
    va_list list;
    va_start(list, outcome);
    for (int one; (one = va_arg(list, int)) != END;)
        if (one == outcome || (one == ANY_FAILURE && outcome != 0)) {
            va_end(list);
            return;
        }
    va_end(list);
    unexpected++;
    fprintf(report, "unexpected: %s: %s: %s; expected", kind, name, word(outcome));
    va_start(list, outcome);
    for (int one; (one = va_arg(list, int)) != END;)
        fprintf(report, " %s", word(one));
    va_end(list);
    fprintf(report, "\n");
    fflush(report);
}

/* As sshd does, or the jail would not start; goes on when the test says so, which the listener's own look
 * at sshd does not. */
static void greet(void) {
    char said = 0;
    (void)!write(1, "SSH-2.0-prober\r\n", 16);
    while (said != '\n')
        if (read(0, &said, 1) != 1)
            exit(0);
}

int main(int argc, char **argv) {
    (void)argc;
    const char *name = strrchr(argv[0], '/');
    int as_sshd = !strcmp(name ? name + 1 : argv[0], "sshd");
    if (as_sshd)
        greet();
    report = as_sshd ? fopen("/data/prober.report", "w") : stdout;
    FILE *conf = fopen("/data/prober.conf", "r");
    char isolation[16];
    int port;
    if (!report || !conf || fscanf(conf, "%15s %d", isolation, &port) != 2) {
        fprintf(stderr, "prober: no report, or no /data/prober.conf\n");
        return 2;
    }
    fclose(conf);
    compat = !strcmp(isolation, "compat");

    probe_numbers();
    probe_calls();
    probe_limits();
    probe_ioctls();
    probe_sockets();
    probe_files();
    if (as_sshd)
        probe_accepted(0, port);

    int all = 0;
    for (int at = 0; counts[at].kind; at++) {
        fprintf(report, "tried: %s: %d\n", counts[at].kind, counts[at].count);
        all += counts[at].count;
    }
    fprintf(report, "tried: all: %d\nunexpected in all: %d\n", all, unexpected);
    /* The test waits for the last line. */
    fflush(report);
    return unexpected != 0;
}
