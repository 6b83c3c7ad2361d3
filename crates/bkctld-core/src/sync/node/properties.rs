//! Properties of every answer of a node.

use super::*;
use crate::fuzzing::assert_shown;
use crate::sync::plan::{self, Wanted};
use crate::sync::transfer;

pub(crate) fn hold(bytes: &[u8]) {
    let lines: Vec<String> = String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect();
    let names: Vec<JailName> = ["web", "db"].iter().filter_map(|name| name.parse().ok()).collect();
    match parse(&lines, "26.11.0") {
        Err(error) => assert_shown(error),
        Ok(node) => of_plan(&names, &node),
    }
    let work: Vec<Work<'_>> = names.iter().map(|name| (name, Some(vec!["init", "reload"]))).collect();
    let told = outcomes(&work, &lines);
    assert_eq!(told.len(), work.len());
    told.into_iter().filter_map(Result::err).for_each(assert_shown);
    transfer::properties::hold(&lines, &names);
}

fn of_plan(names: &[JailName], node: &NodeState) {
    assert!(node.jail_dir.starts_with('/') && node.conf_dir.starts_with('/'));
    let ports = ["2222", "2223"].iter().filter_map(|port| port.parse().ok());
    let wanted: Vec<Wanted> =
        names.iter().zip(ports).map(|(name, port)| Wanted { name: name.clone(), port, on: true }).collect();
    let steps = plan::plan(&wanted, node);
    assert_eq!(steps.len(), wanted.len());
    steps.into_iter().filter_map(Result::err).for_each(assert_shown);
}
