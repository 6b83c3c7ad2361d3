//! Transfers files to a node with rsync: all jails in one run, and one by one only if that fails, to find out
//! which of them failed.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use super::connection::Connection;
use super::node::NodeState;
use crate::config::Settings;
use crate::error::{Error, Result};
use crate::jail::JailName;
use crate::program::RSYNC;
use crate::text;

/// The changes, made or planned: lines for people, such as `change rootfs/etc/ssh/sshd_config`.
type Changes = BTreeMap<JailName, Vec<String>>;

/// The two directories that hold a jail's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tree {
    /// `JAILDIR`: the configuration within the jail.
    Jails,
    /// `CONFDIR`: that about the jail.
    Conf,
}

const OPTIONS: [&str; 9] = [
    "--archive",
    "--recursive",
    "--numeric-ids",
    // The files are few and small. Size and time alone would miss a port or a key that was changed
    // twice within a second.
    "--checksum",
    "--omit-dir-times",
    "--delete",
    // Only the named paths are changed, not the jail's own directory above them, which contains the data.
    "--no-implied-dirs",
    "--secluded-args",
    "--out-format=%i %n%L",
];

/// Mirrors the configuration of these jails, which all exist on the node. Returns changes and errors by jail.
pub(super) fn transfer(
    connection: &Connection<'_>,
    settings: &Settings,
    node: &NodeState,
    jails: &[&JailName],
    dry_run: bool,
) -> Result<BTreeMap<JailName, Result<Vec<String>>>> {
    // The outer error is the node's, the inner one that of these jails.
    let of = |names: &[&JailName]| -> Result<Result<Changes>> {
        let result = both_trees(connection, settings, node, names, dry_run);
        if result.is_err() && !connection.answers() {
            return Err(Error::node("the connection broke").with_hint("run sync again to complete it"));
        }
        Ok(result)
    };
    let mut changes = match of(jails)? {
        Ok(changes) => changes.into_iter().map(|(name, lines)| (name, Ok(lines))).collect(),
        Err(error) if jails.len() == 1 => BTreeMap::from([(jails[0].clone(), Err(error))]),
        Err(_) => {
            let mut all = BTreeMap::new();
            for &name in jails {
                let lines = of(&[name])?.map(|mut changes| changes.remove(name).unwrap_or_default());
                all.insert(name.clone(), lines);
            }
            all
        }
    };
    for &name in jails {
        changes.entry(name.clone()).or_insert_with(|| Ok(Vec::new()));
    }
    Ok(changes)
}

fn both_trees(
    connection: &Connection<'_>,
    settings: &Settings,
    node: &NodeState,
    jails: &[&JailName],
    dry_run: bool,
) -> Result<Changes> {
    let results = std::thread::scope(|scope| {
        let runs = [Tree::Jails, Tree::Conf].map(|tree| {
            let (from, to) = tree.ends(settings, node);
            let mut command = connection.rsync();
            command.args(OPTIONS).args(tree.options()).args(dry_run.then_some("--dry-run"));
            command.args(["--from0", "--files-from=-", "--"]).arg(with_slash(from)).arg(connection.place(to));
            let names: Vec<String> = jails.iter().flat_map(|name| tree.names(name, from)).collect();
            (tree, scope.spawn(move || rsync(command, &names)))
        });
        runs.map(|(tree, run)| (tree, run.join()))
    });
    let mut changes = Changes::new();
    for (tree, result) in results {
        let lines = result.unwrap_or_else(|_| Err(Error::internal("the reader of rsync's output failed")))?;
        for (name, change) in lines.iter().filter_map(|line| tree.change(line, jails)) {
            changes.entry(name).or_default().push(change);
        }
    }
    Ok(changes)
}

impl Tree {
    fn ends<'a>(self, settings: &'a Settings, node: &'a NodeState) -> (&'a Path, &'a str) {
        match self {
            Tree::Jails => (&settings.jail_dir, &node.jail_dir),
            Tree::Conf => (&settings.conf_dir, &node.conf_dir),
        }
    }

    fn options(self) -> &'static [&'static str] {
        match self {
            // A jail without these directories is broken, not to be mirrored.
            Tree::Jails => &[],
            // A jail need not have a policy, and what is gone here goes there.
            Tree::Conf => &["--delete-missing-args"],
        }
    }

    /// What of this tree, which lies at `dir` here, belongs to the jail.
    fn names(self, jail: &JailName, dir: &Path) -> Vec<String> {
        match self {
            Tree::Jails => vec![format!("{jail}/rootfs/etc"), format!("{jail}/rootfs/root")],
            Tree::Conf => {
                let mut names = vec![format!("{jail}.d")];
                // The policy's old place. What has this name may also be the directory of another jail:
                // that of `a`, where this one is called `a.d`.
                let there = dir.join(jail.as_str()).symlink_metadata();
                if there.map_or(!jail.as_str().ends_with(".d"), |meta| !meta.is_dir()) {
                    names.push(jail.to_string());
                }
                names
            }
        }
    }

    /// What a line of rsync's list says, as `>fcst...... web01/rootfs/etc/passwd` or
    /// `*deleting   web01.d/x`: of which jail, and what happens to what.
    fn change(self, line: &str, jails: &[&JailName]) -> Option<(JailName, String)> {
        let (code, path) = line.split_once(' ')?;
        let path = path.trim_start();
        let (top, below) = path.split_once('/').unwrap_or((path, ""));
        let is = |name: &str| jails.iter().find(|jail| jail.as_str() == name).copied();
        let (jail, shown) = match self {
            Tree::Jails => (is(top)?, below),
            // A name that is followed by nothing is that of a file: the policy's old place.
            Tree::Conf if path.contains('/') => (is(top.strip_suffix(".d")?)?, path),
            Tree::Conf => (is(top).or_else(|| is(top.strip_suffix(".d")?))?, path),
        };
        let verb = match code.as_bytes() {
            b"*deleting" => "delete",
            // Nothing but the attributes of a directory.
            [b'.', b'd', ..] => return None,
            [b'.', ..] => "set the attributes of",
            _ if code.ends_with("+++++++++") => "add",
            _ => "change",
        };
        Some((jail.clone(), format!("{verb} {}", text::printable(shown.as_bytes()))))
    }
}

fn with_slash(dir: &Path) -> std::ffi::OsString {
    let mut dir = dir.as_os_str().to_owned();
    dir.push("/");
    dir
}

/// Runs rsync with these names as what is to be sent, and gives what it says.
fn rsync(mut command: Command, names: &[String]) -> Result<Vec<String>> {
    let list = names.iter().flat_map(|name| [name.as_bytes(), b"\0"]).flatten().copied().collect::<Vec<_>>();
    let answer = RSYNC.talk(&mut command, &list)?;
    if !answer.status.success() {
        return Err(failed(&answer.stderr));
    }
    Ok(String::from_utf8_lossy(&answer.stdout).lines().map(str::to_owned).collect())
}

/// The reason why rsync failed, in its own words: the first lines are the cause, the last is only the exit
/// code.
fn failed(words: &[u8]) -> Error {
    let words = String::from_utf8_lossy(words);
    let first = words.lines().find(|line| !line.trim().is_empty()).unwrap_or("rsync failed").trim();
    let full = words.lines().find(|line| line.contains("No space left on device"));
    let shown = text::printable(full.unwrap_or(first).trim().as_bytes()).into_owned();
    match full {
        Some(_) => Error::no_space(format!("its disk is full: {shown}"))
            .with_hint("free space there and run sync again"),
        None => Error::node(shown),
    }
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_of_rsync_belongs_to_one_jail() {
        let jails: Vec<JailName> = ["web", "a", "a.d"].map(|name| name.parse().unwrap()).into();
        let jails: Vec<&JailName> = jails.iter().collect();
        for (tree, line, expected) in [
            (
                Tree::Jails,
                ">fcst...... web/rootfs/etc/ssh/sshd_config",
                Some(("web", "change rootfs/etc/ssh/sshd_config")),
            ),
            (
                Tree::Jails,
                ">f+++++++++ a.d/rootfs/root/.ssh/authorized_keys",
                Some(("a.d", "add rootfs/root/.ssh/authorized_keys")),
            ),
            (Tree::Jails, "*deleting   web/rootfs/etc/x y", Some(("web", "delete rootfs/etc/x y"))),
            (
                Tree::Jails,
                ".f...p..... a/rootfs/etc/shadow",
                Some(("a", "set the attributes of rootfs/etc/shadow")),
            ),
            (Tree::Jails, ".d..t...... web/rootfs/etc/", None),
            (Tree::Jails, "cd+++++++++ web/rootfs/etc/new/", Some(("web", "add rootfs/etc/new/"))),
            (Tree::Jails, ">f+++++++++ other/rootfs/etc/passwd", None),
            (Tree::Jails, "", None),
            (Tree::Conf, ">fc........ a.d/incs_policy", Some(("a", "change a.d/incs_policy"))),
            (Tree::Conf, "*deleting   web.d/", Some(("web", "delete web.d/"))),
            (Tree::Conf, "cL+++++++++ web -> web.d/incs_policy", None),
            (Tree::Conf, "*deleting   web", Some(("web", "delete web"))),
            (Tree::Conf, ">f+++++++++ a.d", Some(("a.d", "add a.d"))),
        ] {
            let found = tree.change(line, &jails);
            let expected =
                expected.map(|(jail, text): (&str, &str)| (jail.parse().unwrap(), text.to_owned()));
            assert_eq!(found, expected, "{line}");
        }
    }

    #[test]
    fn the_directory_of_one_jail_is_not_the_old_policy_of_another() {
        let dir = tempfile::tempdir().unwrap();
        let names = |jail: &str| Tree::Conf.names(&jail.parse().unwrap(), dir.path());
        assert_eq!(names("a"), ["a.d", "a"]);
        assert_eq!(names("a.d"), ["a.d.d"]);
        std::fs::create_dir(dir.path().join("a.d")).unwrap();
        assert_eq!(names("a.d"), ["a.d.d"]);
        std::fs::write(dir.path().join("b.d"), "+%Y-%m-%d.-0day").unwrap();
        assert_eq!(names("b.d"), ["b.d.d", "b.d"]);
    }

    #[test]
    fn a_full_node_is_told_as_such() {
        let words = b"rsync: [receiver] mkstemp \"/b/.x\" failed: No space left on device (28)\nrsync error: code 23\n";
        let error = failed(words).to_string();
        assert!(
            error.starts_with("its disk is full: ")
                && error.ends_with("(free space there and run sync again)"),
            "{error}"
        );
        assert_eq!(failed(b"\nrsync: what\nrsync error: 23\n").to_string(), "rsync: what");
    }
}
