//! Exit codes, and how an error of the domain becomes one, with a hint for the administrator.

use std::fmt;
use std::process::ExitCode;

use bkctld_core::Error;
use bkctld_core::check::Severity;

/// The exit codes that scripts rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// An error, wrong usage included.
    Error,
    /// No such jail; also: the target of a rename or an archive exists.
    NoJail,
    /// The jail's on-disk format version is not the current one.
    WrongVersion,
    /// `is-on`: the jail is off.
    Off,
    /// The administrator answered no.
    AnsweredNo,
    /// A check ran: the code of a Nagios plugin.
    Checked(Severity),
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Error => 1,
            Exit::NoJail => 2,
            Exit::WrongVersion => 3,
            Exit::Off => 100,
            Exit::AnsweredNo => 101,
            Exit::Checked(severity) => severity.code(),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

/// Why a command, or its work on one jail, failed: one line, an exit code, and what to do next.
#[derive(Debug)]
pub struct Failure {
    /// The exit code if this is the command's only jail.
    pub exit: Exit,
    message: String,
    hint: Option<String>,
}

impl Failure {
    /// An ordinary error.
    pub fn error(message: impl Into<String>) -> Failure {
        Failure { exit: Exit::Error, message: message.into(), hint: None }
    }

    /// The same with another exit code.
    pub fn with_exit(self, exit: Exit) -> Failure {
        Failure { exit, ..self }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let (exit, hint) = match error.root() {
            Error::NoSuchJail(_) => {
                (Exit::NoJail, Some("'bkctld list' shows the jails of this server".to_owned()))
            }
            Error::TargetExists { .. } => (Exit::NoJail, None),
            Error::WrongVersion { jail, found, .. } if found == "1" => (
                Exit::WrongVersion,
                Some(format!("'bkctld convert-v2 {jail}' brings it to the current format")),
            ),
            Error::WrongVersion { .. } => (Exit::WrongVersion, None),
            _ => (Exit::Error, None),
        };
        Failure { exit, message: error.to_string(), hint }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}
