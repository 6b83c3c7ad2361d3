//! The outcome of a command that changes something, for each jail.

use std::fmt::Display;

use bkctld_core::JailName;
use schemars::JsonSchema;
use serde::Serialize;

use crate::exit::{ErrorFields, Failure};

/// The kinds of outcomes for one jail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Ended {
    /// The command made the change.
    Done,
    /// There was nothing to do.
    Skipped,
    /// `--dry-run`: the command would make the change.
    Would,
    /// The command failed.
    Failed,
}

/// The outcome of a command for one jail, with a message for a person and fields for a program.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Outcome<D = Nothing> {
    /// The kind of the outcome.
    pub outcome: Ended,
    /// The message.
    pub message: String,
    /// Why the command could not, as data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorFields>,
    /// Additional fields for programs; none if the command failed.
    #[serde(flatten)]
    pub details: Option<D>,
    /// Whether it is shown as a warning rather than as a notice.
    #[serde(skip)]
    pub warns: bool,
}

impl<D> Outcome<D> {
    /// An outcome of this kind, with this message and no fields.
    pub fn new(outcome: Ended, message: impl Display) -> Outcome<D> {
        Outcome { outcome, message: message.to_string(), error: None, details: None, warns: false }
    }

    /// What is known of a failure.
    pub fn failed(failure: &Failure) -> Outcome<D> {
        Outcome { error: Some(failure.fields()), ..Outcome::new(Ended::Failed, failure) }
    }

    /// Adds these fields for programs.
    pub fn with(self, details: D) -> Outcome<D> {
        Outcome { details: Some(details), ..self }
    }

    /// Turns the outcome into a warning.
    pub fn into_warning(self) -> Outcome<D> {
        Outcome { warns: true, ..self }
    }
}

/// The document of a command that changes something.
#[derive(Serialize, JsonSchema)]
pub struct Results<D, B = Nothing> {
    /// The results for the jails on which the command acted.
    pub results: Vec<JailResult<D>>,
    /// The result for all jails together.
    #[serde(flatten)]
    pub beside: B,
}

/// The result for one jail.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub struct JailResult<D> {
    /// The jail.
    pub jail: JailName,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome<D>,
}

/// No additional fields.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct Nothing {}
