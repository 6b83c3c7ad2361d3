//! The plan for a node, with which it serves the jails like this server: it is made before anything is
//! changed there.

use std::collections::BTreeSet;

use super::node::NodeState;
use crate::error::{Error, Result};
use crate::jail::{FORMAT_VERSION, JailName, Port};

/// The state of a jail on this server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The name that the jail has here and there.
    pub name: JailName,
    /// The port that it has here, and is to have there.
    pub port: Port,
    /// Whether clients can connect to it here.
    pub on: bool,
}

/// The change that the service of a jail on the node needs after its configuration was mirrored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// It is off and shall be on.
    Start,
    /// It is on and shall be off.
    Stop,
    /// It is on and stays so.
    Reload,
    /// It is off and stays so.
    Leave,
}

impl Service {
    /// The command that does it.
    pub(super) fn command(self) -> Option<&'static str> {
        match self {
            Service::Start => Some("start"),
            Service::Stop => Some("stop"),
            Service::Reload => Some("reload"),
            Service::Leave => None,
        }
    }
}

/// The plan for one jail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// Whether the node does not have the jail yet.
    pub create: bool,
    /// Whether it is stopped before anything is changed, because it serves a port that another jail of this
    /// run gets, and neither can have its new port before the other has released it.
    pub vacate: bool,
    /// The change that its service needs at the end.
    pub service: Service,
}

/// The plan for each of the jails, or the reason why it is refused.
pub(super) fn plan(wanted: &[Wanted], node: &NodeState) -> Vec<Result<Step>> {
    let ours: BTreeSet<&str> = wanted.iter().map(|jail| jail.name.as_str()).collect();
    let ports: BTreeSet<u16> = wanted.iter().map(|jail| jail.port.get()).collect();
    wanted.iter().map(|jail| step(jail, &ours, &ports, node)).collect()
}

fn step(wanted: &Wanted, ours: &BTreeSet<&str>, ports: &BTreeSet<u16>, node: &NodeState) -> Result<Step> {
    let there = node.jails.get(wanted.name.as_str());
    if let Some(there) = there
        && there.format != FORMAT_VERSION.to_string()
    {
        return Err(Error::wrong_format(
            &wanted.name,
            &crate::text::printable(there.format.as_bytes()),
            FORMAT_VERSION,
        ));
    }
    // A jail of this run gets its own port from here, so what it has there now is no obstacle.
    let has_port = |jail: &u16| *jail == wanted.port.get();
    let other = node.jails.iter().find(|(name, jail)| {
        !ours.contains(name.as_str())
            && *name != wanted.name.as_str()
            && jail.port.as_ref().is_some_and(has_port)
    });
    if let Some((other, _)) = other {
        let other = crate::text::printable(other.as_bytes());
        return Err(Error::node(format!("port {} is already used by jail '{other}' there", wanted.port))
            .with_hint(format!(
                "change one of the two ports, or remove '{other}' there if it no longer exists here"
            )));
    }
    let on = there.is_some_and(|jail| jail.on);
    let moves = |port: &u16| *port != wanted.port.get() && ports.contains(port);
    let vacate = on && there.and_then(|jail| jail.port).as_ref().is_some_and(moves);
    let service = match (wanted.on, on && !vacate) {
        (true, false) => Service::Start,
        (true, true) => Service::Reload,
        (false, true) => Service::Stop,
        (false, false) => Service::Leave,
    };
    Ok(Step { create: there.is_none(), vacate, service })
}

#[cfg(test)]
mod tests {
    use super::super::node::NodeJail;
    use super::*;
    use crate::error::ErrorKind;

    fn jail(name: &str, port: &str, on: bool) -> Wanted {
        Wanted { name: name.parse().unwrap(), port: port.parse().unwrap(), on }
    }

    fn node(jails: &[(&str, &str, bool, Option<u16>)]) -> NodeState {
        let jails = jails
            .iter()
            .map(|(name, format, on, port)| {
                ((*name).to_owned(), NodeJail { format: (*format).to_owned(), on: *on, port: *port })
            })
            .collect();
        NodeState { jails, ..NodeState::default() }
    }

    #[test]
    fn a_jail_is_created_where_it_is_missing_and_gets_the_state_that_it_has_here() {
        let node = node(&[("on", "2", true, Some(1)), ("off", "2", false, Some(2))]);
        for (name, on, create, service) in [
            ("on", true, false, Service::Reload),
            ("on", false, false, Service::Stop),
            ("off", true, false, Service::Start),
            ("off", false, false, Service::Leave),
            ("new", true, true, Service::Start),
            ("new", false, true, Service::Leave),
        ] {
            let steps = plan(&[jail(name, "2222", on)], &node);
            assert_eq!(steps[0].as_ref().unwrap(), &Step { create, vacate: false, service }, "{name} {on}");
        }
    }

    #[test]
    fn a_jail_of_another_format_and_a_port_that_is_taken_are_refused() {
        let node = node(&[
            ("old", "1", false, None),
            ("theirs", "2", true, Some(2222)),
            ("b", "2", true, Some(2223)),
        ]);
        let steps =
            plan(&[jail("old", "3000", true), jail("a", "2222", true), jail("b", "2224", true)], &node);
        assert_eq!(steps[0].as_ref().unwrap_err().kind(), ErrorKind::WrongFormat);
        let error = steps[1].as_ref().unwrap_err().to_string();
        assert!(error.starts_with("port 2222 is already used by jail 'theirs' there (change one"), "{error}");
        assert!(steps[2].is_ok());
        // The port that another jail of the same run is about to leave is free.
        let steps = plan(&[jail("a", "2223", true), jail("b", "2224", true)], &node);
        assert!(steps.iter().all(Result::is_ok));
    }

    #[test]
    fn jails_that_swap_their_ports_let_go_of_them_first() {
        let node = node(&[("a", "2", true, Some(1)), ("b", "2", true, Some(2)), ("c", "2", false, Some(3))]);
        let wanted = [jail("a", "2", true), jail("b", "3", true), jail("c", "1", true), jail("d", "4", true)];
        let steps: Vec<Step> = plan(&wanted, &node).into_iter().map(Result::unwrap).collect();
        assert_eq!(steps.iter().map(|step| step.vacate).collect::<Vec<_>>(), [true, true, false, false]);
        assert!(steps.iter().all(|step| step.service == Service::Start));
        let stays = plan(&[jail("a", "5", true), jail("b", "2", true)], &node);
        assert!(stays.iter().all(|step| step.as_ref().is_ok_and(|step| !step.vacate)));
    }
}
