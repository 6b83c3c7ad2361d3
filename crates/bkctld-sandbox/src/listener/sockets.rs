//! The sockets that a listener listens on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use bkctld_core::Port;
use bkctld_core::error::{Error, Result};
use rustix::io::Errno;
use rustix::net::sockopt::{set_ipv6_v6only, set_socket_reuseaddr};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;

/// One socket and its address.
#[derive(Debug)]
pub(crate) struct ListeningSocket {
    pub(crate) address: SocketAddr,
    pub(crate) fd: OwnedFd,
}

/// Changes `open` to listen on this port and these addresses (none means every one). Sockets that
/// stay are not touched; new ones are open before old ones are closed. On an error all is as before, as far as the
/// old addresses are still the server's.
pub(crate) fn listen_on(open: &mut Vec<ListeningSocket>, port: Port, addresses: &[IpAddr]) -> Result<()> {
    let every = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
    let addresses = if addresses.is_empty() { &every } else { addresses };
    let mut wanted: Vec<SocketAddr> = Vec::new();
    for address in addresses {
        // Two lines may name one address, with its port and without.
        let address = SocketAddr::new(*address, port.get());
        if !wanted.contains(&address) {
            wanted.push(address);
        }
    }
    let (mut stay, old): (Vec<_>, Vec<_>) =
        std::mem::take(open).into_iter().partition(|socket| wanted.contains(&socket.address));
    let old_addresses: Vec<SocketAddr> = old.iter().map(|socket| socket.address).collect();
    let is_open: Vec<SocketAddr> = stay.iter().map(|socket| socket.address).collect();
    let missing: Vec<SocketAddr> = wanted.into_iter().filter(|address| !is_open.contains(address)).collect();
    // An address of the same port may overlap with an old one (`0.0.0.0` and `127.0.0.1`), which then
    // has to go first.
    let overlaps = old_addresses.iter().any(|address| address.port() == port.get());
    let mut old = Some(old);
    if overlaps {
        old.take();
    }
    match open_all(&missing) {
        Ok(new) => {
            stay.extend(new);
            *open = stay;
            Ok(())
        }
        Err(error) => {
            stay.extend(old.unwrap_or_default());
            if overlaps {
                // These were ours a moment ago; an address that has left the server since must not prevent
                // the others.
                stay.extend(old_addresses.iter().filter_map(|address| open_all(&[*address]).ok()).flatten());
            }
            *open = stay;
            Err(error)
        }
    }
}

fn open_all(addresses: &[SocketAddr]) -> Result<Vec<ListeningSocket>> {
    let mut sockets = Vec::new();
    for &address in addresses {
        match open_one(address) {
            Ok(fd) => sockets.push(ListeningSocket { address, fd }),
            // A server without IPv6 has no wildcard address for it.
            Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL)
                if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) => {}
            Err(Errno::ADDRINUSE) => {
                let (port, ip) = (address.port(), address.ip());
                return Err(Error::refused(format!("port {port} is in use by another program ({ip})")));
            }
            Err(error) => return Err(Error::kernel(format!("cannot listen on {address}"), error)),
        }
    }
    Ok(sockets)
}

fn open_one(address: SocketAddr) -> rustix::io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = socket_with(family, SocketType::STREAM, flags, None)?;
    // Otherwise a restart would have to wait until connections of the last listener are forgotten.
    set_socket_reuseaddr(&fd, true)?;
    if address.is_ipv6() {
        // IPv4 clients must arrive with IPv4 addresses, which the lists contain.
        set_ipv6_v6only(&fd, true)?;
    }
    bind(&fd, &address)?;
    listen(&fd, BACKLOG)?;
    Ok(fd)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn an_old_address_that_the_server_has_lost_takes_no_other_along() {
        let here = TcpListener::bind("127.0.0.1:0").unwrap();
        let port: Port = here.local_addr().unwrap().port().to_string().parse().unwrap();
        let lost = SocketAddr::new("192.0.2.1".parse().unwrap(), port.get());
        let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut open = vec![
            ListeningSocket { address: here.local_addr().unwrap(), fd: here.into() },
            ListeningSocket { address: lost, fd: elsewhere.into() },
        ];
        let kept = "127.0.0.1".parse().unwrap();
        let never = "198.51.100.1".parse().unwrap();
        assert!(listen_on(&mut open, port, &[kept, never]).is_err());
        assert_eq!(open.iter().map(|socket| socket.address.ip()).collect::<Vec<_>>(), [kept]);
    }

    #[test]
    fn an_address_that_is_named_twice_is_listened_on_once() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut open = Vec::new();
        listen_on(&mut open, free.port().to_string().parse().unwrap(), &[free.ip(), free.ip()]).unwrap();
        assert_eq!(open.iter().map(|socket| socket.address).collect::<Vec<_>>(), [free]);
    }
}
