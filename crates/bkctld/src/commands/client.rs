//! `client`: the script by which a client pushes into its jail.

use bkctld_core::JailName;
use bkctld_core::client::{ClientScript, ServerName};
use clap::Args;

use crate::completers;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::server_name;
use crate::shape::client::Script;

/// Print the script by which the jail's client pushes
#[derive(Args)]
pub struct Arguments {
    /// The jail
    #[arg(value_name = "JAIL", add = completers::jail_name())]
    jail: JailName,
    /// How the client reaches this server and others that serve the jail: HOST, HOST:PORT, [ADDRESS]:PORT;
    /// this host's name if there is none
    #[arg(value_name = "SERVER")]
    servers: Vec<ServerName>,
}

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    let jail = context.jail(&arguments.jail)?;
    let servers = if arguments.servers.is_empty() { vec![server_name::read()?] } else { arguments.servers };
    let script = ClientScript::new(&context.settings, &jail, &servers)?;
    let text = script.text(&context.settings)?;
    context.answer(&Script { script, text });
    Ok(Exit::Done)
}
