//! The addresses that may connect to a jail.

use std::collections::HashSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};

use crate::error::{Error, Result};
use crate::text;

/// An IPv4 or IPv6 address or network. Prints in its shortest form, a single address without a prefix; `sshd`
/// understands this form after `root@`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AllowedAddress(IpNet);

/// `0.0.0.0/0`, which means everyone, including IPv6, as it always has in the commands.
const EVERYONE: AllowedAddress = AllowedAddress(IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0)));

impl AllowedAddress {
    /// Whether this means every address.
    pub fn is_everyone(self) -> bool {
        self == EVERYONE
    }

    /// Whether this includes a connection from this address. An IPv4 address in its IPv6 form, as on a socket
    /// for both, counts as the IPv4 address.
    pub fn contains(self, address: IpAddr) -> bool {
        self.is_everyone() || self.0.contains(&address.to_canonical())
    }

    /// The address or network as a network.
    pub fn network(self) -> IpNet {
        self.0
    }

    /// Whether this is an IPv6 address or network.
    pub fn is_ipv6(self) -> bool {
        matches!(self.0, IpNet::V6(_))
    }
}

impl FromStr for AllowedAddress {
    type Err = Error;

    fn from_str(given: &str) -> Result<AllowedAddress> {
        let shown = || text::printable(given.as_bytes());
        let net = match given.parse::<IpAddr>() {
            Ok(address) => IpNet::from(address),
            Err(_) => given.parse::<IpNet>().map_err(|_| {
                Error::invalid(format!(
                    "'{}' is not an address: give an IPv4 or IPv6 address or network (10.0.0.0/8), or 'all'",
                    shown()
                ))
            })?,
        };
        let net = unmapped(net);
        if net.addr().is_unspecified() && net.prefix_len() == net.max_prefix_len() {
            let message = format!("'{}' is not the address of a client", shown());
            return Err(Error::invalid(message).with_hint("'all' allows everyone"));
        }
        // sshd refuses the whole line, and with it every login.
        if net.trunc() != net {
            let message = format!("'{}' has address bits beyond its prefix", shown());
            return Err(Error::invalid(message).with_hint(format!(
                "write {} for the network or {} for the one address",
                net.trunc(),
                net.addr()
            )));
        }
        Ok(AllowedAddress(net))
    }
}

/// An IPv4 network written in IPv6 is the IPv4 network: sshd sees the client's address as IPv4.
fn unmapped(net: IpNet) -> IpNet {
    let IpNet::V6(six) = net else { return net };
    let prefix = six.prefix_len().checked_sub(96);
    match (six.addr().to_ipv4_mapped(), prefix) {
        (Some(four), Some(prefix)) => Ipv4Net::new(four, prefix).map_or(net, IpNet::V4),
        _ => net,
    }
}

impl fmt::Display for AllowedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() { self.0.addr().fmt(f) } else { self.0.fmt(f) }
    }
}

impl serde::Serialize for AllowedAddress {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The addresses that one jail allows. The list is never empty, and everyone is never listed beside others.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct AllowedAddresses(Vec<AllowedAddress>);

impl AllowedAddresses {
    /// The list that allows every address.
    pub fn everyone() -> AllowedAddresses {
        AllowedAddresses(vec![EVERYONE])
    }

    /// Creates a list; none if it would be empty. Duplicates are removed, and a list with everyone becomes
    /// everyone alone.
    pub fn new(addresses: impl IntoIterator<Item = AllowedAddress>) -> Option<AllowedAddresses> {
        let mut list: Vec<AllowedAddress> = Vec::new();
        // A set beside the list, which keeps the order: the file may be written by a client, and have any
        // number of entries.
        let mut known = HashSet::new();
        for address in addresses {
            if address.is_everyone() {
                return Some(AllowedAddresses::everyone());
            }
            if known.insert(address) {
                list.push(address);
            }
        }
        (!list.is_empty()).then_some(AllowedAddresses(list))
    }

    /// Whether one of the entries admits every address, so that the others add nothing.
    pub fn is_everyone(&self) -> bool {
        self.0[0].is_everyone()
    }

    /// Whether a connection from this address is allowed.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|allowed| allowed.contains(address))
    }

    /// The addresses, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = AllowedAddress> {
        self.0.iter().copied()
    }

    /// The list after this change. Fails if the address to remove is not in it, or is the last one: an empty
    /// list would lock the client out, and allowing everyone must be an explicit choice.
    pub fn changed(&self, change: AddressChange) -> Result<AllowedAddresses> {
        match change {
            AddressChange::AllowEveryone => Ok(AllowedAddresses::everyone()),
            AddressChange::Add(address) if self.is_everyone() || address.is_everyone() => {
                Ok(AllowedAddresses(vec![address]))
            }
            AddressChange::Add(address) => {
                let mut list = self.0.clone();
                if !list.contains(&address) {
                    list.push(address);
                }
                Ok(AllowedAddresses(list))
            }
            AddressChange::Remove(address) => self.without(address),
        }
    }

    fn without(&self, address: AllowedAddress) -> Result<AllowedAddresses> {
        if self.is_everyone() {
            let message = format!("everyone is allowed, so {address} cannot be taken away");
            return Err(Error::refused(message).with_hint("add the addresses that may connect"));
        }
        if !self.0.contains(&address) {
            return Err(Error::refused(format!("{address} is not among the allowed addresses ({self})")));
        }
        AllowedAddresses::new(self.iter().filter(|other| *other != address)).ok_or_else(|| {
            Error::refused(format!("{address} is the only allowed address"))
                .with_hint("add another one first, or allow everyone with 'all'")
        })
    }
}

/// The addresses separated by commas, as `status` shows them.
impl fmt::Display for AllowedAddresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<String> = self.0.iter().map(AllowedAddress::to_string).collect();
        f.pad(&shown.join(","))
    }
}

/// The change that `ip J …` requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressChange {
    /// Allow everyone: `all` or `0.0.0.0/0`.
    AllowEveryone,
    /// Add an address: `ADDR`.
    Add(AllowedAddress),
    /// Remove an address: `-ADDR`.
    Remove(AllowedAddress),
}

impl FromStr for AddressChange {
    type Err = Error;

    fn from_str(given: &str) -> Result<AddressChange> {
        let parse = |given: &str| if given == "all" { Ok(EVERYONE) } else { given.parse() };
        match given.strip_prefix('-').map(parse) {
            Some(taken) if taken.as_ref().is_ok_and(|address| address.is_everyone()) => {
                Err(Error::invalid("everyone cannot be removed")
                    .with_hint("add the addresses that may connect instead"))
            }
            Some(taken) => Ok(AddressChange::Remove(taken?)),
            None => match parse(given)? {
                EVERYONE => Ok(AddressChange::AllowEveryone),
                address => Ok(AddressChange::Add(address)),
            },
        }
    }
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    fn list(addresses: &[&str]) -> AllowedAddresses {
        AllowedAddresses::new(addresses.iter().map(|address| address.parse().unwrap())).unwrap()
    }

    fn changed(before: &[&str], change: &str) -> Result<String> {
        list(before).changed(change.parse()?).map(|after| after.to_string())
    }

    #[test]
    fn an_address_prints_in_its_shortest_form() {
        for (given, shown) in [
            ("10.0.0.3", "10.0.0.3"),
            ("10.0.0.3/32", "10.0.0.3"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::/0", "::/0"),
            ("2001:DB8:0:0::1", "2001:db8::1"),
            ("2001:db8::1/128", "2001:db8::1"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("::ffff:10.0.0.3", "10.0.0.3"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ] {
            assert_eq!(given.parse::<AllowedAddress>().unwrap().to_string(), shown, "{given}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in [
            "",
            "10.0.0.300",
            "::g",
            "10.0.0.0/33",
            "2001:db8::/129",
            "10.0.0",
            "10.0.0.1/",
            "10.0.0.01",
            "host",
            "10.0.0.1 ",
            "fe80::1%eth0",
            "10.0.0.1\n",
            "10.0.0.0/-1",
            "10.0.0.0/255.0.0.0",
            "all",
            "*",
            "0.0.0.0",
            "::",
            "0.0.0.0/32",
            "::ffff:0.0.0.0",
            "::ffff:0:0/128",
        ] {
            let error = bad.parse::<AllowedAddress>().expect_err(bad).to_string();
            assert!(!error.contains(char::is_control), "{error:?}");
        }
        let error = "10.0.0.5/24".parse::<AllowedAddress>().unwrap_err().to_string();
        assert!(error.contains("write 10.0.0.0/24 for the network or 10.0.0.5"), "{error}");
    }

    #[test]
    fn membership_takes_mapped_addresses_for_what_they_are() {
        let allowed = list(&["10.0.0.0/8", "2001:db8::/32"]);
        for (address, inside) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("11.0.0.1", false),
            ("2001:db8::1", true),
            ("2001:db9::1", false),
            ("::1", false),
        ] {
            assert_eq!(allowed.contains(address.parse().unwrap()), inside, "{address}");
        }
        assert!(AllowedAddresses::everyone().contains("2001:db9::1".parse().unwrap()));
        assert!(!list(&["::/0"]).contains("10.0.0.1".parse().unwrap()));
    }

    #[test]
    fn a_list_changes_as_the_administrator_says_and_never_by_accident() {
        for (before, change, after) in [
            (&["0.0.0.0/0"][..], "10.0.0.1", "10.0.0.1"),
            (&["10.0.0.1"], "10.0.0.2", "10.0.0.1,10.0.0.2"),
            (&["10.0.0.1"], "10.0.0.1/32", "10.0.0.1"),
            (&["10.0.0.1", "::1"], "all", "0.0.0.0/0"),
            (&["10.0.0.1"], "0.0.0.0/0", "0.0.0.0/0"),
            (&["10.0.0.1"], "::ffff:0.0.0.0/96", "0.0.0.0/0"),
            (&["10.0.0.1", "2001:db8::1"], "-2001:DB8::1", "10.0.0.1"),
        ] {
            assert_eq!(changed(before, change).unwrap(), after, "{before:?} {change}");
        }
        for (before, change, reason) in [
            (&["10.0.0.1"][..], "-10.0.0.1", "the only allowed address"),
            (&["10.0.0.1", "10.0.0.2"], "-10.0.0.3", "not among the allowed addresses (10.0.0.1,10.0.0.2)"),
            (&["0.0.0.0/0"], "-10.0.0.1", "everyone is allowed"),
            (&["10.0.0.1"], "-all", "everyone cannot be removed"),
            (&["10.0.0.1"], "-0.0.0.0/0", "everyone cannot be removed"),
            (&["10.0.0.1"], "-", "not an address"),
        ] {
            let error = changed(before, change).expect_err(change).to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn everyone_is_never_listed_beside_others() {
        assert_eq!(list(&["10.0.0.1", "0.0.0.0/0", "::/0"]), AllowedAddresses::everyone());
        assert_eq!(AllowedAddresses::new([]), None);
        assert_eq!(serde_json::to_string(&list(&["10.0.0.1", "::1"])).unwrap(), r#"["10.0.0.1","::1"]"#);
    }
}
