//! `status`: shows the present state of each jail.

use bkctld_core::overview::{Details, Overview};
use bkctld_core::{Jail, session};
use clap::Args;

use crate::completers;
use crate::context::{Context, Target};
use crate::exit::{Exit, Failure};
use crate::shape::status::{Sessions, Status, Statuses};

/// Show state, port, retention and addresses
#[derive(Args)]
pub struct Arguments {
    /// The jail; by default all of them
    #[arg(value_name = "JAIL|all", add = completers::jail_name_or_all())]
    target: Option<Target>,
}

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    let target = arguments.target.unwrap_or(Target::All);
    let names = match context.names(&target) {
        Ok(names) => names,
        // Unlike in other commands, an unknown jail is an ordinary error here; scripts rely on this.
        Err(failure) => {
            context.ui.error(&failure);
            return Ok(Exit::Error);
        }
    };
    // Scripts get the table, even for one jail; a person on a terminal gets everything about it.
    let in_full = matches!(target, Target::One(_)) && context.ui.read_by_a_person();
    let jails = names.into_iter().map(|name| read(context, &Jail::new(&context.settings, name), in_full));
    let statuses = Statuses { jails: jails.collect() };
    let problems: Vec<&String> = statuses.jails.iter().flat_map(|status| &status.problems).collect();
    if in_full {
        context.answer(&statuses);
    }
    for problem in &problems {
        context.ui.error(problem);
    }
    if !in_full {
        context.answer(&statuses);
    }
    Ok(if problems.is_empty() { Exit::Done } else { Exit::Error })
}

/// The facts about the jail; facts that cannot be read are listed as problems.
fn read(context: &Context, jail: &Jail, in_full: bool) -> Status {
    let mut overview = Overview::read(jail, &context.settings);
    let format = overview.note(jail, jail.format_version()).unwrap_or_default();
    let sessions = (in_full || context.options.json).then(|| Sessions {
        active: overview.note(jail, session::active(jail)).unwrap_or_default(),
        last: overview.note(jail, session::last_finished(jail)).flatten(),
        without_login: overview.note(jail, session::without_login(jail)).flatten(),
    });
    if let Some(error) = overview.other_format.take() {
        context.ui.warning(Failure::from(error));
    }
    let mut problems: Vec<String> = overview.problems.iter().map(ToString::to_string).collect();
    let details = in_full.then(|| Details::read(jail, &context.now)).map(|(details, more)| {
        // The policy is read for both.
        let more = more.iter().map(ToString::to_string).filter(|problem| !problems.contains(problem));
        let more: Vec<String> = more.collect();
        problems.extend(more);
        details
    });
    Status {
        name: jail.name().clone(),
        status: overview.status(),
        served_by: overview.served_by,
        format,
        port: overview.port,
        retention: overview.retention,
        addresses: overview.addresses,
        isolation: overview.isolation,
        sessions,
        problems,
        details,
    }
}
