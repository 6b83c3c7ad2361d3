//! The last that a client hears which gets no session.

use std::os::fd::BorrowedFd;

use rustix::net::{SendFlags, Shutdown, send, shutdown};

/// Sends an SSH client the reason why it is refused, in a form that it displays, and shuts our side down.
pub(crate) fn disconnect(socket: BorrowedFd<'_>, why: &str) {
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    // The client may be gone.
    let _ = send(socket, &packet(why), flags);
    let _ = shutdown(socket, Shutdown::Write);
}

/// The version line and, not encrypted yet, one packet: SSH_MSG_DISCONNECT with the reason
/// SSH_DISCONNECT_TOO_MANY_CONNECTIONS (RFC 4253, sections 4.2, 6 and 11.1).
fn packet(why: &str) -> Vec<u8> {
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

    #[test]
    fn a_refusal_is_one_well_formed_packet() {
        for len in 0..40 {
            let bytes = packet(&"x".repeat(len));
            let packet = bytes.strip_prefix(b"SSH-2.0-bkctld\r\n").unwrap();
            assert_eq!(packet.len() % 8, 0);
            assert_eq!(u32::from_be_bytes(packet[..4].try_into().unwrap()) as usize, packet.len() - 4);
            assert!(packet[4] >= 4);
        }
    }
}
