//! `init`: a new jail.

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
            // The jail is made all the same.
            Err(failure) => context.ui.warning(failure),
        }
    }
    Ok(exit)
}

/// What comes next, in lines that can be pasted. The notes stand on lines of their own: not every shell takes
/// a comment behind a command that is typed.
fn next_steps(context: &Context, jail: &Jail) -> Result<String, Failure> {
    let name = jail.name();
    let bkctld = match context.settings.file.as_deref().and_then(Path::to_str) {
        // Elsewhere the lines would be about another jail, or none.
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
Next, its client's public key (paste it, then press Ctrl-D):
    {bkctld} key {name} -
Its address in place of ADDRESS (without this every address may connect):
    {bkctld} ip {name} ADDRESS
Then it can be started:
    {bkctld} start {name}
The first push, as root on the client:
    {}
    {}",
        push.trust, push.push
    ))
}
