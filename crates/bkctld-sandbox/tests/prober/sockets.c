/* Sockets: those that a session makes, and the one that it was given. */
#include "prober.h"

#include <arpa/inet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

static void kinds(void) {
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_RDM, SOCK_SEQPACKET, SOCK_DCCP, SOCK_PACKET};
    static const int protocols[] = {0, 1, 2, 3, 6, 16, 17, 33, 58, 132, 136, 255, 256, 262, 0x300};
    char name[64];
    for (int family = 0; family < 64; family++)
        for (size_t type = 0; type < sizeof types / sizeof *types; type++)
            for (size_t protocol = 0; protocol < sizeof protocols / sizeof *protocols; protocol++) {
                int pair[2];
                int ours = family == AF_UNIX && protocols[protocol] <= 1;
                int refused = family == AF_UNIX ? EPROTONOSUPPORT : EAFNOSUPPORT;
                sprintf(name, "socket(%d, %d, %d)", family, types[type], protocols[protocol]);
                errno = 0;
                int fd = socket(family, types[type], protocols[protocol]);
                int outcome = fd == -1 ? errno : 0;
                close(fd);
                if (ours)
                    expect("kind of socket", name, outcome, 0, ESOCKTNOSUPPORT, END);
                else
                    expect("kind of socket", name, outcome, refused, END);
                sprintf(name, "socketpair(%d, %d, %d)", family, types[type], protocols[protocol]);
                errno = 0;
                outcome = socketpair(family, types[type], protocols[protocol], pair) ? errno : 0;
                if (outcome == 0) {
                    close(pair[0]);
                    close(pair[1]);
                }
                if (ours)
                    expect("kind of socket", name, outcome, 0, ESOCKTNOSUPPORT, END);
                else
                    expect("kind of socket", name, outcome, refused, END);
            }
}

/* With no descriptor: what passes the filter says so, EBADF, and does nothing. */
static void options(void) {
    static const int levels[] = {0, 1, 6, 17, 41, 58, 132, 255, 262, 263, 268, 270, 271, 272, 273, 282, 284, 285, 286};
    char name[64];
    for (size_t at = 0; at < sizeof levels / sizeof *levels; at++)
        for (int option = -1; option < 300; option++) {
            int level = levels[at], one = 1;
            int needed = (level == SOL_SOCKET && (option == SO_KEEPALIVE || option == SO_REUSEADDR || option == SO_SNDBUF
                                                  || option == SO_RCVBUF || option == SO_LINGER || option == SO_RCVLOWAT
                                                  || option == SO_RCVTIMEO || option == SO_SNDTIMEO))
                || (level == IPPROTO_TCP && (option == TCP_NODELAY || option == TCP_CORK || option == TCP_KEEPIDLE
                                             || option == TCP_KEEPINTVL || option == TCP_KEEPCNT || option == TCP_QUICKACK
                                             || option == TCP_USER_TIMEOUT))
                || (level == IPPROTO_IP && option == IP_TOS) || (level == IPPROTO_IPV6 && option == IPV6_TCLASS);
            sprintf(name, "option %d of level %d", option, level);
            errno = 0;
            setsockopt(-1, level, option, &one, sizeof one);
            expect("socket option", name, errno, needed ? EBADF : EPERM, END);
        }
}

static void local_sockets(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/data/prober.socket"};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    TRY("socket call", "bind to a path", bind(fd, (struct sockaddr *)&address, sizeof address), EPERM);
    TRY("socket call", "listen", listen(fd, 1), EPERM);
    TRY("socket call", "connect to a path", connect(fd, (struct sockaddr *)&address, sizeof address), EPERM);
    memcpy(address.sun_path, "\0bkctld-test", 12);
    TRY("socket call", "connect to an abstract name", connect(fd, (struct sockaddr *)&address, 14), EPERM);
    close(fd);
    fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    TRY("socket call", "send to an abstract name", sendto(fd, "x", 1, 0, (struct sockaddr *)&address, 14), ECONNREFUSED);
    close(fd);
}

void probe_sockets(void) {
    kinds();
    options();
    local_sockets();
}

static void fast_open(int fd, struct sockaddr_in *to) {
    struct iovec data = {"x", 1};
    struct msghdr message = {.msg_name = to, .msg_namelen = sizeof *to, .msg_iov = &data, .msg_iovlen = 1};
    struct mmsghdr messages = {.msg_hdr = message};
    struct sockaddr *address = (struct sockaddr *)to;
    TRY("accepted socket", "sendto that connects", sendto(fd, "x", 1, MSG_FASTOPEN | MSG_DONTWAIT, address, sizeof *to), EPERM);
    TRY("accepted socket", "sendmsg that connects", sendmsg(fd, &message, MSG_FASTOPEN | MSG_DONTWAIT), EPERM);
    TRY("accepted socket", "sendmmsg that connects", sendmmsg(fd, &messages, 1, MSG_FASTOPEN | MSG_DONTWAIT), EPERM);
}

static void interfaces_of_the_server(int fd) {
    char name[32];
    union {
        struct ifreq one;
        struct ifconf all;
        char space[4096];
    } request;
    for (unsigned long number = 0x8900; number < 0x8a00; number++) {
        memset(&request, 0, sizeof request);
        strcpy(request.one.ifr_name, "lo");
        sprintf(name, "ioctl %#lx", number);
        TRY("accepted socket", name, ioctl(fd, number, &request), EPERM);
    }
    char list[1024];
    request.all.ifc_len = sizeof list;
    request.all.ifc_buf = list;
    TRY("accepted socket", "the list of interfaces", ioctl(fd, SIOCGIFCONF, &request), EPERM);
}

static void other_ways(int fd) {
    unsigned char route[] = {0x83, 7, 4, 127, 0, 0, 1, 0};
    int one = 1;
    struct {
        uint16_t len;
        uint64_t code;
    } filter = {1, 0};
    struct ip_mreqn group = {.imr_multiaddr = {htonl(0xe0000001)}};
#define SET(name, level, option, value) \
    TRY("accepted socket", name, setsockopt(fd, level, option, &value, sizeof value), EPERM)
    SET("SO_BINDTODEVICE", SOL_SOCKET, SO_BINDTODEVICE, "lo");
    SET("SO_BINDTOIFINDEX", SOL_SOCKET, 62, one);
    SET("SO_ATTACH_FILTER", SOL_SOCKET, SO_ATTACH_FILTER, filter);
    SET("SO_MARK", SOL_SOCKET, SO_MARK, one);
    SET("SO_ZEROCOPY", SOL_SOCKET, 60, one);
    SET("IP_OPTIONS with a route", IPPROTO_IP, IP_OPTIONS, route);
    SET("IP_ADD_MEMBERSHIP", IPPROTO_IP, IP_ADD_MEMBERSHIP, group);
    SET("IP_TRANSPARENT", IPPROTO_IP, IP_TRANSPARENT, one);
    SET("IPV6_ADDRFORM", IPPROTO_IPV6, 1, one);
    SET("TCP_ULP", IPPROTO_TCP, TCP_ULP, "tls");
    SET("TCP_FASTOPEN_CONNECT", IPPROTO_TCP, 30, one);
    SET("TCP_REPAIR", IPPROTO_TCP, TCP_REPAIR, one);
    /* What sshd sets itself goes through. */
    TRY("accepted socket", "TCP_NODELAY", setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), 0);
    TRY("accepted socket", "SO_KEEPALIVE", setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one), 0);
}

void probe_accepted(int fd, int port) {
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct sockaddr_in any = {.sin_family = AF_INET};
    struct sockaddr *address = (struct sockaddr *)&to;

    other_ways(fd);
    interfaces_of_the_server(fd);
    fast_open(fd, &to);
    TRY("accepted socket", "disconnect", connect(fd, &none, sizeof none), EPERM);
    TRY("accepted socket", "connect to a service of the server", connect(fd, address, sizeof to), EPERM);
    TRY("accepted socket", "disconnect again", connect(fd, &none, sizeof none), EPERM);
    TRY("accepted socket", "bind to a port", bind(fd, (struct sockaddr *)&any, sizeof any), EPERM);
    TRY("accepted socket", "listen", listen(fd, 5), EPERM);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    TRY("accepted socket", "accept", accept(fd, NULL, NULL), EPERM);
    TRY("accepted socket", "accept4", accept4(fd, NULL, NULL, 0), EPERM);
    shutdown(fd, SHUT_RDWR);
    TRY("accepted socket", "connect after the end", connect(fd, address, sizeof to), EPERM);
    fast_open(fd, &to);
}
