//! Who gets a session: decided here, for each connection before anything of it is read.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use bkctld_core::syslog::Severity;

use super::config::ListenerConfig;
use super::penalty::Penalties;
use super::source::Source;

/// Why a connection gets no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Its address is not on the jail's list.
    NotAllowed,
    /// Its source has connected without a login too often, and has to wait for so long yet.
    Penalty(Duration),
    /// The jail has all the sessions that it may have.
    JailIsFull,
    /// The source has all the sessions that one source may have.
    SourceIsFull,
}

/// Decides on a connection from this address, while sessions from these sources run.
pub(crate) fn decide(
    config: &ListenerConfig,
    penalties: &Penalties,
    running: &[Source],
    address: IpAddr,
    now: Instant,
) -> Result<Source, Refusal> {
    if !config.allowed.contains(address) {
        return Err(Refusal::NotAllowed);
    }
    let source = Source::from_address(address);
    if let Some(left) = penalties.left(source, now) {
        return Err(Refusal::Penalty(left));
    }
    if running.len() >= config.limits.per_jail.get() as usize {
        return Err(Refusal::JailIsFull);
    }
    let from_source = running.iter().filter(|other| **other == source).count();
    if from_source >= config.limits.per_source.get() as usize {
        return Err(Refusal::SourceIsFull);
    }
    Ok(source)
}

/// Whether connections from this address without a login cost its source nothing.
pub(crate) fn is_exempt(config: &ListenerConfig, address: IpAddr) -> bool {
    let address = address.to_canonical();
    config.limits.penalty_exempt.iter().any(|net| net.contains(&address))
}

impl Refusal {
    /// The reason, for the logs and for a client that is told one.
    pub(crate) fn reason(self) -> String {
        match self {
            Refusal::NotAllowed => "not an allowed address".to_owned(),
            Refusal::Penalty(left) => format!(
                "too many connections without a login from this address, try again in {} s",
                left.as_secs() + 1
            ),
            Refusal::JailIsFull => "too many sessions of this jail at once, try again later".to_owned(),
            Refusal::SourceIsFull => {
                "too many sessions from this address at once, try again later".to_owned()
            }
        }
    }

    /// How much the administrator should mind.
    pub(crate) fn severity(self) -> Severity {
        match self {
            Refusal::NotAllowed | Refusal::Penalty(_) => Severity::Info,
            Refusal::JailIsFull | Refusal::SourceIsFull => Severity::Warning,
        }
    }

    /// Whether the client is told. A stranger is not: its connection is closed as if nobody listened.
    pub(crate) fn is_told(self) -> bool {
        self != Refusal::NotAllowed
    }
}

#[cfg(test)]
mod tests {
    use bkctld_core::config::{Isolation, SessionLimits};
    use bkctld_core::jail::{AllowedAddress, AllowedAddresses};

    use super::*;
    use crate::session::Offence;

    const A: &str = "192.0.2.1";
    const B: &str = "2001:db8::1";

    fn config(allowed: &[&str]) -> ListenerConfig {
        let allowed = allowed.iter().map(|address| address.parse::<AllowedAddress>().unwrap());
        ListenerConfig {
            port: "2222".parse().unwrap(),
            listen: Vec::new(),
            other_ports: Vec::new(),
            allowed: AllowedAddresses::new(allowed).unwrap(),
            log_level: None,
            isolation: Isolation::Full,
            limits: SessionLimits {
                per_jail: 3.try_into().unwrap(),
                per_source: 2.try_into().unwrap(),
                penalty_exempt: vec!["198.51.100.0/24".parse().unwrap()],
                ..SessionLimits::default()
            },
        }
    }

    fn source(address: &str) -> Source {
        Source::from_address(address.parse().unwrap())
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
            (&["192.0.2.0/24"], "127.0.0.1", false),
        ] {
            let address: IpAddr = address.parse().unwrap();
            let decided = decide(&config(list), &Penalties::default(), &[], address, Instant::now());
            let expected =
                if expected { Ok(Source::from_address(address)) } else { Err(Refusal::NotAllowed) };
            assert_eq!(decided, expected, "{list:?} {address}");
        }
    }

    #[test]
    fn limits_count_the_jail_and_the_source() {
        let everyone = config(&["0.0.0.0/0"]);
        let decide = |running: &[&str], address: &str| {
            let running: Vec<Source> = running.iter().map(|address| source(address)).collect();
            decide(&everyone, &Penalties::default(), &running, address.parse().unwrap(), Instant::now())
        };
        assert_eq!(decide(&[A], A), Ok(source(A)));
        assert_eq!(decide(&[A, A], A), Err(Refusal::SourceIsFull));
        assert_eq!(decide(&[A, A], B), Ok(source(B)));
        assert_eq!(decide(&[A, A, B], B), Err(Refusal::JailIsFull));
        assert!(Refusal::SourceIsFull.reason().contains("this address"));
        assert!(Refusal::JailIsFull.reason().contains("this jail"));
    }

    #[test]
    fn a_penalty_is_the_sources_and_a_stranger_is_told_nothing() {
        let now = Instant::now();
        let mut penalties = Penalties::default();
        penalties.add(source(A), Offence::Crash, Duration::from_secs(600), now);
        let decide = |allowed: &[&str], address: &str| {
            decide(&config(allowed), &penalties, &[], address.parse().unwrap(), now)
        };
        let refused = decide(&["0.0.0.0/0"], A).unwrap_err();
        assert_eq!(refused, Refusal::Penalty(Duration::from_secs(90)));
        assert!(refused.is_told() && refused.reason().contains("try again in 91 s"));
        assert_eq!(decide(&["0.0.0.0/0"], B), Ok(source(B)));
        // The list comes first.
        assert_eq!(decide(&["2001:db8::/32"], A), Err(Refusal::NotAllowed));
        assert!(!Refusal::NotAllowed.is_told());
    }

    #[test]
    fn who_is_exempt_is_so_in_whatever_form_the_address_has() {
        for (address, expected) in
            [("198.51.100.7", true), ("::ffff:198.51.100.7", true), ("192.0.2.1", false), ("::1", false)]
        {
            assert_eq!(is_exempt(&config(&["0.0.0.0/0"]), address.parse().unwrap()), expected, "{address}");
        }
    }
}
