//! `sync`: mirrors jails, without their data, to other servers.

use std::collections::BTreeMap;
use std::sync::Mutex;

use bkctld_core::error::JailContext;
use bkctld_core::sync::{Mirrored, OnNode, Run, Wanted};
use bkctld_core::{Error, JailName, config, text};
use clap::Args;

use crate::completers;
use crate::context::{Context, Ended, Outcome, Target};
use crate::exit::{Exit, Failure};
use crate::shape::sync::{Node, Nodes, in_words};

/// Mirror a jail's configuration and state to the servers in NODE
#[derive(Args)]
pub struct Arguments {
    /// The jail, or 'all'
    #[arg(value_name = "JAIL|all", add = completers::jail_name_or_all())]
    target: Target,
}

type Outcomes = BTreeMap<JailName, Result<Outcome<Nodes>, Failure>>;

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    let names = context.names(&arguments.target)?;
    let settings = &context.settings;
    if settings.nodes.is_empty() {
        let file = settings.file.as_deref().unwrap_or(config::DEFAULT_FILE.as_ref());
        let file = text::path(file);
        return Err(Error::refused("no server to mirror to").with_hint(format!("set NODE in {file}")).into());
    }
    let (mut jails, mut outcomes) = (Vec::new(), Outcomes::new());
    for name in &names {
        match context.jail(name).and_then(|jail| Ok(Wanted::here(&jail).for_jail(name)?)) {
            Ok(jail) => jails.push(jail),
            Err(failure) => {
                outcomes.insert(name.clone(), Err(failure));
            }
        }
    }
    let mut unreached = false;
    if !jails.is_empty() {
        let (count, nodes) = (jails.len(), settings.nodes.join(", "));
        context.ui.notice(format_args!("jails to be mirrored to {nodes}: {count}"));
        let waiting = || context.ui.notice("waiting for another sync to finish");
        let nodes =
            Run::begin(settings, env!("CARGO_PKG_VERSION"), context.options.dry_run, waiting)?.mirror(&jails);
        unreached = nodes.iter().any(|(_, jails)| jails.is_err());
        combine(context, &jails, nodes, &mut outcomes);
    }
    let outcomes = Mutex::new(outcomes);
    // Results are printed in the order of the names.
    let exit = context.for_each_at_once(&names, 1, |name| {
        let outcome = outcomes.lock().ok().and_then(|mut outcomes| outcomes.remove(name));
        outcome.unwrap_or_else(|| Err(Error::internal("there is no result for it").in_jail(name).into()))
    });
    Ok(if exit == Exit::Done && unreached { Exit::Error } else { exit })
}

/// The result for each jail on all nodes together. A node that failed completely is reported once, here.
fn combine(context: &Context, jails: &[Wanted], nodes: Vec<(&str, OnNode)>, outcomes: &mut Outcomes) {
    let mut results: Vec<JailOnNodes> = jails.iter().map(|_| JailOnNodes::default()).collect();
    for (node, result) in nodes {
        match result {
            Ok(here) => {
                for ((result, here), jail) in results.iter_mut().zip(here).zip(jails) {
                    match here {
                        Ok(mirrored) => result.add_mirrored(context, node, &mirrored),
                        Err(error) => result.add_failure(node, error.in_jail(&jail.name).into()),
                    }
                }
            }
            Err(error) => {
                let failure = Failure::from(error);
                context.ui.error(&failure);
                for result in &mut results {
                    result.nodes.push(Node::failed(node, &failure));
                }
            }
        }
    }
    for (jail, result) in jails.iter().zip(results) {
        outcomes.insert(jail.name.clone(), result.outcome(context, &jail.name));
    }
}

/// The result for one jail, node after node.
#[derive(Default)]
struct JailOnNodes {
    lines: Vec<String>,
    nodes: Vec<Node>,
    failures: Vec<Failure>,
    changed: bool,
}

impl JailOnNodes {
    fn add_mirrored(&mut self, context: &Context, node: &str, mirrored: &Mirrored) {
        let rehearsal = context.options.dry_run;
        let (changes, changed) = in_words(mirrored, rehearsal);
        let mut line = format!("on {node}: {changes}");
        if rehearsal {
            line.extend(mirrored.changes.iter().map(|change| format!("\n  {change}")));
        }
        self.lines.push(line);
        self.changed |= changed;
        self.nodes.push(Node::mirrored(node, mirrored));
    }

    fn add_failure(&mut self, node: &str, failure: Failure) {
        self.nodes.push(Node::failed(node, &failure));
        self.failures.push(failure);
    }

    fn outcome(self, context: &Context, name: &JailName) -> Result<Outcome<Nodes>, Failure> {
        let mut failures = self.failures.into_iter();
        if let Some(first) = failures.next() {
            failures.for_each(|failure| context.ui.error(failure));
            return Err(first);
        }
        let ended = match (self.lines.is_empty(), self.changed) {
            (true, _) => Ended::Failed,
            (false, _) if context.options.dry_run => Ended::Would,
            (false, true) => Ended::Done,
            (false, false) => Ended::Skipped,
        };
        let words = if self.lines.is_empty() { "not mirrored".to_owned() } else { self.lines.join("; ") };
        Ok(Outcome::new(ended, format_args!("jail '{name}' {words}")).with(Nodes { nodes: self.nodes }))
    }
}
