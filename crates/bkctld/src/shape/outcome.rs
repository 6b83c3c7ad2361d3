//! What became of a command that changes something, jail by jail.

use std::fmt::Display;

use bkctld_core::JailName;
use schemars::JsonSchema;
use serde::Serialize;

use crate::exit::{ErrorFields, Failure};

/// What became of a command on one jail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Ended {
    /// The command did it.
    Done,
    /// There was nothing to do.
    Skipped,
    /// `--dry-run`: the command would do it.
    Would,
    /// The command could not.
    Failed,
}

/// What became of a command on one jail, in words for a person and fields for a program.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Outcome<D = Nothing> {
    /// What became of it.
    pub outcome: Ended,
    /// The same in words.
    pub message: String,
    /// Why the command could not, as data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorFields>,
    /// What the command adds for programs; nothing where it failed.
    #[serde(flatten)]
    pub details: Option<D>,
    /// Shown as a warning rather than as a notice.
    #[serde(skip)]
    pub warns: bool,
}

impl<D> Outcome<D> {
    /// Of this sort, in these words, with nothing more for programs.
    pub fn new(outcome: Ended, message: impl Display) -> Outcome<D> {
        Outcome { outcome, message: message.to_string(), error: None, details: None, warns: false }
    }

    /// What is known of a failure.
    pub fn failed(failure: &Failure) -> Outcome<D> {
        Outcome { error: Some(failure.fields()), ..Outcome::new(Ended::Failed, failure) }
    }

    /// With these fields for programs.
    pub fn with(self, details: D) -> Outcome<D> {
        Outcome { details: Some(details), ..self }
    }

    /// Shown as a warning.
    pub fn into_warning(self) -> Outcome<D> {
        Outcome { warns: true, ..self }
    }
}

/// The document of a command that changes something.
#[derive(Serialize, JsonSchema)]
pub struct Results<D, B = Nothing> {
    /// One for each jail that the command acted on.
    pub results: Vec<JailResult<D>>,
    /// What is done for all jails at once.
    #[serde(flatten)]
    pub beside: B,
}

/// What became of one jail.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub struct JailResult<D> {
    /// The jail.
    pub jail: JailName,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome<D>,
}

/// No more fields.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct Nothing {}
