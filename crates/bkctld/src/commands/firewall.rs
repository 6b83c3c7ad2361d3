//! `firewall`: rewrites the firewall rules of one jail or of all.

use bkctld_core::firewall::{self, Change, JailRules, Plan};
use bkctld_core::{Jail, JailName};
use clap::Args;

use crate::completers;
use crate::context::{Context, Ended, Outcome, Target};
use crate::exit::{Exit, Failure};
use crate::shape::firewall::{Admitted, Rules};

/// Rewrite a jail's firewall rules
#[derive(Args)]
pub struct Arguments {
    /// The jail, or 'all'
    #[arg(value_name = "JAIL|all", add = completers::jail_name_or_all())]
    target: Target,
}

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    let names = context.names(&arguments.target)?;
    let change = Change::again(names.clone());
    let plan = if context.options.dry_run {
        firewall::plan(&context.settings, &change)?
    } else {
        firewall::change(&context.settings, &change, |plan| Ok(plan.clone()))?
    };
    let exit = context.for_each_beside(&names, Rules { firewall: &plan }, |name| of(context, name, &plan));
    if let Plan::Minifirewall { rules, .. } | Plan::Nftables { rules } = &plan
        && context.options.dry_run
        && !context.options.json
    {
        context.ui.text(rules);
    }
    Ok(exit)
}

fn of(context: &Context, name: &JailName, plan: &Plan) -> Result<Outcome<Admitted>, Failure> {
    if *plan == Plan::None {
        let message = format_args!("no rules are written for jail '{name}': no FIREWALL is configured");
        return Ok(Outcome::new(Ended::Skipped, message));
    }
    let JailRules { port, addresses, .. } = JailRules::read(&Jail::new(&context.settings, name.clone()))?;
    let shown: Vec<String> = addresses.iter().map(|address| address.to_string()).collect();
    let list = shown.join(", ");
    let outcome = if context.options.dry_run {
        Outcome::new(Ended::Would, format_args!("would admit {list} to port {port} of jail '{name}'"))
    } else {
        Outcome::new(Ended::Done, format_args!("the firewall admits {list} to port {port} of jail '{name}'"))
    };
    Ok(outcome.with(Admitted { port, addresses: shown }))
}
