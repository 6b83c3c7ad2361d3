//! `init`: creates a jail.

use std::path::Path;

use bkctld_core::client::FirstPush;
use bkctld_core::config::DEFAULT_FILE;
use bkctld_core::lifecycle::create;
use bkctld_core::{Error, Jail, JailName};
use clap::Args;

use crate::completers;
use crate::context::{Context, Ended, Outcome};
use crate::exit::{Exit, Failure};
use crate::shape::init::NewJail;

/// Create a jail (it is not started)
#[derive(Args)]
pub struct Arguments {
    /// The jail
    #[arg(value_name = "JAIL", add = completers::jail_name())]
    jail: JailName,
}

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    let jail = Jail::new(&context.settings, arguments.jail.clone());
    let exit = context.for_each(&[arguments.jail], |name| {
        let (port, outcome) = if context.options.dry_run {
            let port = create::plan(&context.settings, name)?;
            (port, Outcome::new(Ended::Would, format_args!("would create jail '{name}' on port {port}")))
        } else {
            let port = create::run(&context.settings, name, context)?;
            (port, Outcome::new(Ended::Done, format_args!("jail '{name}' created on port {port}")))
        };
        Ok(outcome.with(NewJail { port }))
    });
    if exit == Exit::Done && !context.options.dry_run && context.ui.guides() {
        match next_steps(context, &jail) {
            Ok(steps) => context.ui.guide(steps),
            // The jail is created nevertheless.
            Err(failure) => context.ui.warning(failure),
        }
    }
    Ok(exit)
}

/// The next commands, ready to paste. Notes are on separate lines, because not every shell accepts a comment
/// after a command.
fn next_steps(context: &Context, jail: &Jail) -> Result<String, Failure> {
    let name = jail.name();
    let bkctld = match context.settings.file.as_deref().and_then(Path::to_str) {
        // Without it, the commands would refer to another server's jail, or none.
        Some(file) if file != DEFAULT_FILE => {
            let file = shlex::try_quote(file).map_err(|error| {
                Error::invalid("the path of the configuration cannot be quoted").because(error)
            })?;
            format!("bkctld --config {file}")
        }
        _ => "bkctld".to_owned(),
    };
    let server = crate::server_name::read()?;
    let push = FirstPush::new(jail, &server)?;
    Ok(format!(
        "\
Next, install the public key of the client (paste it, then press Ctrl-D):
    {bkctld} key {name} -
Allow only the address of the client (otherwise every address may connect):
    {bkctld} ip {name} ADDRESS
Start the jail:
    {bkctld} start {name}
Push for the first time, as root on the client:
    {}
    {}",
        push.trust, push.push
    ))
}
