//! `inc-unlock`: see [`inc_lock`](super::inc_lock).

use super::inc_lock;
use crate::context::Context;
use crate::exit::{Exit, Failure};

pub use super::inc_lock::Arguments;

pub fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    inc_lock::set(context, &arguments, false)
}
