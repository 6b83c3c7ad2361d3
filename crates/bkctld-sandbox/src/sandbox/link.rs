//! The messages between monitor and init, over a socket that also shows each of them the other's death.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

/// The longest text of a message, in bytes.
const LIMIT: usize = 2048;

/// What one of the two tells the other; each variant says which.
#[derive(Debug)]
pub(crate) enum Message {
    /// Init: the descriptor that reports programs, which are about to start.
    Notifications(OwnedFd),
    /// Init: the sandbox could not be made, for this reason.
    Failed(String),
    /// Init: a warning for the administrator; the session is served.
    Warning(String),
    /// Init: sshd has ended, or was killed.
    SshdEnded {
        /// Whether a signal killed it.
        killed: bool,
    },
    /// Monitor: end the session politely.
    Stop,
}

/// One end of it, of which each of the two holds its own.
#[derive(Debug)]
pub(crate) struct Link(OwnedFd);

impl Link {
    /// Both ends; each is closed by `exec`.
    pub(crate) fn pair() -> rustix::io::Result<(Link, Link)> {
        let (a, b) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Link(a), Link(b)))
    }

    pub(crate) fn send(&self, message: &Message) -> rustix::io::Result<()> {
        let (tag, text): (u8, &[u8]) = match message {
            Message::Notifications(_) => (b'N', b""),
            Message::Failed(text) => (b'F', text.as_bytes()),
            Message::Warning(text) => (b'W', text.as_bytes()),
            Message::SshdEnded { killed } => (b'E', if *killed { b"k" } else { b"" }),
            Message::Stop => (b'S', b""),
        };
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let fds;
        if let Message::Notifications(fd) = message {
            fds = [fd.as_fd()];
            ancillary.push(SendAncillaryMessage::ScmRights(&fds));
        }
        let parts = [IoSlice::new(std::slice::from_ref(&tag)), IoSlice::new(&text[..text.len().min(LIMIT)])];
        sendmsg(&self.0, &parts, &mut ancillary, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// The next message; `None` when the other end is gone. Blocks while there is none.
    pub(crate) fn receive(&self) -> rustix::io::Result<Option<Message>> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut buffer = [0; LIMIT + 1];
        let parts = &mut [IoSliceMut::new(&mut buffer)];
        let len = recvmsg(&self.0, parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?.bytes;
        let fd = ancillary.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        });
        let Some((tag, text)) = buffer[..len].split_first() else { return Ok(None) };
        let text_owned = || String::from_utf8_lossy(text).into_owned();
        Ok(Some(match (tag, fd) {
            (b'N', Some(fd)) => Message::Notifications(fd),
            (b'F', _) => Message::Failed(text_owned()),
            (b'W', _) => Message::Warning(text_owned()),
            (b'E', _) => Message::SshdEnded { killed: !text.is_empty() },
            (b'S', _) => Message::Stop,
            _ => return Err(Errno::BADMSG),
        }))
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
