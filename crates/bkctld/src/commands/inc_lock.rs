//! `inc-lock`: makes incs read-only.

use clap::Args;

use super::protection;
use crate::completers;
use crate::context::Context;
use crate::exit::{Exit, Failure};

/// Make incs that are btrfs snapshots read-only again
#[derive(Args)]
pub struct Arguments {
    /// 'all', a jail, or JAIL/INC with the shell's *, ? and [...] in either part, for example 'web*/2026-0[1-6]-*'
    #[arg(value_name = "PATTERN", add = completers::inc_pattern())]
    pattern: String,
}

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    protection::set(context, &arguments.pattern, true)
}
