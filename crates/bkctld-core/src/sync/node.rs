//! The state of a node, and the commands that it runs.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::connection::Connection;
use crate::error::{Error, Result};
use crate::jail::JailName;
use crate::text;

/// The number of jails on which a node works at once: most of the time is spent on starting programs.
const AT_ONCE: usize = 4;

/// The state of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NodeState {
    /// The version of its program.
    pub version: String,
    /// `JAILDIR` there, which may differ from ours.
    pub jail_dir: String,
    /// `CONFDIR` there, which may differ from ours.
    pub conf_dir: String,
    /// Whether it has a firewall that must be updated.
    pub firewall: bool,
    /// The jails that are there, by their names, which are not checked.
    pub jails: BTreeMap<String, NodeJail>,
}

/// A jail on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NodeJail {
    /// The version of its format on disk.
    pub format: String,
    /// Whether clients can connect to it there.
    pub on: bool,
    /// Its port, if it can be read.
    pub port: Option<u16>,
}

/// What we read of `status --json`.
#[derive(Deserialize)]
struct Status {
    jails: Vec<JailStatus>,
}

#[derive(Deserialize)]
struct JailStatus {
    name: String,
    format: String,
    status: String,
    port: Option<u16>,
}

/// Asks the node for its state. `version` is the version of this program: another version is refused before
/// the rest of the answer is trusted.
pub(super) fn survey(connection: &Connection<'_>, version: &str) -> Result<NodeState> {
    parse(&connection.run(include_str!("survey.sh"))?, version)
}

fn parse(answer: &[String], version: &str) -> Result<NodeState> {
    let (theirs, rest) = match answer {
        [only] if only == "missing" => {
            return Err(Error::node("there is no /usr/lib/bkctld/includes").with_hint("install bkctld there"));
        }
        [first, rest @ ..] => (first, rest),
        [] => return Err(unclear("nothing")),
    };
    if theirs != version {
        let theirs = text::printable(theirs.as_bytes());
        let message = format!("it has version {theirs} of bkctld and this server {version}");
        return Err(Error::node(message).with_hint("install the same version on both"));
    }
    let [jail_dir, conf_dir, firewall, status] = rest else {
        return Err(Error::node("'bkctld status' fails there").with_hint("run it by hand to see why"));
    };
    for dir in [jail_dir, conf_dir] {
        if !dir.starts_with('/') {
            return Err(unclear(dir));
        }
    }
    let status: Status = serde_json::from_str(status).map_err(|_| unclear(status))?;
    let jails = status.jails.into_iter().map(|jail| {
        let on = jail.status == "ON";
        (jail.name, NodeJail { format: jail.format, on, port: jail.port })
    });
    Ok(NodeState {
        version: theirs.clone(),
        jail_dir: jail_dir.clone(),
        conf_dir: conf_dir.clone(),
        firewall: !firewall.is_empty(),
        jails: jails.collect(),
    })
}

fn unclear(said: &str) -> Error {
    let said: String = said.chars().take(80).collect();
    Error::node(format!("its answer is not understood: '{}'", text::printable(said.as_bytes())))
}

/// The commands for one jail on a node, in this order; `None` means nothing at all.
pub(super) type Work<'a> = (&'a JailName, Option<Vec<&'static str>>);

/// Lets the node run these commands on each jail, several jails at once, and returns the results in the order
/// of `work`. The first failing command is a jail's last. With `rules`, the firewall is updated first.
pub(super) fn each(connection: &Connection<'_>, work: &[Work<'_>], rules: bool) -> Result<Vec<Result<()>>> {
    let asked: Vec<_> = work.iter().filter_map(|(name, commands)| Some((name, commands.as_ref()?))).collect();
    if asked.is_empty() {
        return Ok(outcomes(work, &[]));
    }
    let mut script = format!("rules={}\n{}", if rules { "yes" } else { "no" }, include_str!("each.sh"));
    for worker in 0..AT_ONCE {
        script.push_str("each <<'END' &\n");
        for (name, commands) in asked.iter().skip(worker).step_by(AT_ONCE) {
            // A jail's name is one plain word.
            script.push_str(&format!("{name} {}\n", commands.join(" ")));
        }
        script.push_str("END\n");
    }
    script.push_str("wait\n");
    Ok(outcomes(work, &connection.run(&script)?))
}

fn outcomes(work: &[Work<'_>], answer: &[String]) -> Vec<Result<()>> {
    let told: BTreeMap<&str, &str> = answer.iter().filter_map(|line| line.split_once(' ')).collect();
    let outcome = |(name, commands): &Work<'_>| {
        let Some(commands) = commands else { return Ok(()) };
        match told.get(name.as_str()).and_then(|rest| rest.split_once(' ')) {
            Some(("0", _)) => Ok(()),
            Some((code, "")) => {
                let code = text::printable(code.as_bytes());
                Err(Error::node(format!("{} failed: exit {code}", commands.join(" and "))))
            }
            Some((_, said)) => {
                let said = said.trim().strip_prefix("bkctld: ").unwrap_or(said.trim());
                Err(Error::node(text::printable(said.as_bytes())))
            }
            None => Err(Error::node("the node did not report a result for this jail")),
        }
    };
    work.iter().map(outcome).collect()
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[&str]) -> Vec<String> {
        text.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn the_answer_of_a_node_is_read_or_refused() {
        let status = r#"{"version":1,"command":"status","jails":[
            {"name":"a","format":"2","status":"ON","port":2222,"retention":null,"addresses":[]},
            {"name":"b","format":"1","status":"OFF","port":null}]}"#
            .replace('\n', "");
        let node =
            parse(&lines(&["26.11.0", "/srv/my jails", "/etc/evobackup", "", &status]), "26.11.0").unwrap();
        assert_eq!((node.jail_dir.as_str(), node.firewall), ("/srv/my jails", false));
        assert_eq!(node.jails["a"], NodeJail { format: "2".into(), on: true, port: Some(2222) });
        assert_eq!(node.jails["b"], NodeJail { format: "1".into(), on: false, port: None });
        for (answer, why) in [
            (&["missing"][..], "install bkctld there"),
            (
                &["25.05", "/backup/jails", "/etc/evobackup", ""],
                "it has version 25.05 of bkctld and this server 26.11.0",
            ),
            (&["", "", "", "", ""], "it has version  of bkctld"),
            (&[], "not understood: 'nothing'"),
            (&["26.11.0", "/backup/jails", "/etc/evobackup", ""], "'bkctld status' fails there"),
            (&["26.11.0", "jails", "/etc/evobackup", "", &status], "not understood: 'jails'"),
            (&["26.11.0", "/j", "/c", "", "\x1b[2J"], "not understood: '\\u{1b}[2J'"),
        ] {
            let error = parse(&lines(answer), "26.11.0").unwrap_err().to_string();
            assert!(error.contains(why), "{answer:?}: {error}");
        }
    }

    #[test]
    fn each_jail_has_an_outcome_of_its_own() {
        let names: Vec<JailName> = ["a", "b", "c", "d", "e"].map(|name| name.parse().unwrap()).into();
        let mut work: Vec<_> = names.iter().map(|name| (name, Some(vec!["init", "reload"]))).collect();
        work[4].1 = None;
        let answer = lines(&["noise", "b 1 bkctld: no \x1b port ", "a 0 ", "d 127 "]);
        let told: Vec<String> = outcomes(&work, &answer)
            .into_iter()
            .map(|end| end.err().map_or("".into(), |e| e.to_string()))
            .collect();
        assert_eq!(
            told,
            [
                "",
                "no \\u{1b} port",
                "the node did not report a result for this jail",
                "init and reload failed: exit 127",
                ""
            ]
        );
    }

    #[test]
    fn what_a_node_gives_for_an_exit_code_does_not_steer_the_terminal() {
        let name: JailName = "web".parse().unwrap();
        let told = outcomes(&[(&name, Some(vec!["reload"]))], &lines(&["web 1\x1b[2J "]));
        assert_eq!(told[0].as_ref().unwrap_err().to_string(), "reload failed: exit 1\\u{1b}[2J");
    }
}
