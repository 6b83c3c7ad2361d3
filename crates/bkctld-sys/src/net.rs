//! What TCP counted of one connection.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Bytes of one connection, without headers and repetitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByteCounts {
    /// What the peer has sent, and arrived in order.
    pub received: u64,
    /// Sent to the peer, which acknowledged them.
    pub acknowledged: u64,
}

// The offsets of `tcpi_bytes_acked` and `tcpi_bytes_received` in `struct tcp_info` of linux/tcp.h,
// there since 4.1; libc's structure ends before them.
const ACKNOWLEDGED: usize = 120;
const RECEIVED: usize = 128;

/// The counts of a TCP socket; they stay readable after the connection has ended.
pub fn byte_counts(socket: BorrowedFd<'_>) -> io::Result<ByteCounts> {
    let mut info = [0_u8; RECEIVED + 8];
    let mut len = info.len() as libc::socklen_t;
    // SAFETY: `info` is writable for `len` bytes and the kernel writes no more than that; both
    // outlive the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    if (len as usize) < info.len() {
        return Err(io::Error::other("this kernel does not count bytes of TCP connections"));
    }
    let word = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&info[at..at + 8]);
        u64::from_ne_bytes(bytes)
    };
    Ok(ByteCounts { received: word(RECEIVED), acknowledged: word(ACKNOWLEDGED) })
}
