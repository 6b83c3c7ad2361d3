//! `client`: prints the script with which a client pushes to its jail.

use bkctld_core::JailName;
use bkctld_core::client::{ClientScript, ServerName};
use clap::Args;

use crate::completers;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::server_name;
use crate::shape::client::Script;

/// Print the script with which the jail's client pushes
#[derive(Args)]
pub struct Arguments {
    /// The jail
    #[arg(value_name = "JAIL", add = completers::jail_name())]
    jail: JailName,
    /// Names of the servers with this jail, as the client reaches them: HOST, HOST:PORT, [ADDRESS]:PORT;
    /// the host name of this server by default
    #[arg(value_name = "SERVER")]
    #[allow(
        rustdoc::broken_intra_doc_links,
        reason = "the brackets belong to the address, and this text is the help"
    )]
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
