//! The filter of calls about sockets: those that a session makes, and the one that it is given.
//!
//! The accepted socket belongs to the server's network, whatever namespace its holder is in. Whoever
//! has it can disconnect it (`connect` to `AF_UNSPEC`) and connect it anew to the server's loopback, listen
//! on it, or ask it for the server's interfaces. So none of the calls by which a socket gets or changes
//! an address is left. `docs/design.md` has what else was tried.

use linux_raw_sys::general as nr;

use super::assembler::{Assembler, EPERM};

const EPROTONOSUPPORT: u32 = 93;
/// The C library and sshd take this one for a kernel without the family, and do without.
const EAFNOSUPPORT: u32 = 97;

/// Calls that give a socket an address, its own or another's.
pub(super) const NEVER: &[u32] =
    &[nr::__NR_connect, nr::__NR_bind, nr::__NR_listen, nr::__NR_accept, nr::__NR_accept4];

/// Families with their protocols. Programs of a session make pairs for themselves, and look for a
/// name service by a socket of this family, which is not there. The C library would sort addresses by
/// UDP sockets; it does without them.
const FAMILIES: &[(u32, &[u32])] = &[(AF_UNIX, &[0, AF_UNIX])];
const AF_UNIX: u32 = 1;

/// A flag of sending that connects.
const MSG_FASTOPEN: u32 = 0x2000_0000;

/// Options that may be set, by level: what sshd sets on a connection, and others that shape its flow. Not
/// those that bind it to an interface, send its packets another way (source routes), filter or
/// wrap them, or ask the kernel for modules.
const OPTIONS: &[(u32, &[u32])] = &[
    // SOL_SOCKET: REUSEADDR, SNDBUF, RCVBUF, KEEPALIVE, LINGER, RCVLOWAT, RCVTIMEO, SNDTIMEO.
    (1, &[2, 7, 8, 9, 13, 18, 20, 21]),
    // IPPROTO_TCP: NODELAY, CORK, KEEPIDLE, KEEPINTVL, KEEPCNT, QUICKACK, USER_TIMEOUT.
    (6, &[1, 3, 4, 5, 6, 12, 18]),
    // IPPROTO_IP: TOS.
    (0, &[1]),
    // IPPROTO_IPV6: TCLASS.
    (41, &[67]),
];

pub(super) fn bound(program: &mut Assembler) {
    for &number in NEVER {
        program.refuse(number, EPERM);
    }
    for number in [nr::__NR_socket, nr::__NR_socketpair] {
        program.allow_pairs(number, (0, 2), FAMILIES, (EAFNOSUPPORT, EPROTONOSUPPORT));
    }
    for (number, flags) in [(nr::__NR_sendto, 3), (nr::__NR_sendmsg, 2), (nr::__NR_sendmmsg, 3)] {
        program.refuse_if_any_bit(number, flags, MSG_FASTOPEN);
    }
    program.allow_pairs(nr::__NR_setsockopt, (1, 2), OPTIONS, (EPERM, EPERM));
}

#[cfg(test)]
mod tests {
    use super::super::tests::judge_in_both;
    use super::*;

    #[test]
    fn no_socket_gets_an_address() {
        for &number in NEVER {
            assert_eq!(judge_in_both(number, &[]), Err(EPERM), "{number}");
        }
        assert_eq!(judge_in_both(nr::__NR_sendto, &[0, 0, 0, 0x4000]), Ok(()));
        for (number, args) in [
            (nr::__NR_sendto, [0, 0, 0, 0x2000_4000]),
            (nr::__NR_sendmsg, [0, 0, 0x2000_0000, 0]),
            (nr::__NR_sendmmsg, [0, 0, 1, 0x2000_0000]),
        ] {
            assert_eq!(judge_in_both(number, &args), Err(EPERM), "{number}");
        }
    }

    #[test]
    fn sockets_are_of_one_family_and_of_no_foreign_protocol() {
        for number in [nr::__NR_socket, nr::__NR_socketpair] {
            for protocol in [0, 1] {
                assert_eq!(judge_in_both(number, &[1, 2, protocol]), Ok(()));
            }
            assert_eq!(judge_in_both(number, &[1, 1, 2]), Err(EPROTONOSUPPORT));
            for family in (0..=64).filter(|family| *family != 1) {
                assert_eq!(judge_in_both(number, &[family, 1]), Err(EAFNOSUPPORT), "{family}");
            }
            // The kernel ignores the upper half, so it must not help.
            assert_eq!(judge_in_both(number, &[1 << 32 | 38]), Err(EAFNOSUPPORT));
        }
    }

    #[test]
    fn options_are_those_that_a_connection_needs() {
        let set = |level, option| judge_in_both(nr::__NR_setsockopt, &[0, level, option]);
        for (level, option) in [(1, 9), (6, 1), (0, 1), (41, 67)] {
            assert_eq!(set(level, option), Ok(()), "{level} {option}");
        }
        // BINDTODEVICE, ATTACH_FILTER, MARK; TCP_ULP, FASTOPEN_CONNECT; IP_OPTIONS; IPV6_ADDRFORM; SOL_TLS.
        for (level, option) in [(1, 25), (1, 26), (1, 36), (6, 31), (6, 30), (0, 4), (41, 1), (282, 1)] {
            assert_eq!(set(level, option), Err(EPERM), "{level} {option}");
        }
    }
}
