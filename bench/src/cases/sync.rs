//! Mirroring jails to a second server.

use std::fs;

use crate::Result;
use crate::machine::Machine;
use crate::measure::{Times, print};
use crate::server::Server;
use crate::volume::{Kind, Volume};

const JAILS: usize = 100;
const RUNS: usize = 5;

/// `sync all` where nothing has changed since the last one: with all jails off, and with all on, where
/// each is reloaded on the node.
pub fn unchanged() -> Result<()> {
    let volumes = (Volume::new(Kind::Ext4, 4)?, Volume::new(Kind::Ext4, 4)?);
    let servers = (Server::on(&volumes.0)?, Server::on(&volumes.1)?);
    let (here, node) = Machine::pair(&servers.0.program)?;
    servers.0.run(&["init", "a"])?;
    servers.0.copy_jail("a", JAILS)?;
    for (machine, server, more) in [(&here, &servers.0, "NODE=10.9.0.2\n"), (&node, &servers.1, "")] {
        let config = server.root.join("config");
        fs::write(&config, fs::read_to_string(&config)? + more)?;
        machine.sh(&format!("cp {} /etc/default/bkctld", config.display()))?;
    }
    let sync = || here.sh("bkctld sync all");
    let mut first = Times::default();
    first.take(sync)?;
    print("bkctld sync all, jails to be created", &first);
    for (state, command) in [("off", "stop"), ("on", "start")] {
        here.sh(&format!("bkctld {command} all"))?;
        sync()?;
        let mut times = Times::default();
        for _ in 0..RUNS {
            times.take(sync)?;
        }
        print(&format!("bkctld sync all, jails {state}"), &times);
    }
    println!("  (goal: under 5 s)");
    Ok(())
}
