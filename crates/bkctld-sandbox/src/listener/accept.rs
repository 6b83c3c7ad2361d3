//! Decides which connections get a session.

use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::BorrowedFd;
use std::time::Duration;

use bkctld_core::config::SessionLimits;
use ipnet::IpNet;
use rustix::net::{SendFlags, Shutdown, send, shutdown};

use crate::sandbox::sshd;

/// Whether the list allows this address.
pub(crate) fn is_allowed(allowed: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    sshd::everyone(allowed) || allowed.iter().any(|net| net.contains(&address))
}

/// Whether this address is exempt from penalties.
pub(crate) fn is_exempt(exempt: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    exempt.iter().any(|net| net.contains(&address))
}

/// The source of an address: an IPv4 address, or an IPv6 network of 64 bits, because one machine can have all
/// of its addresses.
pub(crate) fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

/// The text of a source; an IPv6 source is shown as its network.
pub(crate) fn shown(source: IpAddr) -> String {
    match source {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(network) => format!("{network}/64"),
    }
}

/// The reason, in words for the client, why one more session from this source is too many; none if it is not.
pub(crate) fn too_many(limits: &SessionLimits, running: &[IpAddr], source: IpAddr) -> Option<&'static str> {
    let from_source = running.iter().filter(|other| **other == source).count();
    if running.len() >= limits.per_jail.get() as usize {
        return Some("too many sessions of this jail at once, try again later");
    }
    (from_source >= limits.per_source.get() as usize)
        .then_some("too many sessions from this address at once, try again later")
}

/// The text for a client whose source has a penalty.
pub(crate) fn penalty(left: Duration) -> String {
    let seconds = left.as_secs() + 1;
    format!("too many connections without a login from this address, try again in {seconds} s")
}

/// Sends an SSH client the reason why it is refused, in a form that it displays, and shuts our side down.
pub(crate) fn refuse(socket: BorrowedFd<'_>, why: &str) {
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    // The client may be gone.
    let _ = send(socket, &refusal(why), flags);
    let _ = shutdown(socket, Shutdown::Write);
}

/// The version line and, not encrypted yet, one packet: SSH_MSG_DISCONNECT with the reason
/// SSH_DISCONNECT_TOO_MANY_CONNECTIONS (RFC 4253, sections 4.2, 6 and 11.1).
fn refusal(why: &str) -> Vec<u8> {
    let mut payload = vec![1];
    payload.extend(12_u32.to_be_bytes());
    for text in [why, "en"] {
        payload.extend((text.len() as u32).to_be_bytes());
        payload.extend(text.as_bytes());
    }
    // Length, padding length, payload and padding are a multiple of 8; at least 4 of padding.
    let padding = 8 - (5 + payload.len()) % 8;
    let padding = if padding < 4 { padding + 8 } else { padding };
    let mut bytes = b"SSH-2.0-bkctld\r\n".to_vec();
    bytes.extend((1 + payload.len() as u32 + padding as u32).to_be_bytes());
    bytes.push(padding as u8);
    bytes.extend(payload);
    bytes.resize(bytes.len() + padding, 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn the_list_decides_whatever_form_the_address_has() {
        for (list, address, expected) in [
            (&["192.0.2.0/24"][..], "192.0.2.9", true),
            (&["192.0.2.0/24"], "::ffff:192.0.2.9", true),
            (&["192.0.2.0/24"], "198.51.100.1", false),
            (&["192.0.2.0/24"], "2001:db8::1", false),
            (&["2001:db8::/32"], "2001:db8::1", true),
            (&["0.0.0.0/0"], "2001:db8::1", true),
            (&["::/0"], "192.0.2.9", false),
            (&[], "127.0.0.1", false),
        ] {
            assert_eq!(is_allowed(&nets(list), address.parse().unwrap()), expected, "{list:?} {address}");
        }
    }

    #[test]
    fn limits_count_the_jail_and_the_source() {
        let limits = SessionLimits {
            per_jail: 3.try_into().unwrap(),
            per_source: 2.try_into().unwrap(),
            ..SessionLimits::default()
        };
        let [a, b]: [IpAddr; 2] = ["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        let (a, b) = (source(a), source(b));
        assert_eq!(too_many(&limits, &[a], a), None);
        assert!(too_many(&limits, &[a, a], a).unwrap().contains("this address"));
        assert_eq!(too_many(&limits, &[a, a], b), None);
        assert!(too_many(&limits, &[a, a, b], b).unwrap().contains("this jail"));
        assert_eq!(b, source("2001:db8::ffff:2".parse().unwrap()));
        assert_eq!((shown(a), shown(b)), ("192.0.2.1".to_owned(), "2001:db8::/64".to_owned()));
    }

    #[test]
    fn a_refusal_is_one_well_formed_packet() {
        for len in 0..40 {
            let bytes = refusal(&"x".repeat(len));
            let packet = bytes.strip_prefix(b"SSH-2.0-bkctld\r\n").unwrap();
            assert_eq!(packet.len() % 8, 0);
            assert_eq!(u32::from_be_bytes(packet[..4].try_into().unwrap()) as usize, packet.len() - 4);
            assert!(packet[4] >= 4);
        }
    }
}
