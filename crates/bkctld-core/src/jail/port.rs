//! A TCP port.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// A TCP port from 1 to 65535.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct Port(u16);

impl Port {
    /// The port of a server's first jail.
    pub const FIRST: Port = Port(2222);

    /// The port with this number; none for 0, which means any port.
    pub fn new(number: u16) -> Option<Port> {
        (number > 0).then_some(Port(number))
    }

    /// The number of the port.
    pub fn get(self) -> u16 {
        self.0
    }

    /// This port and all higher ones.
    pub fn and_above(self) -> impl Iterator<Item = Port> {
        (self.0..=u16::MAX).map(Port)
    }

    /// The next higher port, unless this is the last.
    pub fn next(self) -> Option<Port> {
        self.0.checked_add(1).map(Port)
    }
}

impl FromStr for Port {
    type Err = Error;

    fn from_str(text: &str) -> Result<Port, Error> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse::<u16>() {
            Ok(number) if digits && number > 0 => Ok(Port(number)),
            _ => Err(Error::invalid(format!(
                "'{}' is not a port: give a number from 1 to 65535, or 'auto'",
                crate::text::printable(text.as_bytes())
            ))),
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_a_number_that_tcp_has() {
        assert_eq!("2222".parse::<Port>().unwrap().get(), 2222);
        assert_eq!("65535".parse::<Port>().unwrap().next(), None);
        for bad in ["", "0", "65536", "22x", "+22", "-1", " 22", "99999999999"] {
            assert!(bad.parse::<Port>().is_err(), "{bad}");
        }
    }
}
