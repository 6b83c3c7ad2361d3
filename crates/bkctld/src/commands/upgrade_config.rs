//! `upgrade-config`: moves policies and templates from their old paths to the new ones.

use bkctld_core::lifecycle::upgrade::{self, PolicyUpgrade, TemplateUpgrade, Upgrade};
use bkctld_core::{Jail, JailName};
use clap::Args;

use crate::completers;
use crate::context::{Context, Ended, Outcome, Target};
use crate::exit::{Exit, Failure};
use crate::shape::upgrade_config::Changes;

/// Move a jail's policy from its old place to the new one
#[derive(Args)]
pub struct Arguments {
    /// The jail, or 'all'
    #[arg(value_name = "JAIL|all", add = completers::jail_name_or_all())]
    target: Target,
}

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    let names = context.names(&arguments.target)?;
    template(context)?;
    Ok(context.for_each(&names, |name| upgrade(context, name)))
}

/// The template belongs to the server, not to a jail.
fn template(context: &Context) -> Result<(), Failure> {
    let plan = TemplateUpgrade::plan(&context.settings);
    let dir = bkctld_core::text::path(&context.settings.local_tpl_dir).to_string();
    match plan {
        TemplateUpgrade::Done => {}
        TemplateUpgrade::Both => context.ui.warning(format_args!(
            "{dir} has inc.tpl and incs_policy.tpl: the latter is in use, delete the former"
        )),
        TemplateUpgrade::Rename if context.options.dry_run => {
            context.ui.notice(format_args!("would rename inc.tpl in {dir} to incs_policy.tpl"));
        }
        TemplateUpgrade::Rename => {
            plan.carry_out(&context.settings)?;
            context.ui.notice(format_args!("inc.tpl in {dir} was renamed to incs_policy.tpl"));
        }
    }
    Ok(())
}

fn upgrade(context: &Context, name: &JailName) -> Result<Outcome<Changes>, Failure> {
    let jail = Jail::open(&context.settings, name.clone())?;
    if context.options.dry_run {
        return Ok(outcome(&jail, Upgrade::plan(&jail)?, Ended::Would));
    }
    Ok(outcome(&jail, upgrade::run(&context.settings, name, context)?, Ended::Done))
}

fn outcome(jail: &Jail, plan: Upgrade, ended: Ended) -> Outcome<Changes> {
    let would = if ended == Ended::Would { "would be " } else { "" };
    let mut changes = Vec::new();
    match plan.policy {
        PolicyUpgrade::Move => {
            changes.push(format!("the policy {would}moved to {}", shown(&jail.incs_policy())))
        }
        PolicyUpgrade::Link => {
            changes.push(format!("{} {would}made a link to the policy", shown(jail.legacy_policy())))
        }
        PolicyUpgrade::Done | PolicyUpgrade::Missing | PolicyUpgrade::OwnLink => {}
    }
    if plan.check_policy {
        changes.push(format!("{} {would}made", shown(&jail.check_policy())));
    }
    let ended = if changes.is_empty() { Ended::Skipped } else { ended };
    let what = if changes.is_empty() { "nothing to upgrade".to_owned() } else { changes.join(", ") };
    let remark = match plan.policy {
        PolicyUpgrade::Missing => " (it has no policy)",
        PolicyUpgrade::OwnLink => " (its policy is your own link, which is left alone)",
        _ => "",
    };
    let name = jail.name();
    let message = format_args!("jail '{name}': {what}{remark}");
    let outcome = Outcome::new(ended, message).with(Changes { changes });
    if remark.is_empty() { outcome } else { outcome.into_warning() }
}

fn shown(path: &std::path::Path) -> String {
    bkctld_core::text::path(path).to_string()
}
