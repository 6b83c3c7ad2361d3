//! `client`: the script by which a client pushes into its jail.

use std::process::Command;

use bkctld_core::JailName;
use bkctld_core::client::{ClientScript, ServerName};
use clap::Args;
use serde::Serialize;

use crate::completion;
use crate::context::Context;
use crate::exit::{Exit, Failure};

#[derive(Args)]
pub struct Arguments {
    /// The jail
    #[arg(value_name = "JAIL", add = completion::jail_name())]
    jail: JailName,
    /// How the client reaches this server and others that serve the jail: HOST, HOST:PORT, [ADDRESS]:PORT;
    /// this host's name if there is none
    #[arg(value_name = "SERVER")]
    servers: Vec<ServerName>,
}

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    let jail = context.jail(&arguments.jail)?;
    let servers = if arguments.servers.is_empty() { vec![this_server()?] } else { arguments.servers };
    let script = ClientScript::new(&context.settings, &jail, &servers)?;
    let text = script.text(&context.settings)?;
    if context.ui.json() {
        #[derive(Serialize)]
        struct Shown {
            #[serde(flatten)]
            script: ClientScript,
            text: String,
        }
        context.ui.document("client", Shown { script, text });
    } else {
        context.ui.text(text);
    }
    Ok(Exit::Done)
}

/// This server's full name, which the resolver knows; the kernel's where it has none.
pub(super) fn this_server() -> Result<ServerName, Failure> {
    let full = Command::new("hostname").arg("--fqdn").output();
    let full = full.ok().filter(|output| output.status.success());
    let full = full.map(|output| String::from_utf8_lossy(output.stdout.trim_ascii()).into_owned());
    // A name that no other machine knows is worse than the short one.
    let full = full.filter(|name| name != "localhost" && !name.starts_with("localhost."));
    let name = full.unwrap_or_else(|| rustix::system::uname().nodename().to_string_lossy().into_owned());
    name.parse().map_err(|error| {
        Failure::error(format!("this server's own name: {error}; name it: bkctld client JAIL SERVER"))
    })
}
