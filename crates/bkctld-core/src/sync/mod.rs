//! Mirroring jails to another server: their configuration and whether they are on, never their data.
//!
//! A node is asked once for its jails. The plan is made before anything is changed, then carried out in as
//! few steps as possible for all jails together: missing jails are made, one rsync transfers the files, and
//! finally each service gets the state that it has here. The next run completes an interrupted step, because
//! each step starts from the present state; no jail is started or reloaded before its files have arrived.
//!
//! On the node only `/usr/lib/bkctld` is called: the same entry points as the original's `sync` calls.

mod connection;
pub(crate) mod node;
mod plan;
mod transfer;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub use plan::{Service, Wanted};

use crate::config::Settings;
use crate::error::{Error, Result};
use crate::jail::{Jail, JailName, SshdConfig};
use crate::lock::Lock;
use crate::service;
use connection::Connection;
use plan::Step;

/// The result for one jail on one node, or the planned result.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Mirrored {
    /// Whether the node did not have it before.
    pub created: bool,
    /// The files that changed there, with the kind of change. Unknown for a jail that would be created.
    pub changes: Vec<String>,
    /// What was done about its service there.
    pub service: Service,
}

/// The results for each jail on one node, in the given order, or the reason why nothing was done there.
pub type OnNode = Result<Vec<Result<Mirrored>>>;

/// One run of `sync`; no other can run while it lives.
#[derive(Debug)]
pub struct Run<'a> {
    settings: &'a Settings,
    version: &'a str,
    /// Whether nothing is to be changed.
    rehearsal: bool,
    sockets: PathBuf,
    _lock: Lock,
}

impl Wanted {
    /// The jail as it is on this server.
    pub fn here(jail: &Jail) -> Result<Wanted> {
        jail.require_current_format()?;
        let port = SshdConfig::read(jail)?.port()?;
        Ok(Wanted { name: jail.name().clone(), port, on: service::is_on(jail)? })
    }
}

impl<'a> Run<'a> {
    /// Begins a run. `version` is the version of this program; `waiting` is called if another run must end
    /// first.
    pub fn begin(
        settings: &'a Settings,
        version: &'a str,
        rehearsal: bool,
        waiting: impl FnOnce(),
    ) -> Result<Run<'a>> {
        let lock = Lock::take(&settings.lock_dir.join("sync"), waiting)?;
        let sockets = connection::socket_dir(&settings.lock_dir)?;
        Ok(Run { settings, version, rehearsal, sockets, _lock: lock })
    }

    /// Mirrors the jails to each of the `NODE`s, all nodes at once. Errors name the node.
    pub fn mirror(&self, jails: &[Wanted]) -> Vec<(&'a str, OnNode)> {
        let nodes = &self.settings.nodes;
        std::thread::scope(|scope| {
            let work: Vec<_> = nodes
                .iter()
                .enumerate()
                .map(|(number, node)| scope.spawn(move || self.to_node(node, number, jails)))
                .collect();
            let ended = |done: std::thread::ScopedJoinHandle<'_, OnNode>| {
                done.join().unwrap_or_else(|_| Err(Error::internal("the worker for this node failed")))
            };
            nodes.iter().zip(work).map(|(node, done)| (node.as_str(), named(node, ended(done)))).collect()
        })
    }

    fn to_node(&self, name: &str, number: usize, jails: &[Wanted]) -> OnNode {
        let connection = Connection::open(name, &self.sockets, number)?;
        let node = node::survey(&connection, self.version)?;
        let mut steps = plan::plan(jails, &node);
        let rehearsal = self.rehearsal;
        if !rehearsal {
            on_each(&connection, jails, &mut steps, false, |step| match (step.create, step.vacate) {
                (true, _) => Some(vec!["init"]),
                (_, true) => Some(vec!["stop"]),
                _ => None,
            })?;
        }
        let there: Vec<&JailName> = jails
            .iter()
            .zip(&steps)
            .filter(|(_, step)| step.as_ref().is_ok_and(|step| !(rehearsal && step.create)))
            .map(|(jail, _)| &jail.name)
            .collect();
        let mut changes = match there.as_slice() {
            [] => BTreeMap::new(),
            some => transfer::transfer(&connection, self.settings, &node, some, rehearsal)?,
        };
        let mut changed = Vec::with_capacity(jails.len());
        for (jail, step) in jails.iter().zip(&mut steps) {
            let lines = changes.remove(&jail.name).unwrap_or_else(|| Ok(Vec::new()));
            changed.push(lines.unwrap_or_else(|error| {
                *step = Err(error);
                Vec::new()
            }));
        }
        if !rehearsal {
            on_each(&connection, jails, &mut steps, node.firewall, |step| {
                Some(step.service.command().into_iter().collect())
            })?;
        }
        let mirrored = |(step, changes): (Result<Step>, Vec<String>)| {
            step.map(|step| Mirrored { created: step.create, changes, service: step.service })
        };
        Ok(steps.into_iter().zip(changed).map(mirrored).collect())
    }
}

/// Lets the node run commands on the jails that have not failed so far.
fn on_each(
    connection: &Connection<'_>,
    jails: &[Wanted],
    steps: &mut [Result<Step>],
    rules: bool,
    commands: impl Fn(&Step) -> Option<Vec<&'static str>>,
) -> Result<()> {
    let wanted = |step: &Result<Step>| step.as_ref().ok().and_then(&commands);
    let work: Vec<_> =
        jails.iter().zip(steps.iter()).map(|(jail, step)| (&jail.name, wanted(step))).collect();
    let outcomes = node::each(connection, &work, rules)?;
    for (step, outcome) in steps.iter_mut().zip(outcomes) {
        if let Err(error) = outcome {
            *step = Err(error);
        }
    }
    Ok(())
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        // The next run deletes remaining files.
        let _ = std::fs::remove_dir_all(&self.sockets);
    }
}

/// Names the node in an error.
fn named(node: &str, result: OnNode) -> OnNode {
    let jails = result.map_err(|error| error.on_node(node))?;
    Ok(jails.into_iter().map(|jail| jail.map_err(|error| error.on_node(node))).collect())
}
